"""Fetching by many workers at once: each takes the most urgent batch that waits, and stores it while it is its own."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from comention.errors import ComentionError, DatabaseError
from comention.types import Splitter
from ingest.pubmed import PubMed
from pipeline.stages.ingest_stage import RunName, SourceReport, ingest_pmids
from storage.claims import Holder
from storage.database import Database
from storage.jobs import BACKFILL, FetchBatch, claim_fetch_batch, fail, finish, release
from storage.leases import LeaseLostError
from storage.runs import find_finished_run


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedBatch:
    """A batch and what became of it. ``given_up`` says that it is in quarantine now."""

    batch: FetchBatch
    report: SourceReport
    given_up: bool = False


def fetch_batch(
    database: Database, pubmed: PubMed, splitter: Splitter, holder: Holder, *, priority_at_most: int = BACKFILL
) -> FetchedBatch | None:
    """Take the most urgent batch that waits, fetch and store it; ``None`` where there is none.

    One that was interrupted goes on after what was committed of it. What NCBI did not answer is tried again after a pause.

    Raises:
        LeaseLostError: it took so long that others have the batch now.
        DatabaseError: Postgres cannot be reached, or refuses; the batch is given back where that is possible.
    """
    batch = claim_fetch_batch(database, holder, priority_at_most=priority_at_most)
    if batch is None:
        return None
    try:
        return _fetch(database, pubmed, splitter, batch)
    except LeaseLostError:
        raise
    except DatabaseError:
        with contextlib.suppress(DatabaseError):
            release(database, batch.lease)
        raise
    except ComentionError as error:
        fail(database, batch.lease, str(error), retryable=error.retryable)
        raise
    except Exception as error:
        fail(database, batch.lease, f"{type(error).__name__}: {error}", retryable=False)
        raise


def _fetch(database: Database, pubmed: PubMed, splitter: Splitter, batch: FetchBatch) -> FetchedBatch:
    done = find_finished_run(database, batch.source_key)
    if done is not None:  # by a worker that was lost before it could say so
        finish(database, batch.lease, run_id=done.run_id)
        report = SourceReport(source=batch.source, counts=done.counts, already_read=True)
        return FetchedBatch(batch=batch, report=report)
    runs: list[int] = []
    report = ingest_pmids(
        database,
        pubmed,
        batch.pmids,
        splitter,
        ledger=RunName(kind=batch.kind, source=batch.source, source_key=batch.source_key),
        on_run=runs.append,
        fence=batch.lease.keep,
    )
    if report.failure is None:
        finish(database, batch.lease, run_id=runs[0])
        return FetchedBatch(batch=batch, report=report)
    given_up = fail(database, batch.lease, report.failure, retryable=report.retryable, run_id=runs[0])
    return FetchedBatch(batch=batch, report=report, given_up=given_up)
