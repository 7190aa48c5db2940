"""Work handed in, and quarantine shown and emptied, from the command line."""

from __future__ import annotations

from sqlalchemy import text

from storage.claims import Holder
from storage.database import Database
from storage.jobs import BACKFILL, INTERACTIVE, claim_job, fail, list_free_jobs
from tests.conftest import Comention


def test_jobs_are_handed_in_from_the_command_line(comention: Comention, database: Database) -> None:
    made = comention("run", "--query", "lithium[tiab]", "--annotator", "second", "--queue", "--json")
    assert made.status == 0, made.stderr
    assert "job 1 is handed in" in made.stderr
    assert made.document == {"job": 1}
    assert comention("ingest", "query", "rash", "--since", "2026-01-01", "--queue", "--backfill").status == 0
    assert comention("run", "--pmids", "3,5", "--queue").status == 0
    unknown = comention("run", "--query", "rash", "--queue", "--annotator", "nobody")
    assert (unknown.status, "there is no annotator 'nobody'" in unknown.stderr) == (2, True)
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT kind, source, priority, annotator FROM comention.job ORDER BY id"))
        assert [tuple(row) for row in rows] == [
            ("query", "lithium[tiab]", INTERACTIVE, "second"),
            ("query", "rash (since 2026-01-01)", BACKFILL, None),
            ("pmids", "3, 5", INTERACTIVE, None),
        ]
    for wrong in (
        ["run", "x.xml", "--queue"],
        ["run", "--query", "x", "--backfill"],
        ["ingest", "query", "x", "--backfill"],
    ):
        assert comention(*wrong).status == 2


def test_a_job_is_handed_in_also_where_redis_is_away(comention: Comention, database: Database) -> None:
    made = comention("run", "--pmids", "3", "--queue", COMENTION_REDIS__URL="redis://127.0.0.1:9/0")
    assert made.status == 0, made.stderr
    assert [kind for _, kind, _ in list_free_jobs(database, at_most=9)] == ["pmids"]


def test_quarantine_is_shown_and_emptied_from_the_command_line(comention: Comention, database: Database) -> None:
    assert "nothing is in quarantine" in comention("quarantine", "list").stdout
    number = comention("run", "--query", "rash[nosuch]", "--queue", "--json").document["job"]
    for _ in range(3):
        job = claim_job(database, Holder(name="comention a", lease_seconds=60), number)
        assert job is not None
        fail(database, job.lease, "PubMed does not know the search field 'nosuch'", retryable=False)
        with database.transaction() as connection:
            connection.execute(text("UPDATE comention.job SET retry_at = now()"))
    shown = comention("quarantine", "list")
    assert f"job {number}" in shown.stdout
    assert "nosuch" in shown.stdout
    assert comention("quarantine", "list", "--json").document["quarantined"][0]["stage"] == "job"
    assert comention("quarantine", "retry").status == 2
    unknown = comention("quarantine", "retry", "4711")
    assert unknown.status == 1
    assert "none of these is in quarantine" in unknown.stderr
    assert comention("quarantine", "retry", "--job", str(number)).stdout.startswith("1 let out")
    assert comention("quarantine", "retry", "--all", "--json").document == {"retried": 0}
