"""What the page of operations is made of: what goes on now, and figures of all that is stored, counted once in a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comention.errors import StatementTimeoutError
from storage.operations import (
    AnnotatorState,
    Failure,
    Work,
    count_coverage,
    list_backlog,
    list_failures,
    read_work,
)
from storage.passages import has_citations

if TYPE_CHECKING:
    from dashboard.held import Held
    from storage.reading import Reader

LEDGERS_HELD_S = 15.0
"""Seconds for which figures of all that is stored are shown again."""

COVERAGE_STATES = {
    "annotated": "read to the end",
    "truncated": "read in part: a sentence is longer than the annotator takes",
    "failed": "the annotator failed on it",
    "stored": "stored, and not annotated in its present text",
    "expected": "a subscription found it, and it is not fetched yet",
    "refused": "the record cannot be used",
    "missing": "NCBI did not return it",
    "superseded": "older than what is stored",
    "withdrawn": "PubMed has withdrawn it",
}
"""What the states of `analysis.coverage` mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledgers:
    """Figures of all that is stored; None where counting took longer than a statement may."""

    backlog: tuple[AnnotatorState, ...] | None
    failures: tuple[Failure, ...] | None
    failures_number: int
    coverage: dict[str, int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsPage:
    """What goes on, what is stored, and how many seconds ago the latter was counted."""

    work: Work
    ledgers: Ledgers
    counted_s: float
    is_empty: bool

    @property
    def known(self) -> int:
        """PMIDs that are known, whatever became of them."""
        return sum((self.ledgers.coverage or {}).values())

    @property
    def owed(self) -> int | None:
        """Citations that the promoted annotator has still to read."""
        return next((one.owed for one in self.ledgers.backlog or () if one.promoted), None)

    @property
    def rates(self) -> tuple[int, int, int]:
        """Citations fetched and annotated and sentences annotated in the last minute by the workers that are heard of."""
        heard = [one for one in self.work.workers if not one.lost]
        return (
            sum(one.recent_fetched for one in heard),
            sum(one.recent_annotated for one in heard),
            sum(one.recent_sentences for one in heard),
        )

    @property
    def minutes_left(self) -> float | None:
        """Minutes until nothing is owed, at the rate of the last one."""
        annotated = self.rates[1]
        return self.owed / annotated if self.owed and annotated else None


def read_ledgers(reader: Reader) -> Ledgers:
    """Count what is stored, each part in a snapshot of its own: one that takes too long leaves the others."""
    backlog: tuple[AnnotatorState, ...] | None = None
    failures: tuple[Failure, ...] | None = None
    number = 0
    coverage: dict[str, int] | None = None
    try:
        with reader.snapshot() as snapshot:
            backlog = tuple(list_backlog(snapshot))
            number, latest = list_failures(snapshot)
            failures = tuple(latest)
    except StatementTimeoutError:
        pass
    try:
        with reader.snapshot() as snapshot:
            coverage = count_coverage(snapshot)
    except StatementTimeoutError:
        pass
    return Ledgers(backlog=backlog, failures=failures, failures_number=number, coverage=coverage)


def read_operations(reader: Reader, ledgers: Held[Ledgers]) -> OperationsPage:
    """Return the page of operations."""
    counted = ledgers.get()
    with reader.snapshot() as snapshot:
        return OperationsPage(
            work=read_work(snapshot),
            ledgers=counted.value,
            counted_s=counted.age,
            is_empty=not has_citations(snapshot),
        )
