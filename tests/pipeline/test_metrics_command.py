"""`comention metrics` on a real Postgres and a real Valkey: what is owed, and what it says when they are gone."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from comention.types import AnnotatorInfo
from ingest.rate_limit import client_url
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.runs import open_run
from tests.builders import citation
from tests.conftest import COMMAND, command_environment, run_command
from tests.pipeline.test_telemetry import free_port, scrape, wait_for

ANNOTATOR = AnnotatorInfo(
    name="lexicon", version="1", model="none", revision="r1", labels=("Drug", "Condition"), config_hash="c"
)


@contextmanager
def exporter(log: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "metrics", "--port", str(port)],
            env=command_environment(COMENTION_METRICS__REFRESH="0.2", COMENTION_LOG__FORMAT="json", **settings),
            stderr=output,
        )
        try:
            wait_for(lambda: bool(scrape(port)) or process.poll() is not None, "the exporter")
            assert process.poll() is None, log.read_text()
            yield process, port
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM


def value(port: int, name: str, **labels: str) -> float | None:
    return scrape(port).get((name, frozenset(labels.items())))


def store(database: Database, *pmids: int) -> None:
    with (
        open_run(database, kind="pmids", source="x", source_key="pmids:x") as run,
        database.transaction() as connection,
    ):
        save_citations(connection, run.run_id, [citation(pmid) for pmid in pmids])


@pytest.fixture
def owing(database: Database, database_address: str) -> int:
    """An annotator that owes three citations, and a job with 2 batches of 5 PMIDs that waits since an hour."""
    annotator_id = register_annotator(database, ANNOTATOR)
    store(database, 1, 2, 3)
    with psycopg.connect(database_address, autocommit=True) as connection:
        connection.execute("UPDATE comention.ingest_run SET started_at = now() - interval '2 hours'")
        connection.execute(
            "INSERT INTO comention.job (kind, source, priority, status, created_at) "
            "VALUES ('pmids', 'x', 9, 'fetching', now() - interval '1 hour')"
        )
        connection.execute(
            "INSERT INTO comention.fetch_batch (job_id, ordinal, pmids, priority) "
            "SELECT id, n, ARRAY[1, 2, 3, 4, 5], 9 FROM comention.job, generate_series(0, 1) n"
        )
        connection.execute(
            "INSERT INTO comention.subscription (name, query, every, created_at) "
            "VALUES ('s', 'lithium', '1h', now() - interval '90 minutes')"
        )
    return annotator_id


def test_what_is_owed_is_served(database_address: str, owing: int, tmp_path: Path) -> None:
    with (
        EmbeddedValkey(tmp_path / "valkey") as valkey,
        redis.Redis.from_url(client_url(valkey.url)) as client,
        exporter(tmp_path / "log", COMENTION_DATABASE__URL=database_address, COMENTION_REDIS__URL=valkey.url) as (
            _,
            port,
        ),
    ):
        of_annotator = {"annotator": "lexicon", "annotator_id": str(owing)}
        assert value(port, "comention_ledger_up") == 1
        assert value(port, "comention_debt_citations", **of_annotator) == 3
        assert value(port, "comention_debt_oldest_seconds", **of_annotator) == pytest.approx(7200, abs=60)
        assert value(port, "comention_given_up_citations", **of_annotator) == 0
        assert value(port, "comention_open_jobs", priority="9") == 1
        assert value(port, "comention_fetch_batches", priority="9") == 2
        assert value(port, "comention_fetch_pmids", priority="9") == 10
        assert value(port, "comention_open_job_oldest_seconds", priority="9") == pytest.approx(3600, abs=60)
        assert value(port, "comention_subscription_late_seconds") == pytest.approx(1800, abs=60)
        assert (value(port, "comention_database_bytes") or 0) > 1e6

        client.lpush("fetch", "interactive")
        client.lpush("fetch\x06\x169", "backfill", "backfill")
        client.hset("unacked", "tag", "message")
        client.zadd("unacked_index", {"tag": client.time()[0] - 30})
        assert value(port, "comention_queue_messages", queue="fetch") == 3
        assert value(port, "comention_queue_messages", queue="annotate") == 0
        assert value(port, "comention_queue_unacked") == 1
        assert value(port, "comention_queue_oldest_unacked_seconds") == pytest.approx(30, abs=5)
        assert value(port, "comention_redis_evicts") == 0
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert value(port, "comention_redis_evicts") == 1


def test_it_follows_the_ledger_and_says_when_it_cannot(
    database: Database, database_address: str, tmp_path: Path
) -> None:
    with exporter(
        tmp_path / "log",
        COMENTION_DATABASE__URL=database_address,
        COMENTION_REDIS__URL=f"redis://127.0.0.1:{free_port()}/0",
    ) as (_, port):
        assert value(port, "comention_redis_up") == 0
        assert value(port, "comention_queue_unacked") is None
        register_annotator(database, ANNOTATOR)
        store(database, 7)
        wait_for(
            lambda: value(port, "comention_debt_citations", annotator="lexicon", annotator_id="1") == 1, "the debt"
        )
        with psycopg.connect(database_address, autocommit=True) as connection:
            connection.execute("ALTER TABLE comention.job RENAME TO hidden")
            wait_for(lambda: value(port, "comention_ledger_up") == 0, "the loss")
            assert value(port, "comention_debt_citations", annotator="lexicon", annotator_id="1") is None
            assert "the ledger cannot be read" in (tmp_path / "log").read_text()
            connection.execute("ALTER TABLE comention.hidden RENAME TO job")
        wait_for(lambda: value(port, "comention_ledger_up") == 1, "the return")


def test_a_port_that_is_taken_is_said_in_one_sentence(database_address: str, tmp_path: Path) -> None:
    with exporter(tmp_path / "log", COMENTION_DATABASE__URL=database_address) as (_, port):
        outcome = run_command("metrics", "--port", str(port), COMENTION_DATABASE__URL=database_address)
    assert outcome.status == 1
    assert outcome.stderr.strip() == (
        f"comention: metrics cannot be served on 127.0.0.1:{port}: another program has the port; "
        "choose another COMENTION_METRICS__PORT"
    )
