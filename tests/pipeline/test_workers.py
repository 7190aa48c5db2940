"""Celery workers, killed, stopped, cut off from their messages: what they leave is what one undisturbed process leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline.jobs import hand_in_query
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.jobs import BACKFILL
from tests.conftest import run_command
from tests.ncbi import NcbiServer, make_articles
from tests.workers import Plant, wait_until

CITATIONS = 400

CONTENT = {
    "citation": "SELECT pmid, title, abstract, retracted FROM analysis.citation ORDER BY pmid",
    "sentence": "SELECT sentence_id, section, start_char, end_char, text FROM analysis.sentence ORDER BY sentence_id",
    "mention": "SELECT sentence_id, label, start_char, end_char, name, concept, score FROM analysis.mention "
    "ORDER BY sentence_id, start_char, end_char, label",
    "cooccurrence": "SELECT drug, condition, sentence_count, citation_count, first_year, last_year, npmi "
    "FROM analysis.cooccurrence ORDER BY drug, condition",
    "ledger": "SELECT pmid, status, mention_count, attempts FROM comention.annotation ORDER BY pmid",
    "claims": "SELECT pmid FROM comention.annotation_claim",
    "accounts": "SELECT sum(requested) = sum(read), sum(new) FROM comention.ingest_run WHERE status = 'done'",
}


def content(database: Database) -> dict[str, object]:
    with database.transaction() as connection:
        return {name: [tuple(row) for row in connection.execute(text(query))] for name, query in CONTENT.items()}


@pytest.fixture(scope="module")
def ncbi() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(CITATIONS), enforce_rate=False) as server:
        yield server


@pytest.fixture(scope="module")
def undisturbed(postgres: EmbeddedPostgres, template: str, ncbi: NcbiServer) -> dict[str, object]:
    """What `comention run` leaves."""
    address = postgres.create_database("inline", template=template)
    settings = {
        "COMENTION_DATABASE__URL": address,
        "COMENTION_NCBI__BASE_URL": ncbi.base_url,
        "COMENTION_NCBI__EMAIL": "someone@example.org",
        "COMENTION_NCBI__API_KEY": "0123456789abcdef" * 2,
    }
    outcome = run_command("run", "--query", "patient", **settings)
    assert outcome.status == 0, outcome.stderr
    database = Database(parse_url(address, connect_timeout=10))
    found = content(database)
    database.close()
    postgres.drop_database("inline")
    return found


@pytest.fixture
def plant(tmp_path: Path, database_address: str, database: Database, ncbi: NcbiServer) -> Iterator[Plant]:
    with Plant(tmp_path, database_address, database, ncbi) as running:
        yield running


def hand_in(plant: Plant, query: str = "patient", priority: int = BACKFILL) -> int:
    number = hand_in_query(plant.database, query, priority=priority)
    plant.doorbell.job(number, "query", priority)
    return number


def finish(plant: Plant, number: int, seconds: float = 60) -> float:
    return wait_until(lambda: plant.is_done(number), seconds, f"job {number} done")


def test_a_job_goes_from_a_query_to_mentions_without_any_sweep(plant: Plant, undisturbed: dict[str, object]) -> None:
    plant.start("fetch", threads=4)
    plant.start("annotate")
    number = hand_in(plant)
    finish(plant, number)
    assert content(plant.database) == undisturbed
    assert plant.count("fetch_batch", "status = 'done' AND attempts = 1 AND run_id IS NOT NULL") == CITATIONS / 50
    assert all("ERROR" not in worker.said() for worker in plant.workers)
