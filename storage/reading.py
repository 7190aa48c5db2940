"""Reading for others than writers: a pool of connections that can do nothing but ask the analyst schema.

Each connection takes the role ``analyst`` as it is made, reads only, and has its statements stopped after a time. A page is
read from one snapshot, so that its figures agree with one another while writers write. The one thing that the role may write,
a report of a wrong mention, goes through a function of that schema, in a transaction that says so.
"""

from __future__ import annotations

import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from comention.errors import DatabaseError, RetryableDatabaseError
from storage.database import driver, translated_errors

ROLE = "analyst"

Row = dict[str, Any]
"""A row by column."""

_PREPARED_AFTER = 2
"""So often a question is asked over a connection before its plan is kept: to plan some views takes longer than to read them."""


class Snapshot:
    """The analyst schema as it stands at one moment."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._driver = driver(
            connection
        )  # asked directly: a page is some ten questions, and each would pass many layers

    def rows(self, query: str, /, **values: object) -> list[Row]:
        """Return the rows of a query; ``values`` fill its ``:names``."""
        with self._driver.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_placeholders(query), values).fetchall()

    def value(self, query: str, /, **values: object) -> Any:
        """Return the first column of the first row of a query.

        Raises:
            LookupError: there is no row.
        """
        row = self._driver.execute(_placeholders(query), values).fetchone()
        if row is None:
            raise LookupError(f"no row: {query}")
        return row[0]


class Reader:
    """A pool of connections that read as ``analyst``. Thread-safe; do not take it across a fork.

    ``statement_timeout`` is in seconds; ``connections`` are held at most, and whoever finds none free waits as long.
    """

    def __init__(self, url: URL, *, statement_timeout: float, connections: int) -> None:
        self._url = url
        self._timeout_ms = max(1, round(statement_timeout * 1000))
        self._engine = create_engine(
            url.update_query_dict({"application_name": "comention dashboard"}),
            pool_size=connections,
            max_overflow=0,
            pool_timeout=statement_timeout,
        )
        event.listen(self._engine, "connect", self._prepare)
        event.listen(self._engine, "checkout", _refuse_lost)

    @contextmanager
    def snapshot(self, *, annotator_id: int | None = None) -> Iterator[Snapshot]:
        """Read all that the block asks for from one moment; of one annotator, or of the promoted one.

        Raises:
            StatementTimeoutError: a statement took longer than it may.
            RetryableDatabaseError: every connection stayed in use.
            DatabaseError: Postgres cannot be reached or refuses, or the role does not exist; in one sentence.
        """
        with translated_errors(self._url), self._connect() as connection, _given_up_if_lost(connection):
            snapshot = Snapshot(connection)
            if annotator_id is not None:
                snapshot.value("SELECT set_config('comention.annotator', :number, true)", number=str(annotator_id))
            yield snapshot

    @contextmanager
    def writing(self) -> Iterator[Snapshot]:
        """Let the block call a function that writes: the role may write nothing by itself, and this transaction alone may.

        Raises:
            DatabaseError: as `snapshot`.
        """
        with translated_errors(self._url), self._connect() as connection, _given_up_if_lost(connection):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
            yield Snapshot(connection)

    def state(self) -> str:
        """Return what is the same for as long as nobody has written anything, and never comes again afterwards.

        It names the transactions that can be seen, so it also changes with what others write to the same server. Asked before
        what it stands for is read.

        Raises:
            DatabaseError: as for ``snapshot``.
        """
        with translated_errors(self._url), self._connect() as connection:
            asked = driver(connection)
            asked.autocommit = True
            try:
                return str(Snapshot(connection).value("SELECT pg_catalog.pg_current_snapshot()::text"))
            finally:
                if asked.closed:
                    connection.invalidate()
                else:
                    asked.autocommit = False

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
        connection.prepare_threshold = _PREPARED_AFTER
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


@lru_cache(maxsize=256)
def _placeholders(query: str) -> bytes:
    """Return a query with its ``:names`` as psycopg has them."""
    return re.sub(r"(?<![:\w]):(\w+)", r"%(\1)s", query.replace("%", "%%")).encode()


def _refuse_lost(connection: psycopg.Connection[tuple[object, ...]], _record: object, _proxy: object) -> None:
    """Have the pool make a connection anew whose server has gone: that one has said so, or its end of the line is closed.

    To ask it would take as long as some of our questions do.

    Raises:
        DisconnectionError: something has come on a connection that waits for nothing.
    """
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    if look.poll(0):
        raise DisconnectionError("the server has closed the connection")


@contextmanager
def _given_up_if_lost(connection: Connection) -> Iterator[None]:
    """Run the block in a transaction. SQLAlchemy does not see what we ask the driver, and is told where the server has gone."""
    with connection.begin():
        try:
            yield
        except psycopg.OperationalError:
            if driver(connection).closed:
                connection.invalidate()
            raise
