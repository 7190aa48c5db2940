"""Celery workers, killed, stopped, cut off from their messages: what they leave is what one undisturbed process leaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from pipeline.jobs import hand_in_query
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.jobs import BACKFILL, INTERACTIVE
from storage.quarantine import list_quarantined
from storage.subscriptions import add_subscription
from tests.conftest import run_command
from tests.ncbi import NcbiServer, make_articles
from tests.plugins.hazard_annotator import DEADLY
from tests.workers import LEASE, Plant, wait_until

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


SLOW = {"COMENTION_ANNOTATE__ANNOTATOR": "slow"}


def test_every_message_may_come_twice_and_two_beats_and_sweeps_at_once_do_no_harm(
    plant: Plant, undisturbed: dict[str, object]
) -> None:
    add_subscription(plant.database, name="lithium", query="lithium", every="1m", annotator=None)
    for _ in range(2):
        plant.start("fetch,annotate,default", threads=3, app="tests.doubled_app")
        plant.start("beat", app="tests.doubled_app")
    number = hand_in(plant)
    for _ in range(4):
        plant.doorbell.job(number, "query", BACKFILL)
        plant.app.send_task("comention.tick")
    wait_until(lambda: plant.count("subscription_tick", "status = 'done'") == 1, 60, "the tick done")
    finish(plant, number)
    assert plant.count("job", "kind = 'tick'") == 1
    found = content(plant.database)
    for name in ("citation", "sentence", "mention", "cooccurrence", "ledger", "claims"):
        assert found[name] == undisturbed[name], name
    assert plant.count("ingest_run", "kind = 'query'") == plant.count("fetch_batch") == CITATIONS / 50


def test_messages_that_are_lost_are_sent_again(plant: Plant, undisturbed: dict[str, object]) -> None:
    plant.start("fetch,default", threads=2, **SLOW)
    plant.start("annotate", **SLOW)
    plant.start("beat", **SLOW)
    number = hand_in(plant)
    for share in range(4):
        wait_until(lambda share=share: plant.count("annotation") >= share * 50, 60, "some more annotated")  # type: ignore[misc]
        plant.redis.flushall()
    assert finish(plant, number) < 30
    assert content(plant.database) == undisturbed


def test_workers_go_on_when_the_sessions_of_all_are_ended_and_the_broker_is_killed(
    plant: Plant, undisturbed: dict[str, object]
) -> None:
    plant.start("fetch,default", **SLOW)
    plant.start("annotate", **SLOW)
    plant.start("beat", **SLOW)
    number = hand_in(plant)
    for share in range(1, 3):
        wait_until(lambda share=share: plant.count("annotation") >= share * 100, 60, "some more annotated")  # type: ignore[misc]
        with plant.database.autocommit() as connection:
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        plant.kill_broker()
    finish(plant, number)
    assert content(plant.database) == undisturbed


def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(
    plant: Plant, undisturbed: dict[str, object]
) -> None:
    plant.start("beat", **SLOW)
    plant.start("default", **SLOW)
    number = hand_in(plant)
    fetcher, annotator = plant.start("fetch", **SLOW), plant.start("annotate", **SLOW)
    wait_until(lambda: plant.count("fetch_batch", "attempts > 0") > 0, 60, "a batch begun")
    fetcher.kill()
    plant.start("fetch", **SLOW)
    for kills in range(1, 4):
        wait_until(
            lambda kills=kills: (
                plant.count("annotation") >= kills * 30  # type: ignore[misc]
                and plant.count("annotation_claim", "leased_until > now()") > 0
            ),
            60,
            "something in hand",
        )
        annotator.kill()
        annotator = plant.start("annotate", **SLOW)
    finish(plant, number)
    assert content(plant.database) == undisturbed


def test_a_citation_that_ends_every_process_is_given_up_and_all_others_are_done(
    tmp_path: Path, database_address: str, database: Database
) -> None:
    articles = make_articles(120)
    articles[57] = replace(articles[57], abstract=f"A patient took lithium. Here {DEADLY}.")
    deaths = 0
    with (
        NcbiServer(articles, enforce_rate=False) as ncbi,
        Plant(tmp_path, database_address, database, ncbi, COMENTION_ANNOTATE__ANNOTATOR="deadly") as plant,
    ):
        plant.start("fetch,default")
        plant.start("beat")
        annotator = plant.start("annotate")
        number = hand_in(plant)

        def is_done() -> bool:
            nonlocal annotator, deaths
            if annotator.process.poll() is not None:
                deaths += 1
                annotator = plant.start("annotate")
            return plant.is_done(number)

        wait_until(is_done, 90, "all but one annotated")
        assert deaths == 3
        assert plant.count("annotation", "status = 'done'") == 119
        [found] = list_quarantined(database)
        assert found.pmid == articles[57].pmid
        assert "each of 3 processes that annotated this citation ended without a result" in found.reason
        assert plant.count("annotation_claim") == 0


def test_a_worker_that_was_stopped_loses_its_work_and_wakes_to_do_no_harm(
    plant: Plant, undisturbed: dict[str, object]
) -> None:
    plant.start("fetch,default", **SLOW)
    plant.start("beat", **SLOW)
    stopped = plant.start("annotate", **SLOW)
    number = hand_in(plant)
    wait_until(lambda: plant.count("annotation_claim", "leased_until > now()") > 0, 60, "something in hand")
    stopped.process.send_signal(signal.SIGSTOP)
    plant.start("annotate", **SLOW)
    assert finish(plant, number) < 15 * LEASE
    assert content(plant.database) == undisturbed
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.kill(signal.SIGTERM) == 0
    assert content(plant.database) == undisturbed


def test_a_worker_that_is_asked_to_end_commits_what_it_has_and_gives_the_rest_back(plant: Plant) -> None:
    plant.start("fetch", **SLOW)
    annotator = plant.start("annotate", COMENTION_WORK__LEASE_SECONDS="600", **SLOW)
    hand_in(plant)
    wait_until(lambda: plant.count("annotation") > 0, 60, "something annotated")
    assert annotator.kill(signal.SIGTERM) == 0
    assert plant.count("annotation") < CITATIONS
    assert plant.count("annotation_claim") == 0


def test_what_somebody_waits_for_is_done_before_the_backlog(plant: Plant) -> None:
    backlog = hand_in(plant)
    urgent = hand_in(plant, "1:20[uid]", INTERACTIVE)
    plant.start("fetch", threads=1, **SLOW)
    plant.start("annotate", threads=1, **SLOW)
    finish(plant, backlog)
    with plant.database.transaction() as connection:
        first = connection.execute(
            text("SELECT job_id FROM comention.fetch_batch ORDER BY finished_at LIMIT 1")
        ).scalar_one()
    assert first == urgent
