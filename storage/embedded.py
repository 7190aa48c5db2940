"""The servers that comention brings along: Postgres for the data and Valkey for the messages.

    with EmbeddedPostgres(settings.home) as postgres:
        engine = create_engine(postgres.url)

They run while any process uses them, keep their data below the home, and listen on unix sockets in private folders,
never on the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from comention.errors import EmbeddedServerError
from storage.embedded_client import EmbeddedServer
from storage.embedded_folder import no_space
from storage.embedded_place import Program

if TYPE_CHECKING:
    import psycopg

_CONNECT_LIMIT_S = 10


class EmbeddedPostgres(EmbeddedServer):
    """The embedded Postgres of a home, with its database ``comention``."""

    _kind = "postgres"
    _title = "Postgres"
    _database = "comention"

    @property
    def url(self) -> str:
        """The URL of the database, for psycopg and, as it stands or with ``+psycopg``, for SQLAlchemy."""
        return self.url_of(self._database)

    def url_of(self, database: str) -> str:
        """Return the URL of another database of this server."""
        return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(self.socket_folder), safe='/')}"

    def create_database(self, name: str, template: str | None = None) -> str:
        """Create a database, empty or as a copy of ``template`` (which nobody may be using), and return its URL."""
        from psycopg import sql

        # File by file: the default logs every page of the copy, which takes ten times as long for one of some megabytes.
        copy = sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template)) if template else sql.SQL("")
        with self._connect(self.socket_folder) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)) + copy)
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Drop a database where it exists, and cut off whoever uses it."""
        from psycopg import sql

        with self._connect(self.socket_folder) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _connect(self, sockets: Path) -> psycopg.Connection:
        import psycopg

        return psycopg.connect(
            host=str(sockets), user="postgres", dbname="postgres", autocommit=True, connect_timeout=_CONNECT_LIMIT_S
        )

    def _find_program(self) -> Program:
        from storage.embedded_postgres import find_postgres

        return find_postgres()

    def _check(self, sockets: Path) -> str | None:
        import psycopg

        try:
            with self._connect(sockets) as connection:
                row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [self._database]).fetchone()
                if row is None:
                    connection.execute(f'CREATE DATABASE "{self._database}"')
        except psycopg.errors.DiskFull:
            raise EmbeddedServerError(no_space(self._folder.path)) from None
        except psycopg.Error as error:
            return str(error).strip().replace("\n", " ")
        return None


class EmbeddedValkey(EmbeddedServer):
    """The embedded Valkey of a home."""

    _kind = "valkey"
    _title = "Valkey"

    @property
    def url(self) -> str:
        """The URL for Celery."""
        return f"redis+socket://{self._socket}"

    @property
    def redis_url(self) -> str:
        """The URL for redis-py."""
        return f"unix://{self._socket}"

    @property
    def _socket(self) -> str:
        from storage.embedded_valkey import SOCKET

        return quote(str(self.socket_folder / SOCKET), safe="/")

    def _find_program(self) -> Program:
        from storage.embedded_valkey import find_valkey

        return find_valkey()

    def _check(self, sockets: Path) -> str | None:
        from storage.embedded_valkey import SOCKET, answers_ping

        return None if answers_ping(sockets / SOCKET) else "no answer to PING"
