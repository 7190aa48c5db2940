"""Reading for others than writers: a pool of connections that can do nothing but ask the analyst schema.

Each connection takes the role ``analyst`` as it is made, reads only, and has its statements stopped after a time. A page is
read from one snapshot, so that its figures agree with one another while writers write. The one thing that the role may write,
a report of a wrong mention, goes through a function of that schema, in a transaction that says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, create_engine, event, text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from comention.errors import DatabaseError, RetryableDatabaseError
from storage.database import translated_errors

ROLE = "analyst"

Row = dict[str, Any]
"""A row by column."""


class Snapshot:
    """The analyst schema as it stands at one moment."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def rows(self, query: str, /, **values: object) -> list[Row]:
        """Return the rows of a query; ``values`` fill its ``:names``."""
        return [dict(row) for row in self.connection.execute(text(query), values).mappings()]

    def value(self, query: str, /, **values: object) -> Any:
        """Return the first column of the first row of a query."""
        return self.connection.execute(text(query), values).scalar_one()


class Reader:
    """A pool of connections that read as ``analyst``. Thread-safe; do not take it across a fork.

    ``statement_timeout`` is in seconds; ``connections`` are held at most, and whoever finds none free waits as long.
    """

    def __init__(self, url: URL, *, statement_timeout: float, connections: int) -> None:
        self._url = url
        self._timeout_ms = max(1, round(statement_timeout * 1000))
        self._engine = create_engine(
            url.update_query_dict({"application_name": "comention dashboard"}),
            pool_pre_ping=True,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=statement_timeout,
        )
        event.listen(self._engine, "connect", self._prepare)

    @contextmanager
    def snapshot(self, *, annotator_id: int | None = None) -> Iterator[Snapshot]:
        """Read all that the block asks for from one moment; of one annotator, or of the promoted one.

        Raises:
            StatementTimeoutError: a statement took longer than it may.
            RetryableDatabaseError: every connection stayed in use.
            DatabaseError: Postgres cannot be reached or refuses, or the role does not exist; in one sentence.
        """
        with translated_errors(self._url), self._connect() as connection, connection.begin():
            if annotator_id is not None:
                connection.execute(
                    text("SELECT set_config('comention.annotator', :number, true)"), {"number": str(annotator_id)}
                )
            yield Snapshot(connection)

    @contextmanager
    def writing(self) -> Iterator[Snapshot]:
        """Let the block call a function that writes: the role may write nothing by itself, and this transaction alone may.

        Raises:
            DatabaseError: as `snapshot`.
        """
        with translated_errors(self._url), self._engine.begin() as connection:
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE"))
            yield Snapshot(connection)

    def state(self) -> str:
        """Return what is the same for as long as nobody has written anything, and never comes again afterwards.

        It names the transactions that can be seen, so it also changes with what others write to the same server. Asked before
        what it stands for is read.

        Raises:
            DatabaseError: as for ``snapshot``.
        """
        with translated_errors(self._url), self._connect() as connection:
            asked = connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                "SELECT pg_catalog.pg_current_snapshot()::text"
            )
            return str(asked.scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def _connect(self) -> Connection:
        """Return a connection of the pool.

        Raises:
            RetryableDatabaseError: every connection stayed in use.
        """
        try:
            return self._engine.connect()
        except PoolTimeoutError:
            raise RetryableDatabaseError("all connections to the database are in use: try again in a moment") from None

    def _prepare(self, connection: psycopg.Connection[tuple[object, ...]], _record: object) -> None:
        """Give up whatever else the login may do, for as long as the connection lasts."""
        connection.prepare_threshold = None
        try:
            connection.execute(f"SET ROLE {ROLE}")
        except (
            psycopg.errors.InvalidParameterValue,
            psycopg.errors.InsufficientPrivilege,
            psycopg.errors.UndefinedObject,
        ):
            raise DatabaseError(
                f'the dashboard reads as the role "{ROLE}", which this login is no member of or which does not exist: as an '
                f"administrator, run CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO the login; GRANT USAGE ON SCHEMA analysis, "
                f"SELECT ON ALL TABLES and EXECUTE ON ALL FUNCTIONS IN SCHEMA analysis TO {ROLE}"
            ) from None
        for name, value in (
            ("default_transaction_read_only", "on"),
            ("default_transaction_isolation", "repeatable read"),
            ("statement_timeout", str(self._timeout_ms)),
            ("idle_in_transaction_session_timeout", "60000"),
        ):
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()
