"""What is owed and how long it has waited, as figures for Prometheus: counted in Postgres, which knows.

No worker serves these: that nothing gets on is to be seen when there is no worker.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from comention.errors import ComentionError
from pipeline.stages.subscriptions import due_subscriptions
from storage.debts import Debts, count_debts

if TYPE_CHECKING:
    from storage.database import Database

FIRST_COUNT_S = 5.0
"""Seconds that the first to ask waits for the first count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted. ``late``: seconds by which the latest subscription is overdue; ``seconds``: how long counting took."""

    debts: Debts
    late: float
    seconds: float


class LedgerCollector(Collector):
    """Counts again and again in a thread of its own: over a large corpus counting takes longer than Prometheus waits."""

    def __init__(self, database: Database, *, refresh: float) -> None:
        """Take the database, and for how many seconds a count holds; counting begins and ends with the context."""
        self._database = database
        self._refresh = refresh
        self._counted: Counted | None = None
        self._tried = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count_for_ever, name="count-debts", daemon=True)
        self._logger = structlog.stdlib.get_logger("comention.metrics")

    def __enter__(self) -> LedgerCollector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _count_for_ever(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            try:
                debts = count_debts(self._database)
                late = _latest(self._database)
            except ComentionError as error:
                self._counted = None  # what was counted before says nothing of now
                self._logger.warning("the ledger cannot be read", reason=str(error))
            else:
                self._counted = Counted(debts=debts, late=late, seconds=time.monotonic() - began)
            self._tried.set()
            self._over.wait(self._refresh)

    def describe(self) -> Iterator[Metric]:
        """Name the figures."""
        yield from (_up(False), *_families(None))

    def collect(self) -> Iterator[Metric]:
        """Tell what was counted last; where Postgres does not answer, nothing but that."""
        self._tried.wait(FIRST_COUNT_S)
        counted = self._counted
        yield _up(counted is not None)
        if counted is not None:
            yield from _families(counted)


def _latest(database: Database) -> float:
    now = dt.datetime.now(dt.UTC)
    return max(((now - tick).total_seconds() for _, tick in due_subscriptions(database, now)), default=0.0)


def _up(answers: bool) -> GaugeMetricFamily:
    return GaugeMetricFamily("comention_ledger_up", "Whether Postgres lets itself be counted in.", value=float(answers))


def _families(counted: Counted | None) -> Iterator[GaugeMetricFamily]:
    """Yield every figure, without values where nothing was counted."""
    debts = counted.debts if counted else None
    for name, field, help_text in (
        ("comention_debt_citations", "owed", "Citations that an annotator owes."),
        ("comention_debt_oldest_seconds", "oldest", "Seconds since the oldest of them was stored."),
        ("comention_claimed_citations", "in_hand", "Citations that a worker annotates at the moment."),
        ("comention_given_up_citations", "given_up", "Citations that failed too often to be tried again."),
    ):
        family = GaugeMetricFamily(name, help_text, labels=["annotator", "annotator_id"])
        for one in debts.annotators if debts else ():
            family.add_metric([one.name, str(one.annotator_id)], getattr(one, field))
        yield family
    for name, field, help_text in (
        ("comention_open_jobs", "jobs", "Jobs that are not done, by priority; the lower goes first."),
        ("comention_fetch_batches", "batches", "Batches that wait to be fetched, or are being fetched."),
        ("comention_fetch_pmids", "pmids", "PMIDs in these batches."),
        ("comention_open_job_oldest_seconds", "oldest", "Age of the oldest job that is not done."),
    ):
        family = GaugeMetricFamily(name, help_text, labels=["priority"])
        for debt in debts.fetches if debts else ():
            family.add_metric([str(debt.priority)], getattr(debt, field))
        yield family
    totals: dict[str, tuple[float | None, str]] = {
        "comention_failed_batches": (debts.failed_batches if debts else None, "Batches whose fetching was given up."),
        "comention_failed_jobs": (debts.failed_jobs if debts else None, "Jobs that were given up."),
        "comention_unfolded_changes": (
            debts.unfolded if debts else None,
            "Changes of counts that readers have to add in.",
        ),
        "comention_unindexed_citations": (
            debts.unindexed if debts else None,
            "Citations that full-text search does not find yet.",
        ),
        "comention_database_bytes": (debts.database_bytes if debts else None, "Size of the database."),
        "comention_subscription_late_seconds": (
            counted.late if counted else None,
            "Seconds by which the latest subscription is overdue.",
        ),
        "comention_ledger_count_seconds": (
            counted.seconds if counted else None,
            "Seconds that counting all this took.",
        ),
    }
    for name, (value, help_text) in totals.items():
        yield GaugeMetricFamily(name, help_text, value=value)
