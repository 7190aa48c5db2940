"""What each task does in a worker: a slice of work, its progress told, the next message sent after the commit."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable

from pipeline.observability.logs import about
from pipeline.progress import Progress, report
from pipeline.workers import jobs, nightly
from pipeline.workers.annotate_claimed import annotate_claimed
from pipeline.workers.fetch_claimed import fetch_batch
from pipeline.workers.sweep import AT_MOST, ring_owed
from pipeline.workers.workplace import Workplace
from storage.annotations import AnnotationCounts
from storage.jobs import BACKFILL, INTERACTIVE, SCHEDULED, batch_pmids

_logger = logging.getLogger(__name__)


def search(place: Workplace, job_id: int) -> None:
    """Do what a job asks first, and say that its batches wait."""
    began = time.monotonic()
    done = jobs.expand_job(
        place.database,
        place.pubmed,
        place.splitter,
        place.holder,
        job_id,
        batch_size=place.settings.work.fetch_batch,
        stopping=place.stopping.is_set,
    )
    if done is None:
        return
    if done.failure is not None:
        _logger.warning("job %d, %s: %s", job_id, done.job.source, done.failure)
    for _ in range(min(done.batches, AT_MOST)):
        place.doorbell.fetch(done.job.priority)
    if done.records:
        place.doorbell.annotate(done.job.annotator or place.settings.annotate.annotator, priority=done.job.priority)
    report(
        Progress(
            stage="tick" if done.job.kind == "tick" else "search",
            records=done.records,
            failed=int(done.failure is not None),
            seconds=time.monotonic() - began,
            detail=f"job {job_id}: {done.job.source}",
        )
    )


def fetch(place: Workplace) -> None:
    """Fetch batches, the most urgent first, until none waits or the slice of time is over.

    While too much waits for the annotator, only what somebody waits for is fetched.
    """
    is_over = _slice(place)
    default = place.settings.annotate.annotator
    while not is_over():
        pause = place.backlog.is_full(place.database, default)
        began = time.monotonic()
        done = fetch_batch(
            place.database,
            place.pubmed,
            place.splitter,
            place.holder,
            priority_at_most=INTERACTIVE if pause else BACKFILL,
        )
        if done is None:
            return
        batch, counts = done.batch, done.report.counts
        if done.report.failure is not None:
            _logger.warning("job %d, batch %d: %s", batch.lease.job_id, batch.lease.ordinal, done.report.failure)
        if counts.stored:
            place.doorbell.annotate(
                batch.annotator or default,
                job_id=batch.lease.job_id,
                ordinal=batch.lease.ordinal,
                priority=batch.priority,
            )
        with about(pmids=batch.pmids):
            report(
                Progress(
                    stage="fetch",
                    records=counts.read,
                    failed=int(done.report.failure is not None),
                    seconds=time.monotonic() - began,
                    detail=f"job {batch.lease.job_id}, batch {batch.lease.ordinal}",
                )
            )
        if done.report.failure is not None and done.report.retryable:
            return  # NCBI is away: the next sweep asks again, and the other batches keep their first attempt
    if not place.stopping.is_set():
        place.doorbell.fetch(BACKFILL)


def annotate(place: Workplace, name: str, job_id: int | None = None, ordinal: int | None = None) -> None:
    """Annotate what is owed to the annotator called ``name``: of a batch that was fetched, or whatever it is.

    It ends with the batch, when nothing is owed, or when the slice of time is over.
    """
    loaded = place.annotator(name)
    among = None if job_id is None or ordinal is None else batch_pmids(place.database, job_id, ordinal)
    began = time.monotonic()

    def on_progress(counts: AnnotationCounts) -> None:
        nonlocal began
        now = time.monotonic()
        report(
            Progress(
                stage="annotate",
                records=counts.done + counts.truncated + counts.failed,
                sentences=counts.sentences,
                mentions=counts.mentions,
                failed=counts.failed,
                seconds=now - began,
                detail=name,
            )
        )
        began = now

    with about(annotator=name):
        _, finished = annotate_claimed(
            place.database,
            loaded.annotator,
            loaded.annotator_id,
            place.holder,
            batch_citations=place.settings.annotate.batch_citations,
            among=among,
            cursor=loaded.cursor,
            names=place.names,
            clock=place.clock,
            stopping=_slice(place),
            on_progress=on_progress,
        )
    if not finished and not place.stopping.is_set():
        place.doorbell.annotate(name, job_id=job_id, ordinal=ordinal)


def sweep(place: Workplace) -> None:
    """Send what is owed and nobody has in hand."""
    began = time.monotonic()
    owed = place.sweeper.sweep(place.database, place.settings.annotate.annotator)
    sent = ring_owed(place.doorbell, owed)
    if owed.ended or owed.given_up:
        _logger.warning(
            "%d sessions of workers that let a lease run out were ended, %d pieces of work given up",
            owed.ended,
            owed.given_up,
        )
    report(
        Progress(
            stage="sweep", records=sent, failed=owed.given_up, seconds=time.monotonic() - began, detail="messages sent"
        )
    )


def tick(place: Workplace) -> None:
    """Hand in the subscriptions that are due."""
    began = time.monotonic()
    numbers = jobs.run_due_ticks(place.database, dt.datetime.now(dt.UTC))
    for number in numbers:
        place.doorbell.job(number, "tick", SCHEDULED)
    report(Progress(stage="tick", seconds=time.monotonic() - began, detail=f"{len(numbers)} subscriptions due"))


def night(place: Workplace, job_id: int | None = None) -> None:
    """Do the upkeep of this night, once; or that of a job."""
    began = time.monotonic()
    if job_id is None:
        job_id = nightly.hand_in_night(place.database, dt.datetime.now(dt.UTC).date())
    done = (
        None
        if job_id is None
        else nightly.nightly(place.database, place.settings, place.holder, job_id, stopping=place.stopping.is_set)
    )
    if done is None:
        return
    if done.failure is not None:
        _logger.error("the nightly upkeep: %s", done.failure)
    report(
        Progress(
            stage="nightly",
            records=done.read,
            failed=int(done.failure is not None),
            seconds=time.monotonic() - began,
            detail=f"{done.drift} counts differ, {done.indexed} citations indexed",
        )
    )


def _slice(place: Workplace) -> Callable[[], bool]:
    """Return what says when to make room for others: after a slice of time, or because the process is to stop."""
    until = time.monotonic() + place.settings.work.slice_seconds
    return lambda: place.stopping.is_set() or time.monotonic() > until
