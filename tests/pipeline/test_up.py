"""`comention up` on an empty home: real servers and workers, a log that can be read, and nothing left afterwards."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.builders import article_xml, write_articles
from tests.conftest import run_command
from tests.processes import Service, eventually, processes_with, service

SAMPLE = 121


class Home:
    """A home, and the settings under which it is used."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "home"
        self.folder = folder
        self.settings = {
            "COMENTION_HOME": str(self.path),
            "COMENTION_WORKER__STATE_FOLDER": str(folder / "state"),
            "COMENTION_WORK__SWEEP_SECONDS": "2",
            "COMENTION_WORK__LEASE_SECONDS": "5",
            "COMENTION_DASHBOARD__PORT": "0",
        }
        self._ups = 0

    @contextmanager
    def up(self, *arguments: str) -> Iterator[Service]:
        """Run everything; nothing of it may be left when it was told to end."""
        self._ups += 1
        with service(self.folder / f"up-{self._ups}.log", "up", *arguments, **self.settings) as started:
            yield started
        eventually(lambda: not self.processes(), "the end of all processes", seconds=30)

    def processes(self) -> list[int]:
        return processes_with("COMENTION_HOME", str(self.path))

    def look(self) -> Any:
        outcome = run_command("status", "--watch", "--json", **self.settings)
        assert outcome.status == 0, outcome.stderr
        return outcome.document

    def waits_for_annotated(self, citations: int) -> Any:
        """Look until so many citations are annotated and none is owed; return the look."""

        def annotated() -> Any:
            look = self.look()
            done = [one for one in look["backlog"]["annotators"] if one["done"] == citations and not one["owed"]]
            return look if done else None

        return eventually(annotated, f"{citations} annotated citations", seconds=90)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(prefix="comention-up-", ignore_cleanup_errors=True) as folder:
        yield Home(Path(folder))


@pytest.fixture
def more(tmp_path: Path) -> Path:
    """A file of citations beside the sample."""
    return write_articles(
        tmp_path / "more.xml", (article_xml(pmid, "Clozapine caused agranulocytosis.") for pmid in range(1, 201))
    )


def test_an_empty_home_becomes_an_annotated_sample_and_ctrl_c_leaves_nothing(home: Home) -> None:
    with home.up("--sample") as started:
        look = home.waits_for_annotated(SAMPLE)
        assert {name.split("-")[0] for name in (worker["name"] for worker in look["workers"])} <= {
            "fetch", "annotate", "default", "beat",
        }  # fmt: skip
        started.says(f"{SAMPLE} annotated, 0 owed")
        page = httpx2.get(_dashboard(started))
        assert page.status_code == 200
        assert "/pair?drug=" in page.text
        for name in ("comention", "fetch", "annotate", "default", "beat", "serve"):
            assert re.search(rf"^{name} +│ ", started.log, re.MULTILINE), name
        assert all("│" in line for line in started.log.splitlines())

        refused = run_command("up", **home.settings)
        assert refused.status == 1
        assert refused.stderr.startswith(f"comention: another `comention up` runs on {home.path}: end it first")
        assert len(refused.stderr.splitlines()) == 1

        before = home.processes()
        assert len(before) >= 6
        os.killpg(started.process.pid, signal.SIGINT)  # as a terminal does it
        assert started.process.wait(60) == 0
        eventually(lambda: not home.processes(), "the end of all processes", seconds=10)
    assert run_command("top", "--drug", "clozapine", **home.settings).stdout.count("clozapine")


def test_a_second_up_goes_on_with_what_is_owed_even_after_a_kill(home: Home, more: Path) -> None:
    assert run_command("ingest", "files", more, **home.settings).status == 0
    with home.up() as started:
        started.says("ready.")
        started.process.kill()
        started.process.wait()
        eventually(lambda: not home.processes(), "the end of all processes", seconds=30)
    with home.up("--sample") as started:
        started.says("the sample is stored: it was there before")
        home.waits_for_annotated(SAMPLE + 200)
        assert httpx2.get(f"{_dashboard(started)}drug?name=clozapine").status_code == 200
        started.process.send_signal(signal.SIGINT)  # to the parent alone
        assert started.process.wait(60) == 0
        assert home.processes() == []
    assert run_command("verify", **home.settings).status == 0


def test_an_embedded_server_that_is_lost_is_started_again_with_the_workers(home: Home) -> None:
    with home.up() as started:
        started.says("annotate-")
        lost = [pid for pid in home.processes() if _is_supervisor_of(pid, "valkey")]
        assert len(lost) == 1
        os.kill(lost[0], signal.SIGKILL)
        started.says("an embedded server was killed together with its supervisor; everything is started again")
        eventually(lambda: started.log.partition("started again")[2].count(" ready.") == 3, "three workers")
        assert started.end(signal.SIGTERM) == 0


def test_a_home_that_cannot_be_written_to_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run_command("up", COMENTION_HOME=str(tmp_path / "file"))
    assert outcome.status == 1
    assert "set COMENTION_HOME to another one" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def _dashboard(started: Service) -> str:
    """The address that `comention up` prints, once it does."""
    started.says("comention is at http://")
    found = re.search(r"comention is at (http://\S+/)", started.log)
    assert found is not None
    return found[1]


def _is_supervisor_of(pid: int, kind: str) -> bool:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return b"storage.embedded_supervisor" in words and kind.encode() in words
