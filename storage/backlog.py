"""What is still to be done, as somebody who watches wants to know it every few seconds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.annotations import MAX_ATTEMPTS
from storage.database import Database

JOBS_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorBacklog:
    """Citations of an annotator: done, failed so often that they are not tried again, owed, and of these in hand."""

    name: str
    promoted: bool
    done: int
    given_up: int
    owed: int
    in_hand: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """A job that is not done: ``found`` PMIDs that it came to (``None`` before its search), ``fetched`` of them fetched."""

    job_id: int
    kind: str
    source: str
    status: str
    detail: str | None
    found: int | None
    fetched: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is stored, what is owed, and what was given up."""

    citations: int
    annotators: tuple[AnnotatorBacklog, ...]
    jobs: tuple[OpenJob, ...]
    """The most urgent of those that are open."""
    jobs_open: int
    jobs_failed: int
    batches_failed: int
    to_fetch: int
    """PMIDs of batches that wait or are in hand."""


def get_backlog(database: Database) -> Backlog:
    """Count what is stored, owed and given up, in one snapshot.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        totals = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM comention.citation) AS citations, "
                "(SELECT count(*) FROM comention.job WHERE status IN ('waiting', 'fetching')) AS jobs_open, "
                "(SELECT count(*) FROM comention.job WHERE status = 'failed') AS jobs_failed, "
                "(SELECT count(*) FROM comention.fetch_batch WHERE status = 'failed') AS batches_failed, "
                "(SELECT coalesce(sum(cardinality(pmids)), 0) FROM comention.fetch_batch WHERE status = 'waiting') "
                "AS to_fetch"
            )
        ).mappings()
        annotators = connection.execute(
            text(
                "SELECT a.name, a.promoted, "
                "(SELECT count(*) FROM comention.annotation l WHERE l.annotator_id = a.id AND l.status <> 'failed') AS done, "
                "(SELECT count(*) FROM comention.annotation l WHERE l.annotator_id = a.id AND l.status = 'failed' "
                "AND l.attempts >= :attempts) AS given_up, "
                "(SELECT count(*) FROM comention.owed o WHERE o.annotator_id = a.id) AS owed, "
                "(SELECT count(*) FROM comention.annotation_claim k WHERE k.annotator_id = a.id "
                "AND k.leased_until > clock_timestamp()) AS in_hand "
                "FROM comention.annotator a ORDER BY a.id"
            ),
            {"attempts": MAX_ATTEMPTS},
        ).mappings()
        jobs = connection.execute(
            text(
                "SELECT job_id, kind, source, status, detail, found, fetched FROM analysis.job "
                "WHERE status IN ('waiting', 'fetching') ORDER BY priority, job_id LIMIT :shown"
            ),
            {"shown": JOBS_SHOWN},
        ).mappings()
        return Backlog(
            **totals.one(),
            annotators=tuple(AnnotatorBacklog(**row) for row in annotators),
            jobs=tuple(OpenJob(**row) for row in jobs),
        )
