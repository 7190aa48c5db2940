"""Jobs for the workers and the batches that they are fetched in: handed in, taken, divided, done, tried again or given up."""
# ruff: noqa: S608 - statements are put together from names and conditions of this module; what comes from outside is bound

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert

from storage.claims import Holder
from storage.copy import copy_rows
from storage.database import Database
from storage.leases import Lease
from storage.schema import job as job_table

JobKind = Literal["query", "pmids", "tick", "nightly"]

INTERACTIVE, SCHEDULED, BACKFILL = 0, 6, 9
"""Priorities: somebody waits for it, the schedule wants it, nobody waits. The lower goes first, in Postgres and in Redis."""

MAX_FAILURES = 3
"""How often a job or batch may end with an error that does not pass by itself before it is left for somebody to look at."""

MAX_ATTEMPTS = 20
"""How often it may be taken up at all: more only where whoever takes it up is lost each time."""

FIRST_PAUSE, LONGEST_PAUSE = 15.0, 900.0
"""Seconds before a second attempt, and at most before any; each pause is twice the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is handed in. There is one job at most of each ``key``."""

    kind: JobKind
    source: str
    priority: int
    key: str | None = None
    query: str | None = None
    since: dt.date | None = None
    pmids: Sequence[int] | None = None
    subscription_id: int | None = None
    tick: dt.datetime | None = None
    annotator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job that is ours while ``lease`` lasts."""

    lease: Lease
    kind: JobKind
    source: str
    priority: int
    query: str | None
    since: dt.date | None
    pmids: tuple[int, ...]
    subscription_id: int | None
    tick: dt.datetime | None
    annotator: str | None

    @property
    def job_id(self) -> int:
        """Its number."""
        return self.lease.job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchBatch:
    """A batch of a job that is ours while ``lease`` lasts."""

    lease: Lease
    kind: JobKind
    source: str
    priority: int
    pmids: tuple[int, ...]
    annotator: str | None

    @property
    def source_key(self) -> str:
        """What makes its ingest run the same run again."""
        return f"job:{self.lease.job_id}:{self.lease.ordinal}"


def add_job(database: Database, new: NewJob) -> int | None:
    """Hand a job in and return its number; ``None`` where there is one of its key already."""
    values = {
        name: getattr(new, name)
        for name in ("kind", "source", "priority", "key", "query", "since", "subscription_id", "tick", "annotator")
    }
    pmids = None if new.pmids is None else sorted(set(new.pmids))
    with database.transaction() as connection:
        number: int | None = connection.execute(
            insert(job_table)
            .values(**values, pmids=pmids)
            .on_conflict_do_nothing(index_elements=["key"])
            .returning(job_table.c.id)
        ).scalar_one_or_none()
        return number


_TAKE = """
    SET lease = :lease, worker = :worker, attempts = attempts + 1,
        leased_until = clock_timestamp() + make_interval(secs => :seconds)
