"""What whoever looks after comention watches, as the analyst schema has it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from typing import Any

from storage.reading import Snapshot

RUNS_SHOWN = 15
JOBS_SHOWN = 15
FAILURES_SHOWN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionState:
    """A query that is asked again and again, and how far it has come; as `analysis.subscription`."""

    name: str
    query: str
    every: str
    paused: bool
    found: int
    lost: int
    last_tick: dt.datetime | None
    last_status: str | None
    last_detail: str | None
    last_done_tick: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A source that was brought in; as `analysis.ingest_run`."""

    run_id: int
    kind: str
    source: str
    status: str
    detail: str | None
    started_at: dt.datetime
    finished_at: dt.datetime | None
    requested: int
    stored: int
    unchanged: int
    left_out: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What was handed in for the workers; as `analysis.job`."""

    job_id: int
    kind: str
    source: str
    status: str
    detail: str | None
    created_at: dt.datetime
    found: int | None
    fetched: int
    batches_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerState:
    """A worker process; as `analysis.worker`."""

    name: str
    kind: str
    queues: tuple[str, ...]
    concurrency: int
    host: str
    state: str
    doing: str
    restarts: int
    seen_at: dt.datetime
    lost: bool
    failed: int
    recent_fetched: int
    recent_annotated: int
    recent_sentences: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorState:
    """How far an annotator is; as `analysis.backlog`."""

    annotator: str
    annotator_id: int
    promoted: bool
    done: int
    truncated: int
    given_up: int
    owed: int
    in_hand: int
    mentions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What was given up; as `analysis.quarantine`."""

    stage: str
    pmid: int | None
    annotator: str | None
    job_id: int | None
    batch: int | None
    attempts: int
    since: dt.datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What goes on: cheap to read, however much is stored. ``jobs`` are the open ones first, then the latest."""

    subscriptions: tuple[SubscriptionState, ...]
    runs: tuple[RunState, ...]
    jobs: tuple[JobState, ...]
    jobs_open: int
    to_fetch: int
    """PMIDs of open jobs that are not fetched yet."""
    workers: tuple[WorkerState, ...]
    unsearched: int
    size_bytes: int


def read_work(snapshot: Snapshot) -> Work:
    """Return subscriptions, runs, jobs and workers as they are now."""
    totals = snapshot.rows(
        "SELECT (SELECT count(*) FROM analysis.job WHERE status IN ('waiting', 'fetching')) AS jobs_open, "
        "(SELECT coalesce(sum(coalesce(found, 0) - fetched), 0)::bigint FROM analysis.job WHERE status = 'fetching') "
        "AS to_fetch, analysis.search_backlog() AS unsearched, pg_database_size(current_database()) AS size_bytes"
    )[0]
    return Work(
        subscriptions=tuple(
            SubscriptionState(**row)
            for row in _rows(snapshot, SubscriptionState, "analysis.subscription ORDER BY name LIMIT 200")
        ),
        runs=tuple(
            RunState(**row) for row in _rows(snapshot, RunState, f"analysis.ingest_run ORDER BY run_id DESC LIMIT {RUNS_SHOWN}")
        ),
        jobs=tuple(
            JobState(**row)
            for row in _rows(
                snapshot,
                JobState,
                "analysis.job ORDER BY status NOT IN ('waiting', 'fetching'), "
                f"CASE WHEN status IN ('waiting', 'fetching') THEN priority END, job_id DESC LIMIT {JOBS_SHOWN}",
            )
        ),
        workers=tuple(
            WorkerState(**{**row, "queues": tuple(row["queues"])})
            for row in _rows(snapshot, WorkerState, "analysis.worker ORDER BY lost, kind DESC, name LIMIT 200")
        ),
        **totals,
    )  # fmt: skip


def list_backlog(snapshot: Snapshot) -> list[AnnotatorState]:
    """Return how far each annotator is, the promoted one first; it reads the ledger of every citation."""
    rows = _rows(snapshot, AnnotatorState, "analysis.backlog ORDER BY promoted DESC, annotator_id DESC")
    return [AnnotatorState(**row) for row in rows]


def list_failures(snapshot: Snapshot) -> tuple[int, list[Failure]]:
    """Return how many things were given up, and the latest of them; it reads the ledger of every citation."""
    rows = snapshot.rows(
        "SELECT *, count(*) OVER () AS number FROM analysis.quarantine ORDER BY since DESC NULLS LAST, pmid LIMIT :limit",
        limit=FAILURES_SHOWN,
    )
    number = rows[0]["number"] if rows else 0
    return number, [Failure(**{name: value for name, value in row.items() if name != "number"}) for row in rows]


def count_coverage(snapshot: Snapshot) -> dict[str, int]:
    """Return how many PMIDs are in each state of `analysis.coverage`, most first; it reads every PMID that is known."""
    rows = snapshot.rows("SELECT state, count(*) AS pmids FROM analysis.coverage GROUP BY state ORDER BY 2 DESC, 1")
    return {row["state"]: row["pmids"] for row in rows}


def _rows(snapshot: Snapshot, kind: type[Any], source: str) -> list[dict[str, Any]]:
    columns = ", ".join(field.name for field in fields(kind))
    return snapshot.rows(f"SELECT {columns} FROM {source}")  # noqa: S608 - our own names
