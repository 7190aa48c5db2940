"""Celery workers: messages doubled, urgent and slow work, an end in good order."""

from __future__ import annotations

import signal

from sqlalchemy import text

from storage.jobs import BACKFILL, INTERACTIVE
from storage.subscriptions import add_subscription
from tests.workers import CITATIONS, SLOW, Plant, content, wait_until


def test_a_job_goes_from_a_query_to_mentions_without_any_sweep(plant: Plant, inline: dict[str, object]) -> None:
    plant.start("fetch", threads=4)
    plant.start("annotate")
    number = plant.hand_in()
    plant.finish(number)
    assert content(plant.database) == inline
    assert plant.count("fetch_batch", "status = 'done' AND attempts = 1 AND run_id IS NOT NULL") == CITATIONS / 50
    assert all("ERROR" not in worker.said() for worker in plant.workers)


def test_every_message_may_come_twice_and_two_beats_and_sweeps_at_once_do_no_harm(
    plant: Plant, inline: dict[str, object]
) -> None:
    add_subscription(plant.database, name="lithium", query="lithium", every="1d", annotator=None)
    for _ in range(2):
        plant.start("fetch,annotate,default", threads=3, app="tests.doubled_app")
        plant.start("beat", app="tests.doubled_app")
    number = plant.hand_in()
    for _ in range(4):
        plant.doorbell.job(number, "query", BACKFILL)
        plant.app.send_task("comention.tick")
    wait_until(lambda: plant.count("subscription_tick", "status = 'done'") == 1, 60, "the tick done")
    plant.finish(number)
    assert plant.count("job", "kind = 'tick'") == 1
    found = content(plant.database)
    for name in ("citation", "sentence", "mention", "cooccurrence", "ledger", "claims"):
        assert found[name] == inline[name], name
    assert plant.count("ingest_run", "kind = 'query'") == plant.count("fetch_batch") == CITATIONS / 50


def test_a_worker_that_is_asked_to_end_commits_what_it_has_and_gives_the_rest_back(plant: Plant) -> None:
    plant.start("fetch", **SLOW)
    annotator = plant.start("annotate", COMENTION_WORK__LEASE_SECONDS="600", **SLOW)
    plant.hand_in()
    wait_until(lambda: plant.count("annotation") > 0, 60, "something annotated")
    assert annotator.kill(signal.SIGTERM) == 0
    assert plant.count("annotation") < CITATIONS
    assert plant.count("annotation_claim") == 0


def test_what_somebody_waits_for_is_done_before_the_backlog(plant: Plant) -> None:
    backlog = plant.hand_in()
    urgent = plant.hand_in("1:20[uid]", INTERACTIVE)
    plant.start("fetch", threads=1, **SLOW)
    plant.start("annotate", threads=1, **SLOW)
    plant.finish(backlog)
    with plant.database.transaction() as connection:
        first = connection.execute(
            text("SELECT job_id FROM comention.fetch_batch ORDER BY finished_at LIMIT 1")
        ).scalar_one()
    assert first == urgent