"""
_LOST_BY = "CASE WHEN lease IS NOT NULL THEN worker END AS lost_by"
# Whoever let the lease run out may be stopped, and hold the lock of the source in a session that nobody else would end: the
# sweep finds workers by the rows that bear their name, and these bear ours now.
_END = (
    "(SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN free ON a.application_name = free.lost_by "
    "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND free.lost_by <> :worker) AS ended"
)
_FREE = "retry_at <= clock_timestamp() AND (lease IS NULL OR leased_until <= clock_timestamp())"


def claim_job(database: Database, holder: Holder, job_id: int) -> Job | None:
    """Take a job that waits; ``None`` where it does not, or somebody has it."""
    number = uuid4()
    with database.autocommit() as connection:
        row = connection.execute(
            text(
                f"WITH free AS MATERIALIZED (SELECT id, {_LOST_BY} FROM comention.job "
                f"WHERE id = :id AND status = 'waiting' AND {_FREE} FOR UPDATE SKIP LOCKED), "
                f"taken AS (UPDATE comention.job {_TAKE} WHERE id = (SELECT id FROM free) "
                "RETURNING id, kind, source, priority, query, since, pmids, subscription_id, tick, annotator) "
                f"SELECT t.*, {_END} FROM taken t"
            ),
            {"id": job_id, "lease": number, "worker": holder.name, "seconds": holder.lease_seconds},
        ).one_or_none()
    if row is None:
        return None
    return Job(
        lease=Lease(table="job", job_id=row.id, ordinal=0, number=number, seconds=holder.lease_seconds),
        kind=row.kind,
        source=row.source,
        priority=row.priority,
        query=row.query,
        since=row.since,
        pmids=tuple(row.pmids or ()),
        subscription_id=row.subscription_id,
        tick=row.tick,
        annotator=row.annotator,
    )


def divide_job(database: Database, job: Job, pmids: Sequence[int], *, batch_size: int) -> int:
    """Divide what a job came to into batches for the workers, and return how many; without any PMID it is done.

    Raises:
        LeaseLostError: it was taken over by another worker.
    """
    batches = [pmids[start : start + batch_size] for start in range(0, len(pmids), batch_size)]
    with database.transaction() as connection:
        job.lease.keep(connection)
        copy_rows(
            connection,
            "fetch_batch",
            ("job_id", "ordinal", "pmids", "priority"),
            [(job.job_id, ordinal, list(batch), job.priority) for ordinal, batch in enumerate(batches)],
        )
        connection.execute(
            text(
                "UPDATE comention.job SET status = :status, found = :found, pmids = NULL, lease = NULL, detail = NULL, "
                "finished_at = CASE WHEN :status = 'done' THEN clock_timestamp() END WHERE id = :id"
            ),
            {"status": "fetching" if batches else "done", "found": len(pmids), "id": job.job_id},
        )
    return len(batches)


def claim_fetch_batch(database: Database, holder: Holder, *, priority_at_most: int = BACKFILL) -> FetchBatch | None:
    """Take the most urgent batch that waits, of the jobs up to a priority; ``None`` where there is none."""
    number = uuid4()
    with database.autocommit() as connection:
        row = connection.execute(
            text(
                f"WITH free AS MATERIALIZED (SELECT job_id, ordinal, {_LOST_BY} FROM comention.fetch_batch "
                f"WHERE status = 'waiting' AND priority <= :priority AND {_FREE} "
                "ORDER BY priority, job_id, ordinal LIMIT 1 FOR UPDATE SKIP LOCKED), "
                f"taken AS (UPDATE comention.fetch_batch {_TAKE} "
                "WHERE (job_id, ordinal) = (SELECT job_id, ordinal FROM free) "
                "RETURNING job_id, ordinal, pmids, priority) "
                f"SELECT t.*, j.kind, j.source, j.annotator, {_END} FROM taken t JOIN comention.job j ON j.id = t.job_id"
            ).bindparams(priority=priority_at_most, lease=number, worker=holder.name, seconds=holder.lease_seconds)
        ).one_or_none()
    if row is None:
        return None
    return FetchBatch(
        lease=Lease(
            table="fetch_batch", job_id=row.job_id, ordinal=row.ordinal, number=number, seconds=holder.lease_seconds
        ),
        kind=row.kind,
        source=row.source,
        priority=row.priority,
        pmids=tuple(row.pmids),
        annotator=row.annotator,
    )


def finish(database: Database, lease: Lease, *, run_id: int | None = None, detail: str | None = None) -> None:
    """Close a job or batch as done; the last batch closes its job.

    Raises:
        LeaseLostError: it was taken over by another worker.
    """
    _close(database, lease, status="done", run_id=run_id, detail=detail)


def fail(database: Database, lease: Lease, reason: str, *, retryable: bool, run_id: int | None = None) -> bool:
    """Note why an attempt ended; it is tried again after a pause, or given up. Returns whether it was given up.

    What may pass by itself, as an NCBI that does not answer, is tried for ever.

    Raises:
        LeaseLostError: it was taken over by another worker.
    """
    with database.transaction() as connection:
        lease.keep(connection)
        row = connection.execute(
            text(f"SELECT attempts, failures FROM comention.{lease.table} WHERE {lease.condition}"),
            lease.key,
        ).one()
    failures = row.failures + 1
    if not retryable and failures >= MAX_FAILURES:
        _close(database, lease, status="failed", run_id=run_id, detail=reason, failures=failures)
        return True
    pause = min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE)
    with database.transaction() as connection:
        lease.keep(connection)
        connection.execute(
            text(
                f"UPDATE comention.{lease.table} SET lease = NULL, failures = :failures, detail = :reason, "
                "retry_at = clock_timestamp() + make_interval(secs => :pause) "
                f"WHERE {lease.condition}"
            ),
            {**lease.key, "failures": failures, "reason": reason, "pause": pause},
        )
    return False


def release(database: Database, lease: Lease) -> None:
    """Give a job or batch back as it was; the attempt is not counted."""
    with database.transaction() as connection:
        connection.execute(
            text(f"UPDATE comention.{lease.table} SET lease = NULL, attempts = attempts - 1 WHERE {lease.condition}"),
            lease.key,
        )


def _close(
    database: Database,
    lease: Lease,
    *,
    status: Literal["done", "failed"],
    run_id: int | None,
    detail: str | None,
    failures: int | None = None,
) -> None:
    values = {
        **lease.key,
        "status": status,
        "detail": detail,
        "failures": failures,
    }
    changes = (
        "status = :status, detail = :detail, failures = coalesce(:failures, failures), lease = NULL, "
        "finished_at = clock_timestamp()"
    )
    with database.transaction() as connection:
        if lease.table == "fetch_batch":
            # The job first, so that of two batches that end together the later one sees the other.
            connection.execute(
                text("SELECT FROM comention.job WHERE id = :job_id FOR NO KEY UPDATE"), {"job_id": lease.job_id}
            )
            values["run_id"] = run_id
            changes += ", run_id = :run_id"
        lease.keep(connection)
        connection.execute(
            text(f"UPDATE comention.{lease.table} SET {changes} WHERE {lease.condition}"),
            values,
        )
        if lease.table == "fetch_batch":
            _close_job(connection, lease.job_id)


def _close_job(connection: Connection, job_id: int) -> None:
    """Close a job of which no batch waits any more."""
    connection.execute(
        text(
            "UPDATE comention.job j SET finished_at = clock_timestamp(), status = CASE WHEN b.failed = 0 THEN 'done' "
            "ELSE 'failed' END, detail = CASE WHEN b.failed > 0 THEN b.failed || ' of ' || b.batches || ' batches were "
            "given up: see comention quarantine list' END "
            "FROM (SELECT count(*) AS batches, count(*) FILTER (WHERE status = 'failed') AS failed "
            "FROM comention.fetch_batch WHERE job_id = :job_id) b "
            "WHERE j.id = :job_id AND j.status = 'fetching' AND NOT EXISTS (SELECT FROM comention.fetch_batch "
            "WHERE job_id = :job_id AND status = 'waiting')"
        ),
        {"job_id": job_id},
    )


def batch_pmids(database: Database, job_id: int, ordinal: int) -> list[int]:
    """Return the PMIDs of a batch; none where there is no such batch."""
    with database.transaction() as connection:
        found = connection.execute(
            text("SELECT pmids FROM comention.fetch_batch WHERE job_id = :job_id AND ordinal = :ordinal"),
            {"job_id": job_id, "ordinal": ordinal},
        ).scalar_one_or_none()
        return list(found or ())


def list_free_jobs(database: Database, *, at_most: int) -> list[tuple[int, JobKind, int]]:
    """Return the jobs that wait for their search and nobody has: number, kind and priority, the most urgent first."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                f"SELECT id, kind, priority FROM comention.job WHERE status = 'waiting' AND {_FREE} "
                "ORDER BY priority, id LIMIT :at_most"
            ),
            {"at_most": at_most},
        )
        return [(row.id, row.kind, row.priority) for row in rows]


