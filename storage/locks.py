"""Work that one process does at a time, whatever becomes of it: locks that end with their holder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from comention.errors import SourceBusyError
from storage.database import Database, translated_errors

LOCK_WAIT = "10s"
LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def hold_lock(database: Database, space: str, key: str, *, busy: str) -> Iterator[None]:
    """Have the lock named ``key`` among those of ``space`` while the block runs; ``busy`` says that somebody else has it.

    Raises:
        SourceBusyError: somebody else has had it for as long as ``LOCK_WAIT``.
    """
    with translated_errors(database.url), database.engine.connect() as guard:
        # A session lock lives as long as this connection: Postgres releases it when the process is killed, though not before
        # the statement that was running then has ended, so a repeated command waits a little.
        names = {"space": space, "key": key}
        guard.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": LOCK_WAIT})
        try:
            guard.execute(text("SELECT pg_advisory_lock(hashtext(:space), hashtext(:key))"), names)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise SourceBusyError(f"{busy}: wait for it to end") from error
        guard.commit()
        try:
            yield
        finally:
            if not guard.invalidated:
                guard.execute(text("SELECT pg_advisory_unlock(hashtext(:space), hashtext(:key))"), names)
                guard.commit()
