"""`comention worker` with a real Celery worker below it: what goes wrong with that one is found, and made good."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import Celery
from kombu.entity import Queue
from sqlalchemy import text

from storage.citations import save_citations
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.runs import open_run
from storage.workers import list_workers
from tests.builders import citation
from tests.conftest import run_command
from tests.processes import Service, eventually, is_alive, service

CITATIONS = 40
LIMITS = {
    "COMENTION_WORKER__SILENCE_LIMIT": "3",
    "COMENTION_WORKER__IDLE_LIMIT": "3",
    "COMENTION_WORKER__TASK_LIMIT": "60",
    "COMENTION_WORK__LEASE_SECONDS": "3",
}


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with tempfile.TemporaryDirectory(prefix="comention-test-") as home, EmbeddedValkey(Path(home)) as server:
        yield server


class Workplace:
    """A database with citations, a broker, and the settings under which workers find them."""

    def __init__(self, database: Database, address: str, broker: str, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.gate = folder / "gate"
        self.settings = {
            "COMENTION_DATABASE__URL": address,
            "COMENTION_REDIS__URL": broker,
            "COMENTION_WORKER__STATE_FOLDER": str(folder / "state"),
            "GATE": str(self.gate),
            **LIMITS,
        }
        self.celery = Celery("comention", broker=broker, set_as_current=False)
        self.celery.conf.update(
            task_queues=[Queue(name) for name in ("fetch", "annotate", "default")], task_create_missing_queues=False
        )

    @contextmanager
    def worker(self, *arguments: str, **settings: str) -> Iterator[Service]:
        with service(self.folder / "worker.log", "worker", *arguments, **{**self.settings, **settings}) as started:
            started.says("ready.")
            yield started

    def healthcheck(self, *arguments: str) -> int:
        return run_command("worker", "--healthcheck", *arguments, **self.settings).status

    def owe(self) -> None:
        """Store citations that nobody has annotated."""
        with (
            open_run(self.database, kind="file", source="t", source_key="t") as run,
            self.database.transaction() as connection,
        ):
            save_citations(connection, run.run_id, [citation(pmid) for pmid in range(1, CITATIONS + 1)])

    def ask_for_annotation(self, annotator: str = "lexicon") -> None:
        self.celery.send_task("comention.annotate", (annotator,), queue="annotate")

    def annotated(self) -> int:
        with self.database.transaction() as connection:
            return int(connection.execute(text("SELECT count(*) FROM comention.annotation")).scalar_one())

    def all_are_annotated(self) -> bool:
        return self.annotated() == CITATIONS


@pytest.fixture
def workplace(database: Database, database_address: str, valkey: EmbeddedValkey, tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(database, database_address, valkey.url, tmp_path)
    yield place
    place.celery.control.purge()
    place.celery.close()


def test_a_worker_is_found_well_while_it_runs_and_ends_by_sigterm_with_status_0(workplace: Workplace) -> None:
    assert workplace.healthcheck() == 1
    with workplace.worker() as started:
        eventually(lambda: workplace.healthcheck() == 0, "a healthy worker")
        assert workplace.healthcheck("--queues", "annotate") == 0
        row = eventually(
            lambda: next((one.row for one in list_workers(workplace.database) if one.row.state == "running"), None),
            "its row",
        )
        assert row is not None
        assert (row.kind, row.queues) == ("worker", ("fetch", "annotate", "default"))
        assert row.pid == started.child("worker")
        workplace.owe()
        workplace.ask_for_annotation()
        eventually(workplace.all_are_annotated, "the annotation")
        eventually(
            lambda: list_workers(workplace.database)[0].row.annotated == CITATIONS, "the count in the table of workers"
        )
        assert started.end() == 0
    assert list_workers(workplace.database) == []
    assert workplace.healthcheck() == 1


def test_a_supervisor_that_is_killed_takes_its_worker_along(workplace: Workplace) -> None:
    with workplace.worker("--queues", "annotate") as started:
        child = started.child("worker")
        assert child is not None
        started.process.kill()
        started.process.wait()
        eventually(lambda: not is_alive(child), "the end of the worker")
    failed = run_command("worker", "--healthcheck", **workplace.settings)
    assert (failed.status, failed.stderr) == (1, "no worker runs on this machine\n")


def test_a_stopped_worker_is_replaced_and_so_is_one_that_was_killed(workplace: Workplace) -> None:
    with workplace.worker(COMENTION_WORKER__IDLE_LIMIT="60") as started:
        stopped = started.child("worker")
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        workplace.owe()
        workplace.ask_for_annotation()  # it may swallow this message; its successor looks for what is owed
        started.says("has given no sign for 3 s; it is replaced")
        eventually(workplace.all_are_annotated, "the work of its successor")
        assert not is_alive(stopped)
        killed = started.child("worker")
        assert killed not in (None, stopped)
        os.kill(killed or 0, signal.SIGKILL)
        started.says("ended by SIGKILL; it is started again")
        eventually(lambda: started.log.count("ready.") >= 3, "a third worker")
        assert started.end() == 0


def test_a_worker_that_answers_ping_and_takes_nothing_is_replaced(workplace: Workplace) -> None:
    with workplace.worker("--queues", "annotate") as started:
        deaf = started.child("worker")
        workplace.celery.control.cancel_consumer("annotate", reply=True)
        assert workplace.celery.control.ping(timeout=20, limit=1)
        workplace.owe()
        workplace.ask_for_annotation()
        assert workplace.celery.control.ping(timeout=20, limit=1), "it answers, and does nothing"
        started.says("has taken nothing for 3 s, although messages wait and it has room; it is replaced")
        eventually(workplace.all_are_annotated, "the work of its successor")
        assert started.child("worker") != deaf


def test_a_worker_whose_task_commits_nothing_is_replaced(workplace: Workplace) -> None:
    workplace.gate.touch()
    gated = {"COMENTION_ANNOTATE__ANNOTATOR": "gated", "COMENTION_WORKER__TASK_LIMIT": "3"}
    with workplace.worker("--queues", "annotate", **gated) as started:
        workplace.owe()
        workplace.ask_for_annotation("gated")
        started.says("has committed nothing of comention.annotate for 3 s; it is replaced")
        eventually(lambda: started.log.count("ready.") >= 2, "its successor")


def test_work_in_hand_is_finished_when_a_worker_is_asked_to_end(workplace: Workplace) -> None:
    workplace.gate.touch()
    with workplace.worker("--queues", "annotate", COMENTION_ANNOTATE__ANNOTATOR="gated") as started:
        workplace.owe()
        workplace.ask_for_annotation("gated")
        eventually(workplace.gate.with_suffix(".reached").exists, "a task before the gate")
        eventually(
            lambda: any(known.row.doing == "annotate" for known in list_workers(workplace.database)), "what it does"
        )
        started.process.send_signal(signal.SIGTERM)
        started.says("Warm shutdown")
        assert workplace.annotated() == 0
        assert started.child("worker") is not None
        workplace.gate.unlink()
        assert started.process.wait(60) == 0
    assert workplace.all_are_annotated()


@pytest.mark.parametrize("impatient", [False, True], ids=["grace", "second signal"])
def test_work_that_takes_too_long_is_cut_when_a_worker_is_asked_to_end(workplace: Workplace, impatient: bool) -> None:
    workplace.gate.touch()
    settings = {"COMENTION_ANNOTATE__ANNOTATOR": "gated", "COMENTION_WORKER__GRACE": "60" if impatient else "1"}
    with workplace.worker("--queues", "annotate", **settings) as started:
        child = started.child("worker")
        assert child is not None
        workplace.owe()
        workplace.ask_for_annotation("gated")
        eventually(workplace.gate.with_suffix(".reached").exists, "a task before the gate")
        started.process.send_signal(signal.SIGINT)
        started.says("Warm shutdown")
        if impatient:
            eventually(lambda: not is_alive(child) or started.process.send_signal(signal.SIGINT), "its end")
        assert started.process.wait(60) == 0
        assert not is_alive(child)
    assert workplace.annotated() == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worker", "--queues", "fetch,anotate"], "anotate is no queue: they are fetch, annotate, default"),
        (["worker", "--queues", ","], "an empty list is no queue"),
        (["worker", "--concurrency", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_is_a_usage_error(arguments: list[str], said: str) -> None:
    outcome = run_command(*arguments)
    assert outcome.status == 2
    assert said in outcome.stderr


def test_a_state_folder_that_cannot_be_used_is_said_in_one_sentence(workplace: Workplace) -> None:
    (workplace.folder / "file").touch()
    settings = {**workplace.settings, "COMENTION_WORKER__STATE_FOLDER": str(workplace.folder / "file")}
    for arguments in (["worker"], ["worker", "--healthcheck"]):
        outcome = run_command(*arguments, **settings)
        assert outcome.status == 1
        assert "set COMENTION_WORKER__STATE_FOLDER" in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
