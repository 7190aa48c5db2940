"""The sweep: what is owed and nobody has in hand gets a message, and whoever let a lease run out loses its hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.app import ANNOTATE, FETCH
from pipeline.workers.doorbell import Doorbell
from storage.claims import count_backlog, count_free, find_chosen
from storage.cooccurrence import fold_counts
from storage.database import Database
from storage.jobs import (
    BACKFILL,
    INTERACTIVE,
    JobKind,
    give_up_lost,
    list_free_batches,
    list_free_jobs,
    list_wanted_annotators,
)
from storage.leases import clear_claims, end_overdue
from storage.search import index_sentences

AT_MOST = 16
"""Messages of a kind that wait at once: each is a worker's slice of time, so a queue holds few even of a large backlog."""

GRACE = 0.25
"""The part of a lease for which a worker that let it run out keeps its sessions."""

INDEX_CITATIONS = 2_000
"""Citations that a sweep makes known to full-text search."""

RARELY = 10.0
"""A look through all that is annotated is made again after so many times the time that it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What is owed and nobody has in hand, up to ``AT_MOST`` pieces of a kind.

    ``given_up`` is how many pieces of work the sweep gave up, ``ended`` how many sessions it ended.
    """

    jobs: Sequence[tuple[int, JobKind, int]]
    batches: Sequence[int]
    """The priorities of batches to fetch."""
    annotators: dict[str, int]
    """Name -> batches of citations that are owed to it."""
    given_up: int = 0
    ended: int = 0


@dataclass(slots=True)
class Backlog:
    """Whether an annotator has so much before it that fetching pauses. Looking costs time: what was seen holds for a while."""

    limit: int
    _full: bool = False
    _look_at: float = field(default=0.0)

    def is_full(self, database: Database, name: str) -> bool:
        """Say whether ``limit`` citations or more wait for the annotator called ``name``."""
        began = time.monotonic()
        if began >= self._look_at:
            number = find_chosen(database, name)
            self._full = number is not None and count_backlog(database, number, at_most=self.limit) >= self.limit
            self._look_at = time.monotonic() + max(1.0, RARELY * (time.monotonic() - began))
        return self._full


@dataclass(slots=True)
class Sweeper:
    """Looks for what is owed. One for a process: it remembers how long the looking takes."""

    backlog: Backlog
    lease_seconds: float
    batch_citations: int
    _look_at: dict[str, float] = field(default_factory=dict)

    def sweep(self, database: Database, annotator: str) -> Owed:
        """End what was let run out, fold and index what is due, and return what is owed. Any number may do so at once.

        ``annotator`` is the one of the settings; those of subscriptions and jobs are seen to as well.
        """
        ended = end_overdue(database, grace_seconds=GRACE * self.lease_seconds)
        clear_claims(database)
        given_up = give_up_lost(database)
        fold_counts(database)
        index_sentences(database, at_most=INDEX_CITATIONS)
        urgent_only = self.backlog.is_full(database, annotator)
        names = dict.fromkeys([annotator, *list_wanted_annotators(database)])
        return Owed(
            jobs=list_free_jobs(database, at_most=AT_MOST),
            batches=list_free_batches(
                database, at_most=AT_MOST, priority_at_most=INTERACTIVE if urgent_only else BACKFILL
            ),
            annotators={name: count for name in names if (count := self._count_owed(database, name))},
            given_up=given_up,
            ended=ended,
        )

    def _count_owed(self, database: Database, name: str) -> int:
        began = time.monotonic()
        if began < self._look_at.get(name, 0.0):
            return 0
        number = find_chosen(database, name)
        if number is None:
            return 1  # nobody has loaded it yet, and only loading it tells what it owes
        free = count_free(database, number, at_most=AT_MOST * self.batch_citations)
        if not free:  # only then was everything looked through
            self._look_at[name] = time.monotonic() + RARELY * (time.monotonic() - began)
        return -(-free // self.batch_citations)


def ring_owed(doorbell: Doorbell, owed: Owed) -> int:
    """Send messages for what is owed, less those that wait already; return how many."""
    sent = 0
    waiting = doorbell.waiting(FETCH) or 0
    for job_id, kind, priority in owed.jobs[: max(0, AT_MOST - waiting)]:
        doorbell.job(job_id, kind, priority)
        sent += 1
    for priority in owed.batches[waiting:]:
        doorbell.fetch(priority)
        sent += 1
    waiting = doorbell.waiting(ANNOTATE) or 0
    for name, batches in owed.annotators.items():
        # One even where many wait: they may all be for other annotators.
        for _ in range(max(int(waiting < 4 * AT_MOST), min(batches, AT_MOST) - waiting)):
            doorbell.annotate(name)
            sent += 1
    return sent
