"""The upkeep of every night: update files where that is wanted, counts folded and checked on a sample, sentences indexed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from comention.settings import Settings
from pipeline.stages.bulk import ingest_releases, resolve_place
from pipeline.terminal.console import progress_bars
from pipeline.workers.jobs import done_or_given_back
from storage.claims import Holder
from storage.cooccurrence import find_drift, fold_counts, vacuum_counts
from storage.database import Database
from storage.jobs import SCHEDULED, NewJob, add_job, claim_job, fail, finish
from storage.search import index_sentences


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a night came to. ``drift`` counts cells that differ from a recount, and must be 0."""

    drift: int = 0
    indexed: int = 0
    read: int = 0
    failure: str | None = None


def hand_in_night(database: Database, day: dt.date) -> int | None:
    """Hand in the upkeep of a day; ``None`` where somebody has."""
    return add_job(database, NewJob(kind="nightly", key=f"nightly:{day}", source=f"night of {day}", priority=SCHEDULED))


def nightly(
    database: Database,
    settings: Settings,
    holder: Holder,
    job_id: int,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> Night | None:
    """Do the upkeep that a job asks for; ``None`` where somebody does, or did.

    Raises:
        LeaseLostError: it was taken over by another worker.
        DatabaseError: Postgres cannot be reached, or refuses.
    """
    job = claim_job(database, holder, job_id)
    if job is None:
        return None
    with done_or_given_back(database, job.lease) as outcome:
        read, failure = _apply_updates(database, settings) if settings.work.nightly_updates else (0, None)
        fold_counts(database)
        vacuum_counts(database)
        indexed = 0
        while not stopping() and (some := index_sentences(database, at_most=2_000)):
            indexed += some
        drift = len(find_drift(database, sample=settings.work.verify_sample))
        if drift:
            failure = f"{drift:,} counts of the sample differ from a recount: see `comention verify`"
        if failure is None:
            finish(database, job.lease)
        else:
            fail(database, job.lease, failure, retryable=False)
        return Night(drift=drift, indexed=indexed, read=read, failure=failure)
    return Night(failure=outcome.failure)


def _apply_updates(database: Database, settings: Settings) -> tuple[int, str | None]:
    """Apply the update files that are new; return the records read, and what went wrong."""
    place = resolve_place("updates", None, settings.ncbi.mirror)
    with progress_bars() as progress:
        report = ingest_releases(
            database,
            kind="updates",
            place=place,
            downloads=settings.home / "downloads",
            processes=1,
            progress=progress,
            timeout=settings.ncbi.timeout,
        )
    read = sum(source.counts.read for source in report.sources if not source.already_read)
    failure = next((f"{source.source}: {source.failure}" for source in report.sources if source.failure), None)
    if failure is None and report.gaps:
        failure = f"update files lack: {', '.join(report.gaps[:5])}"
    return read, failure
