"""How the database stands, as an analyst may ask it: what became of a PMID, the last runs, the subscriptions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, fields

from storage.reading import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredPmid:
    """What became of a PMID: ``state`` and ``reason`` are those of `analysis.coverage`."""

    pmid: int
    state: str
    reason: str | None
    stored: bool
    retracted: bool
    mention_count: int | None
    annotator: str | None
    subscriptions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRun:
    """A source that was brought in, and what became of its records."""

    run_id: int
    kind: str
    source: str
    status: str
    detail: str | None
    started_at: dt.datetime
    finished_at: dt.datetime | None
    requested: int | None
    stored: int
    unchanged: int
    deleted: int
    left_out: int
    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSubscription:
    """A query that is asked again and again, and how far it has come."""

    name: str
    query: str
    every: str
    paused: bool
    found: int | None
    lost: int | None
    last_tick: dt.datetime | None
    last_status: str | None
    last_detail: str | None
    last_done_tick: dt.datetime | None


def list_coverage(snapshot: Snapshot, pmids: Sequence[int]) -> list[CoveredPmid]:
    """Return what became of the PMIDs, by PMID; those that nobody ever asked for or saw are left out."""
    rows = snapshot.rows(
        f"SELECT {_columns(CoveredPmid)} FROM analysis.coverage "  # noqa: S608 - our own names
        "WHERE pmid = ANY (CAST(:pmids AS integer[])) ORDER BY pmid",
        pmids=sorted(set(pmids)),
    )
    return [CoveredPmid(**{**row, "subscriptions": tuple(row["subscriptions"])}) for row in rows]


def list_runs(snapshot: Snapshot, limit: int) -> list[IngestRun]:
    """Return the runs that were started last, the newest first."""
    rows = snapshot.rows(
        f"SELECT {_columns(IngestRun)} FROM analysis.ingest_run ORDER BY run_id DESC LIMIT :limit",  # noqa: S608
        limit=limit,
    )
    return [IngestRun(**row) for row in rows]


def list_subscriptions(snapshot: Snapshot) -> list[KnownSubscription]:
    """Return the subscriptions by name."""
    rows = snapshot.rows(f"SELECT {_columns(KnownSubscription)} FROM analysis.subscription ORDER BY name")  # noqa: S608
    return [KnownSubscription(**row) for row in rows]


def _columns(kind: type) -> str:
    return ", ".join(field.name for field in fields(kind))
