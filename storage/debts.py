"""What is owed, since when, and what was given up: figures for whoever watches over the work."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.annotations import MAX_ATTEMPTS
from storage.database import Database

LONGEST_COUNT_S = 300
"""Seconds after which counting is given up, so that it never stands in the way for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorDebt:
    """Citations that one annotator owes, has in hand, and has given up; ``oldest`` in seconds, of what it owes."""

    annotator_id: int
    name: str
    owed: int
    oldest: float
    in_hand: int
    given_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchDebt:
    """What waits to be fetched under one priority; ``oldest`` is the age of its oldest job, in seconds."""

    priority: int
    jobs: int
    batches: int
    pmids: int
    oldest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Debts:
    """All of it, in one snapshot. ``unfolded``: changes of counts that every reader has to add in."""

    annotators: tuple[AnnotatorDebt, ...]
    fetches: tuple[FetchDebt, ...]
    failed_batches: int
    failed_jobs: int
    unfolded: int
    unindexed: int
    database_bytes: int


_ANNOTATORS = """
WITH asked AS (
    SELECT id, name FROM comention.annotator
    WHERE promoted OR id IN (SELECT annotator_id FROM comention.annotator_choice)
), owed AS (
    SELECT o.annotator_id, count(*) AS citations, min(r.started_at) AS since
    FROM comention.owed o
    JOIN comention.citation c USING (pmid)
    LEFT JOIN comention.ingest_run r ON r.id = c.run_id
    WHERE o.annotator_id IN (SELECT id FROM asked)
    GROUP BY o.annotator_id
)
SELECT a.id AS annotator_id, a.name,
       coalesce(o.citations, 0) AS owed,
       coalesce(extract(epoch FROM now() - o.since), 0)::float AS oldest,
       (SELECT count(*) FROM comention.annotation_claim k
        WHERE k.annotator_id = a.id AND k.leased_until > now()) AS in_hand,
       (SELECT count(*) FROM comention.annotation l JOIN comention.citation c USING (pmid, content_hash)
        WHERE l.annotator_id = a.id AND l.status = 'failed' AND l.attempts >= :attempts) AS given_up
FROM asked a LEFT JOIN owed o ON o.annotator_id = a.id
ORDER BY a.id
"""

_FETCHES = """
SELECT j.priority, count(*) AS jobs,
       coalesce(sum(f.batches), 0)::bigint AS batches,
       coalesce(sum(f.pmids), 0)::bigint AS pmids,
       extract(epoch FROM now() - min(j.created_at))::float AS oldest
FROM comention.job j
CROSS JOIN LATERAL (
    SELECT count(*) AS batches, sum(cardinality(b.pmids)) AS pmids
    FROM comention.fetch_batch b WHERE b.job_id = j.id AND b.status = 'waiting'
) f
WHERE j.status IN ('waiting', 'fetching')
GROUP BY j.priority
ORDER BY j.priority
"""

_TOTALS = """
SELECT (SELECT count(*) FROM comention.fetch_batch WHERE status = 'failed') AS failed_batches,
       (SELECT count(*) FROM comention.job WHERE status = 'failed') AS failed_jobs,
       (SELECT count(*) FROM comention.cooccurrence_delta) AS unfolded,
       (SELECT count(*) FROM comention.unindexed_citation) AS unindexed,
       pg_database_size(current_database()) AS database_bytes
"""


def count_debts(database: Database) -> Debts:
    """Count what is owed by the annotators that are asked for: the promoted one, and those that workers have loaded.

    Raises:
        DatabaseError: Postgres cannot be reached, or counting took too long.
    """
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_COUNT_S}s'"))
        annotators = connection.execute(text(_ANNOTATORS), {"attempts": MAX_ATTEMPTS}).mappings()
        fetches = connection.execute(text(_FETCHES)).mappings()
        totals = connection.execute(text(_TOTALS)).mappings().one()
        return Debts(
            annotators=tuple(AnnotatorDebt(**row) for row in annotators),
            fetches=tuple(FetchDebt(**row) for row in fetches),
            **totals,
        )
