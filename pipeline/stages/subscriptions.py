"""A tick of a subscription: ask the query, fetch what is new or changed, account for all of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from comention.errors import FetchError
from comention.types import Splitter
from ingest.pubmed import PubMed
from pipeline.stages.ingest_stage import RunName, SourceReport, ingest_pmids
from pipeline.stages.schedule import parse_schedule
from storage.database import Database
from storage.leases import Fence
from storage.runs import IngestCounts
from storage.subscriptions import Found, Subscription, Tick, list_subscriptions, open_tick

OVERLAP = dt.timedelta(days=2)
"""How far before the last tick changes are asked for: NCBI's days are not ours, and its index lags behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TickReport:
    """What became of a tick. ``found`` is ``None`` where NCBI could not be asked; ``source`` says what was fetched."""

    subscription: str
    tick: dt.datetime
    found: Found | None
    source: SourceReport

    @property
    def known(self) -> int:
        """Citations that were found, are stored and have not changed."""
        return 0 if self.found is None else self.found.found - len(self.found.due)


def due_subscriptions(database: Database, now: dt.datetime) -> list[tuple[Subscription, dt.datetime]]:
    """The subscriptions that are due, each with its last moment: of the moments that were missed, one is made up."""
    due = []
    for one in list_subscriptions(database):
        latest = None if one.paused else parse_schedule(one.every, one.created_at).latest(now)
        if latest is None or (one.last_tick is not None and one.last_tick > latest):
            continue
        if one.last_tick != latest or one.last_status != "done":
            due.append((one, latest))
    return due


def next_tick(one: Subscription, now: dt.datetime) -> dt.datetime | None:
    """When a subscription is due next; ``None`` where it is paused."""
    return None if one.paused else parse_schedule(one.every, one.created_at).following(now)


def run_tick(
    database: Database,
    pubmed: PubMed,
    owner: Subscription,
    tick: dt.datetime,
    splitter: Splitter,
    *,
    remarks: list[str] | None = None,
    on_found: Callable[[Found], None] = lambda found: None,
    on_progress: Callable[[int], None] | None = None,
    fence: Fence | None = None,
) -> TickReport | None:
    """Do a tick, or go on with it where it was interrupted; ``None`` where it is done already.

    The query is asked as a whole each time, because a citation may begin to match it long after it came to PubMed, when
    it is indexed. Fetched is what is not stored, and what NCBI changed since the last tick. ``remarks`` is where
    ``pubmed`` puts what NCBI says of the query; ``fence`` is as for `ingest_pmids`.

    Raises:
        SourceBusyError: another process has a tick of the same subscription in hand.
        SettingsError: NCBI's rules ask for an address that is not configured.
    """
    with open_tick(database, owner, tick) as open_one:
        if open_one is None:
            return None
        try:
            found = open_one.found or _ask(pubmed, owner, open_one, remarks if remarks is not None else [])
        except FetchError as error:
            open_one.finish(failure=str(error))
            source = SourceReport(
                source=owner.name, counts=IngestCounts(), failure=str(error), retryable=error.retryable
            )
            return TickReport(subscription=owner.name, tick=tick, found=None, source=source)
        on_found(found)
        report = ingest_pmids(
            database,
            pubmed,
            found.due,
            splitter,
            ledger=RunName(
                kind="subscription",
                source=owner.name,
                source_key=f"subscription:{owner.subscription_id}:{tick.isoformat()}",
            ),
            on_run=open_one.note_run,
            on_progress=on_progress,
            fence=fence,
        )
        open_one.finish(failure=report.failure)
        return TickReport(subscription=owner.name, tick=tick, found=found, source=report)


def _ask(pubmed: PubMed, owner: Subscription, tick: Tick, remarks: list[str]) -> Found:
    """Search, and note what was found."""
    before = tick.since()
    since = None if before is None else (before - OVERLAP).date()
    pmids = pubmed.search(owner.query)
    changed = None if since is None else pubmed.search(owner.query, since=since, by="modified")
    return tick.record(pmids, changed, since=since, remarks=list(dict.fromkeys(remarks)))
