"""One look at the work: queues, backlog, rates, time left, failures, workers. Shown by `comention status --watch`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from storage.backlog import Backlog, get_backlog
from storage.workers import KnownWorker, list_workers

if TYPE_CHECKING:
    from storage.database import Database

RECENT_S = 60.0
"""The time that recent counts are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What all workers together did in the last minute, a second."""

    fetched: float
    annotated: float
    sentences: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there was to be seen at a moment."""

    taken_at: dt.datetime
    queues: Mapping[str, int] | None
    """Messages that wait in each queue; ``None`` where the broker does not answer or does not run."""
    backlog: Backlog
    workers: tuple[KnownWorker, ...]

    @property
    def rates(self) -> Rates:
        """How fast it goes, as the workers say that are heard of."""
        heard = [known.row for known in self.workers if not known.is_lost]
        return Rates(
            fetched=sum(row.recent_fetched for row in heard) / RECENT_S,
            annotated=sum(row.recent_annotated for row in heard) / RECENT_S,
            sentences=sum(row.recent_sentences for row in heard) / RECENT_S,
        )

    @property
    def owed(self) -> int:
        """Citations owed to all annotators together."""
        return sum(one.owed for one in self.backlog.annotators)

    @property
    def seconds_to_fetch(self) -> float | None:
        """Seconds until all is fetched, at the rate of the last minute; ``None`` where it stands still."""
        return _seconds_left(self.backlog.to_fetch, self.rates.fetched)

    @property
    def seconds_to_annotate(self) -> float | None:
        """Seconds until all that is stored is annotated, at the rate of the last minute; ``None`` where it stands still."""
        return _seconds_left(self.owed, self.rates.annotated)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {
            "at": self.taken_at.isoformat(),
            "queues": None if self.queues is None else dict(self.queues),
            "backlog": asdict(self.backlog),
            "rates": asdict(self.rates),
            "seconds_to_fetch": self.seconds_to_fetch,
            "seconds_to_annotate": self.seconds_to_annotate,
            "workers": [
                {**asdict(known.row), "seen_seconds_ago": round(known.seen_s, 1), "lost": known.is_lost}
                for known in self.workers
            ],
        }


def take_look(database: Database, queues: Mapping[str, int] | None) -> Look:
    """Look at the database.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    return Look(
        taken_at=dt.datetime.now(dt.UTC),
        queues=queues,
        backlog=get_backlog(database),
        workers=tuple(list_workers(database)),
    )


def _seconds_left(owed: int, rate: float) -> float | None:
    if not owed:
        return 0.0
    return owed / rate if rate else None
