"""What was tried too often and is left for somebody to look at: citations of an annotator, batches to fetch, jobs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text

from storage.annotations import MAX_ATTEMPTS
from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One thing that is not tried again, and why. ``pmid`` is that of a citation, ``job_id`` that of a job or its batch."""

    stage: Literal["annotate", "fetch", "job"]
    pmid: int | None
    annotator: str | None
    job_id: int | None
    ordinal: int | None
    attempts: int
    since: dt.datetime
    reason: str


def list_quarantined(database: Database, *, limit: int = 1000) -> list[Quarantined]:
    """Return what is in quarantine, the latest first, ``limit`` of each stage at most."""
    bounds = {"limit": limit, "attempts": MAX_ATTEMPTS}
    with database.transaction() as connection:
        rows = [
            *connection.execute(
                text(
                    "SELECT 'annotate' AS stage, a.pmid, n.name || ' ' || left(n.revision, 8) AS annotator, "
                    "NULL::bigint AS job_id, NULL::integer AS ordinal, a.attempts, a.annotated_at AS since, "
                    "a.detail AS reason FROM comention.annotation a JOIN comention.citation c USING (pmid, content_hash) "
                    "JOIN comention.annotator n ON n.id = a.annotator_id "
                    "WHERE a.status = 'failed' AND a.attempts >= :attempts ORDER BY a.annotated_at DESC, a.pmid LIMIT :limit"
                ),
                bounds,
            ).mappings(),
            *connection.execute(
                text(
                    "SELECT 'fetch' AS stage, NULL::integer AS pmid, NULL::text AS annotator, job_id, ordinal, attempts, "
                    "finished_at AS since, detail AS reason FROM comention.fetch_batch WHERE status = 'failed' "
                    "ORDER BY finished_at DESC LIMIT :limit"
                ),
                bounds,
            ).mappings(),
            *connection.execute(
                text(
                    "SELECT 'job' AS stage, NULL::integer AS pmid, NULL::text AS annotator, id AS job_id, "
                    "NULL::integer AS ordinal, attempts, finished_at AS since, coalesce(detail, 'no reason given') AS reason "
                    "FROM comention.job j WHERE status = 'failed' AND NOT EXISTS "
                    "(SELECT FROM comention.fetch_batch f WHERE f.job_id = j.id) ORDER BY finished_at DESC LIMIT :limit"
                ),
                bounds,
            ).mappings(),
        ]
    return [Quarantined(**row) for row in rows]


def retry_quarantined(
    database: Database, *, pmids: Sequence[int] | None = None, job_ids: Sequence[int] | None = None
) -> int:
    """Let what is in quarantine be tried anew: these citations and jobs, or all where neither is given; return how many.

    Citations keep what was found in their other sentences until they are annotated again.
    """
    everything = pmids is None and job_ids is None
    values = {
        "attempts": MAX_ATTEMPTS,
        "pmids": None if everything else list(pmids or ()),
        "jobs": None if everything else list(job_ids or ()),
    }
    retried = 0
    with database.transaction() as connection:
        retried += connection.execute(
            text(
                "UPDATE comention.annotation SET attempts = 0 WHERE (pmid, annotator_id) IN (SELECT a.pmid, a.annotator_id "
                "FROM comention.annotation a JOIN comention.citation c USING (pmid, content_hash) "
                "WHERE a.status = 'failed' AND a.attempts >= :attempts "
                "AND (CAST(:pmids AS integer[]) IS NULL OR a.pmid = ANY (:pmids)) ORDER BY a.pmid, a.annotator_id "
                "FOR NO KEY UPDATE OF a)"
            ),
            values,
        ).rowcount
    with database.transaction() as connection:
        jobs = connection.execute(
            text(
                "SELECT id, EXISTS (SELECT FROM comention.fetch_batch f WHERE f.job_id = j.id) AS divided "
                "FROM comention.job j WHERE (status = 'failed' OR EXISTS (SELECT FROM comention.fetch_batch f "
                "WHERE f.job_id = j.id AND f.status = 'failed')) "
                "AND (CAST(:jobs AS bigint[]) IS NULL OR id = ANY (:jobs)) ORDER BY id FOR NO KEY UPDATE"
            ),
            values,
        ).all()
        anew = "attempts = 0, failures = 0, retry_at = now(), finished_at = NULL, lease = NULL"
        for row in jobs:
            if row.divided:
                retried += connection.execute(
                    text(
                        f"UPDATE comention.fetch_batch SET status = 'waiting', {anew} "  # noqa: S608 - ours
                        "WHERE job_id = :id AND status = 'failed'"
                    ),
                    {"id": row.id},
                ).rowcount
            else:
                retried += 1
            connection.execute(
                text(f"UPDATE comention.job SET status = :status, {anew} WHERE id = :id"),  # noqa: S608 - ours
                {"id": row.id, "status": "fetching" if row.divided else "waiting"},
            )
    return retried
