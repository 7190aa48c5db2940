"""The connection to Postgres: where it comes from, what it must look like, and its errors in one sentence each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from comention.errors import (
    DatabaseError,
    DiskFullError,
    RetryableDatabaseError,
    SchemaError,
    SettingsError,
    StatementTimeoutError,
)
from storage.embedded_folder import is_out_of_room
from storage.priority import LEAST, align_session, step_back

if TYPE_CHECKING:
    from sqlalchemy.pool import ConnectionPoolEntry

    from comention.settings import Settings


Address: TypeAlias = URL
"""What a `Database` is made of: it can be handed to another process."""

EMBEDDED = "comention (embedded)"
"""What connections to the embedded Postgres call themselves; messages name the server by it."""


def database_url(settings: Settings) -> URL:
    """Return the address of the configured Postgres.

    Raises:
        SettingsError: there is none, or it is not an address of a Postgres. The message shows no password.
    """
    if settings.database.url is None:
        raise SettingsError(
            "no database is configured: set COMENTION_DATABASE__URL to postgresql://user:password@host/name"
        )
    url = parse_url(settings.database.url.get_secret_value(), connect_timeout=settings.database.connect_timeout)
    password = settings.database.password
    return url if password is None else url.set(password=password.get_secret_value())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """How the sessions of a worker stand out: by their name, and by ending where a transaction stays idle for too long."""

    name: str
    idle_in_transaction_seconds: float

    def apply(self, url: URL) -> URL:
        """Return the address that opens such sessions."""
        given = url.query.get("options", "")
        limit = f"-c idle_in_transaction_session_timeout={round(self.idle_in_transaction_seconds * 1000)}"
        options = " ".join([*((given,) if isinstance(given, str) else given), limit]).strip()
        return url.update_query_dict({"application_name": self.name, "options": options})


def parse_url(address: str, *, connect_timeout: int) -> URL:
    """Turn an address as people write it into one for psycopg."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "COMENTION_DATABASE__URL is not an address: it reads postgresql://user:password@host/name"
        ) from None
    if url.get_backend_name() not in ("postgresql", "postgres"):
        raise SettingsError(
            f"COMENTION_DATABASE__URL names a {url.get_backend_name()} database, and only postgresql:// will do"
        )
    url = url.set(drivername="postgresql+psycopg")
    return url.update_query_dict({"connect_timeout": str(connect_timeout), "application_name": "comention"})


class Database:
    """A pool of connections to one Postgres. Thread-safe; do not take it across a fork."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self.engine: Engine = create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8)
        event.listen(self.engine, "connect", _prepare_connection)
        event.listen(self.engine, "checkout", _share_priority)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Run the block in one transaction; commit at its end, roll back where it raises.

        Raises:
            DatabaseError: Postgres cannot be reached or refuses, in one sentence.
        """
        with translated_errors(self.url), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Run the block without a transaction, as VACUUM asks for.

        Raises:
            DatabaseError: Postgres cannot be reached or refuses, in one sentence.
        """
        with translated_errors(self.url), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def server_version(self) -> str:
        """Return the version of the server, ``18.1``."""
        with self.transaction() as connection:
            return str(connection.exec_driver_sql("SHOW server_version").scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def driver(connection: Connection) -> psycopg.Connection[tuple[object, ...]]:
    """Return psycopg's connection below SQLAlchemy's, for COPY."""
    return cast("psycopg.Connection[tuple[object, ...]]", connection.connection.driver_connection)


def _prepare_connection(connection: psycopg.Connection[tuple[object, ...]], _record: object) -> None:
    """Keep psycopg from preparing on its own account: plans for arrays of changing size are better made anew."""
    connection.prepare_threshold = None


def _share_priority(
    connection: psycopg.Connection[tuple[object, ...]], record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Let what Postgres does for this process give way to others as far as the process itself does."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice > record.info.get("nice", 0) and align_session(connection, nice):
        record.info["nice"] = nice


@contextmanager
def translated_errors(url: URL) -> Iterator[None]:
    """Turn the driver's errors into sentences for a user; other errors pass."""
    try:
        yield
    except DBAPIError as error:
        raise explain(error.orig, url) from error
    except psycopg.Error as error:
        raise explain(error, url) from error


