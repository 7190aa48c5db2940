"""Jobs: handed in by a user or the schedule, and what a worker does with one that waits."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from comention.errors import ComentionError, DatabaseError
from comention.types import Splitter
from ingest.pubmed import PubMed
from pipeline.stages.ingest_stage import pmid_summary
from pipeline.stages.subscriptions import due_subscriptions, run_tick
from storage.claims import Holder
from storage.database import Database
from storage.jobs import SCHEDULED, Job, NewJob, add_job, claim_job, divide_job, fail, finish, release
from storage.leases import Lease, LeaseLostError
from storage.subscriptions import Subscription, list_subscriptions

RENEW_EVERY = 0.3
"""The part of a lease after which `keeping` renews it."""


def hand_in_query(
    database: Database, query: str, *, since: dt.date | None = None, annotator: str | None = None, priority: int
) -> int:
    """Hand in a query for the workers to search, fetch and annotate; return the job's number."""
    source = query if since is None else f"{query} (since {since})"
    return _added(
        add_job(
            database,
            NewJob(kind="query", source=source, query=query, since=since, annotator=annotator, priority=priority),
        )
    )


def hand_in_pmids(database: Database, pmids: Sequence[int], *, annotator: str | None = None, priority: int) -> int:
    """Hand in PMIDs for the workers to fetch and annotate; return the job's number."""
    source = pmid_summary(sorted(set(pmids)))
    return _added(
        add_job(database, NewJob(kind="pmids", source=source, pmids=pmids, annotator=annotator, priority=priority))
    )


def _added(number: int | None) -> int:
    if number is None:
        raise DatabaseError("a job without a key was refused as if it had one")
    return number


def run_due_ticks(database: Database, now: dt.datetime) -> list[int]:
    """Hand in a job for every subscription that is due, one for each tick however often this is called; return the new ones.

    A tick that fails is tried again by its job, after a pause, until it is done or the next one is due.
    """
    numbers = [
        add_job(
            database,
            NewJob(
                kind="tick",
                key=f"tick:{one.subscription_id}:{tick.astimezone(dt.UTC).isoformat()}",
                source=one.name,
                subscription_id=one.subscription_id,
                tick=tick,
                annotator=one.annotator,
                priority=SCHEDULED,
            ),
        )
        for one, tick in due_subscriptions(database, now)
    ]
    return [number for number in numbers if number is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpandedJob:
    """A job and what it came to: ``batches`` for others to fetch, or ``records`` that were stored at once."""

    job: Job
    batches: int = 0
    records: int = 0
    failure: str | None = None
    given_up: bool = False


def expand_job(
    database: Database,
    pubmed: PubMed,
    splitter: Splitter,
    holder: Holder,
    job_id: int,
    *,
    batch_size: int,
    stopping: Callable[[], bool] = lambda: False,
) -> ExpandedJob | None:
    """Take a job that waits and do what it asks first; ``None`` where somebody has it, or did it.

    A query is searched and divided into batches, a list of PMIDs divided, a tick done to its end.

    Raises:
        LeaseLostError: it took so long that others have the job now.
        DatabaseError: Postgres cannot be reached, or refuses; the job is given back where that is possible.
    """
    job = claim_job(database, holder, job_id)
    if job is None:
        return None
    with done_or_given_back(database, job.lease) as outcome:
        if job.kind == "tick":
            return _tick(database, pubmed, splitter, job, stopping)
        if job.query is None:
            pmids: Sequence[int] = job.pmids
        elif job.since is None:
            pmids = pubmed.search(job.query)
        else:
            pmids = pubmed.watch(job.query, since=job.since)
        return ExpandedJob(job=job, batches=divide_job(database, job, pmids, batch_size=batch_size))
    return ExpandedJob(job=job, failure=outcome.failure, given_up=outcome.given_up)


def _tick(
    database: Database, pubmed: PubMed, splitter: Splitter, job: Job, stopping: Callable[[], bool]
) -> ExpandedJob:
    owner = _owner(database, job)
    if owner is None or job.tick is None or (owner.last_tick is not None and owner.last_tick > job.tick):
        finish(database, job.lease, detail="a later moment of the schedule has taken its place")
        return ExpandedJob(job=job)

    def go_on(_records: int) -> None:
        if stopping():
            raise StoppedError("this worker is asked to stop; another goes on where it was")

    report = run_tick(database, pubmed, owner, job.tick, splitter, on_progress=go_on, fence=job.lease.keep)
    if report is None or report.source.failure is None:
        finish(database, job.lease)
        return ExpandedJob(job=job, records=0 if report is None else report.source.counts.read)
    failure = report.source.failure
    given_up = fail(database, job.lease, failure, retryable=report.source.retryable)
    return ExpandedJob(job=job, records=report.source.counts.read, failure=failure, given_up=given_up)


def _owner(database: Database, job: Job) -> Subscription | None:
    return next((one for one in list_subscriptions(database) if one.subscription_id == job.subscription_id), None)


class StoppedError(ComentionError):
    """The worker was asked to stop between two batches."""

    retryable = True


@dataclass(slots=True)
class Outcome:
    """Why the block of `done_or_given_back` ended early."""

    failure: str | None = None
    given_up: bool = False


@contextlib.contextmanager
def done_or_given_back(database: Database, lease: Lease) -> Iterator[Outcome]:
    """Keep a lease while the block does the work. What ends it with an error is noted and tried again, or given up.

    Raises:
        LeaseLostError: the lease was lost.
        DatabaseError: Postgres cannot be reached, or refuses.
    """
    outcome = Outcome()
    try:
        with keeping(database, lease):
            yield outcome
    except LeaseLostError:
        raise
    except (DatabaseError, StoppedError) as error:
        with contextlib.suppress(DatabaseError):
            release(database, lease)
        if isinstance(error, DatabaseError):
            raise
        outcome.failure = str(error)
    except ComentionError as error:
        outcome.failure = str(error)
        outcome.given_up = fail(database, lease, str(error), retryable=error.retryable)
    except Exception as error:
        fail(database, lease, f"{type(error).__name__}: {error}", retryable=False)
        raise


@contextlib.contextmanager
def keeping(database: Database, lease: Lease) -> Iterator[None]:
    """Renew a lease while the block runs, however long it takes; a process that is stopped or killed renews nothing."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_EVERY * lease.seconds):
            try:
                with database.transaction() as connection:
                    lease.keep(connection)
            except LeaseLostError:
                return  # the block finds out when it commits
            except DatabaseError:
                continue  # it may be back next time

    thread = threading.Thread(target=renew, name="keep-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
