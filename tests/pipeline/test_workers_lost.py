"""Celery workers killed, stopped and cut off: what is left in the end is what one undisturbed process leaves."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from storage.database import Database
from storage.quarantine import list_quarantined
from tests.forked import Forks
from tests.ncbi import NcbiServer, make_articles
from tests.plugins.hazard_annotator import DEADLY
from tests.workers import CITATIONS, SLOW, Plant, Worker, content, wait_until


def test_workers_that_are_killed_lose_nothing_and_do_nothing_twice(plant: Plant, inline: dict[str, object]) -> None:
    plant.start("beat", **SLOW)
    plant.start("default", **SLOW)
    number = plant.hand_in()
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
    plant.finish(number)
    assert content(plant.database) == inline


def test_a_citation_that_ends_every_process_is_given_up_and_all_others_are_done(
    forks: Forks, tmp_path: Path, database_address: str, database: Database
) -> None:
    articles = make_articles(120)
    articles[57] = replace(articles[57], abstract=f"A patient took lithium. Here {DEADLY}.")
    deaths = 0
    with (
        NcbiServer(articles, enforce_rate=False) as ncbi,
        Plant(forks, tmp_path, database_address, database, ncbi, COMENTION_ANNOTATE__ANNOTATOR="deadly") as plant,
    ):
        plant.start("fetch,default")
        plant.start("beat")
        annotator = plant.start("annotate")
        number = plant.hand_in()

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
    plant: Plant, inline: dict[str, object]
) -> None:
    plant.start("fetch,default", **SLOW)
    plant.start("beat", **SLOW)
    stopped = plant.start("annotate", **SLOW)
    number = plant.hand_in()
    wait_until(lambda: plant.count("annotation_claim", "leased_until > now()") > 0, 60, "something in hand")
    stopped.process.send_signal(signal.SIGSTOP)
    plant.start("annotate", **SLOW)
    plant.finish(number)
    assert content(plant.database) == inline
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.kill(signal.SIGTERM) == 0
    assert content(plant.database) == inline


def test_a_fetcher_that_was_stopped_in_the_middle_of_a_batch_loses_it(
    forks: Forks, tmp_path: Path, database_address: str, database: Database, inline: dict[str, object]
) -> None:
    stopped: list[Worker] = []

    def stop_the_first(server: NcbiServer) -> None:
        if stopped and sum(asked.utility == "efetch" for asked in server.requests) == 3:
            os.kill(stopped.pop().process.pid, signal.SIGSTOP)

    with (
        NcbiServer(make_articles(CITATIONS), enforce_rate=False, before_answer=stop_the_first) as ncbi,
        Plant(forks, tmp_path, database_address, database, ncbi, COMENTION_NCBI__BATCH_SIZE="20") as plant,
    ):
        first = plant.start("fetch", threads=1)
        stopped.append(first)
        plant.start("annotate,default")
        plant.start("beat")
        number = plant.hand_in()
        wait_until(lambda: not stopped, 60, "the fetcher stopped")
        plant.start("fetch", threads=1)
        plant.finish(number)
        assert content(database) == inline
        first.process.send_signal(signal.SIGCONT)
        assert first.kill(signal.SIGTERM) == 0
        assert content(database) == inline