def explain(error: BaseException | None, url: URL) -> DatabaseError:
    """Put an error of psycopg into one sentence that says what to do."""
    place = _place(url)
    state = getattr(error, "sqlstate", None)
    said = str(error).strip()
    first_line = said.splitlines()[0] if said else "no reason given"
    is_away = isinstance(error, psycopg.OperationalError) and (state is None or state.startswith(("08", "57P")))
    if state == "53100" or "No space left on device" in said or (is_away and _is_out_of_room(url)):
        return DiskFullError(
            f"{place} has no room left on its disk: free some space and run the same command again, nothing is lost"
        )
    if state == "3D000" or (state is None and f'database "{url.database}" does not exist' in said):
        return DatabaseError(
            f'there is no database "{url.database}" at {place}: create it (createdb {url.database}) '
            "and run `comention db upgrade`"
        )
    if state in ("28P01", "28000") or "authentication failed" in said:
        return DatabaseError(f"{place} refuses the user or password of COMENTION_DATABASE__URL")
    if state == "42501":
        return DatabaseError(f"{place} does not allow this: {first_line}; ask its owner for the right")
    if state == "55P03":
        return RetryableDatabaseError(
            f"{place} is busy and a lock was not to be had: {first_line}; try again in a moment"
        )
    if state in ("40001", "40P01"):
        return RetryableDatabaseError(f"{place} gave way to another writer ({first_line}): run the same command again")
    if state == "57014":
        return StatementTimeoutError(
            f"{place} stopped the statement because it took too long: ask for less, or raise its timeout"
        )
    if is_away:
        return RetryableDatabaseError(
            f"{place} cannot be reached: {first_line}; is it running, and is its address right?"
        )
    return DatabaseError(f"{place} refuses: {first_line}")


def _is_out_of_room(url: URL) -> bool:
    """Whether a server of ours is away because its disk is full, which ends it before it can say so."""
    sockets = url.host or url.query.get("host")
    return isinstance(sockets, str) and sockets.startswith("/") and is_out_of_room(Path(sockets))


def _place(url: URL) -> str:
    if url.query.get("application_name") == EMBEDDED:
        return "the embedded Postgres"
    where = url.host or url.query.get("host") or "localhost"
    return f"Postgres at {where if isinstance(where, str) else ', '.join(where)}:{url.port or 5432}"


@contextmanager
def open_database(
    settings: Settings, *, check_schema: bool = True, sessions: Sessions | None = None, background: bool = False
) -> Iterator[Database]:
    """Open the configured Postgres, or the embedded one, which is started and, where empty, given its schema.

    ``sessions`` says how its sessions call themselves and what they may not do, where that is not as usual. With
    ``background``, this process and what Postgres does for it give way to others from then on, as ``settings.work.nice`` says.

    Raises:
        DatabaseError: it cannot be reached.
        SchemaError: it is empty, or at an older or newer schema than this program (with ``check_schema``).
    """
    from storage.migrate import SchemaState, schema_state, upgrade

    with ExitStack() as stack:
        embedded = settings.database.url is None
        if embedded:
            from storage.embedded import EmbeddedPostgres

            server = stack.enter_context(EmbeddedPostgres(settings.home))
            url = parse_url(server.url, connect_timeout=settings.database.connect_timeout)
            url = url.update_query_dict({"application_name": EMBEDDED})
        else:
            url = database_url(settings)
        if sessions is not None:
            url = sessions.apply(url)
        database = Database(url)
        stack.callback(database.close)
        if check_schema:
            state = schema_state(database)
            if state is SchemaState.EMPTY and embedded:
                upgrade(database)
            elif state is not SchemaState.CURRENT:
                raise SchemaError(state.advice(_place(url)))
        if background:  # not before the embedded server was started, which is everybody's
            nice = settings.work.nice
            step_back((LEAST if embedded else 0) if nice is None else nice)
        yield database
