"""The table of worker processes: what each last said of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql

from storage.database import Database
from storage.schema import worker

Phase = Literal["starting", "running", "stopping"]

LOST_AFTER_S = 30.0
"""Seconds without a word after which a worker no longer counts."""

_FORGOTTEN_AFTER = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker or beat process. Counts are since its process started, ``recent_…`` of the last minute."""

    name: str
    kind: Literal["worker", "beat"]
    queues: tuple[str, ...]
    concurrency: int
    host: str
    pid: int | None
    state: Phase
    doing: str
    restarts: int
    started_at: dt.datetime
    progressed_at: dt.datetime | None
    taken: int = 0
    fetched: int = 0
    annotated: int = 0
    sentences: int = 0
    mentions: int = 0
    failed: int = 0
    recent_fetched: int = 0
    recent_annotated: int = 0
    recent_sentences: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownWorker:
    """A row of the table, and how many seconds ago, by the clock of Postgres, it was written."""

    row: WorkerRow
    seen_s: float

    @property
    def is_lost(self) -> bool:
        """Whether nothing was heard of it for so long that it must have been killed with its supervisor."""
        return self.seen_s > LOST_AFTER_S


def save_workers(database: Database, rows: Sequence[WorkerRow]) -> None:
    """Write how some workers are now, and forget those of which nothing was heard for an hour.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    if not rows:
        return
    values = [{**asdict(row), "queues": list(row.queues)} for row in sorted(rows, key=lambda row: row.name)]
    insert = postgresql.insert(worker)
    changed = {name: insert.excluded[name] for name in values[0] if name != "name"}
    statement = insert.on_conflict_do_update(index_elements=[worker.c.name], set_={**changed, "seen_at": func.now()})
    with database.transaction() as connection:
        connection.execute(statement, values)
        connection.execute(delete(worker).where(worker.c.seen_at < func.now() - _FORGOTTEN_AFTER))


def remove_workers(database: Database, names: Sequence[str]) -> None:
    """Forget workers that have ended.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    with database.transaction() as connection:
        connection.execute(delete(worker).where(worker.c.name.in_(names)))


def list_workers(database: Database) -> list[KnownWorker]:
    """Return the workers of all machines by name, also those of which nothing is heard any more.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    age = func.extract("epoch", func.now() - worker.c.seen_at).label("seen_s")
    fields = [column for column in worker.c if column.name not in ("id", "seen_at")]
    with database.transaction() as connection:
        rows = connection.execute(select(*fields, age).order_by(worker.c.name)).mappings()
        return [
            KnownWorker(
                row=WorkerRow(
                    **{
                        **{name: value for name, value in row.items() if name != "seen_s"},
                        "queues": tuple(row["queues"]),
                    }
                ),
                seen_s=float(row["seen_s"]),
            )
            for row in rows
        ]