def list_free_batches(database: Database, *, at_most: int, priority_at_most: int = BACKFILL) -> list[int]:
    """Return the priorities of the batches that wait and nobody has, the most urgent first."""
    with database.transaction() as connection:
        return list(
            connection.execute(
                text(
                    f"SELECT priority FROM comention.fetch_batch WHERE status = 'waiting' AND {_FREE} "
                    "AND priority <= :priority ORDER BY priority, job_id, ordinal LIMIT :at_most"
                ),
                {"at_most": at_most, "priority": priority_at_most},
            ).scalars()
        )


def give_up_lost(database: Database) -> int:
    """Give up what was taken up ``MAX_ATTEMPTS`` times and never ended; return how many jobs and batches."""
    lost = {"attempts": MAX_ATTEMPTS, "reason": f"each of {MAX_ATTEMPTS} workers that took it up was lost"}
    given_up = 0
    with database.transaction() as connection:
        jobs = connection.execute(
            text(
                "UPDATE comention.job SET status = 'failed', detail = :reason, lease = NULL, "
                "finished_at = clock_timestamp() "
                f"WHERE status = 'waiting' AND failures = 0 AND attempts >= :attempts AND {_FREE}"
            ),
            lost,
        )
        given_up += jobs.rowcount
    with database.transaction() as connection:
        batches = connection.execute(
            text(
                "SELECT job_id, ordinal FROM comention.fetch_batch "
                f"WHERE status = 'waiting' AND failures = 0 AND attempts >= :attempts AND {_FREE}"
            ),
            lost,
        ).all()
    for row in batches:
        with database.transaction() as connection:
            connection.execute(text("SELECT FROM comention.job WHERE id = :id FOR NO KEY UPDATE"), {"id": row.job_id})
            given_up += connection.execute(
                text(
                    "UPDATE comention.fetch_batch SET status = 'failed', detail = :reason, lease = NULL, "
                    "finished_at = clock_timestamp() WHERE job_id = :job AND ordinal = :ordinal AND status = 'waiting' "
                    f"AND {_FREE}"
                ),
                {"job": row.job_id, "ordinal": row.ordinal, "reason": lost["reason"]},
            ).rowcount
            _close_job(connection, row.job_id)
    return given_up


def list_wanted_annotators(database: Database) -> list[str]:
    """Return the names of annotators that subscriptions and jobs of the last week ask for beside that of the settings."""
    with database.transaction() as connection:
        return list(
            connection.execute(
                text(
                    "SELECT annotator FROM comention.subscription WHERE annotator IS NOT NULL AND NOT paused "
                    "UNION SELECT annotator FROM comention.job WHERE annotator IS NOT NULL "
                    "AND coalesce(finished_at, now()) > now() - interval '7 days' ORDER BY annotator"
                )
            ).scalars()
        )
