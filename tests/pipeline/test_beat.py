"""`comention beat`: it sends what is due, and is replaced where it hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.overview.queue_depths import QueueDepths
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.workers import list_workers
from tests.conftest import run_command
from tests.processes import eventually, is_alive, service


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with EmbeddedValkey(tmp_path / "home") as server:
        yield server


def test_beat_sends_what_is_due_and_is_replaced_where_it_hangs(
    database: Database, database_address: str, broker: EmbeddedValkey, tmp_path: Path
) -> None:
    settings = {
        "COMENTION_DATABASE__URL": database_address,
        "COMENTION_REDIS__URL": broker.url,
        "COMENTION_WORK__SWEEP_SECONDS": "1",
        "COMENTION_WORKER__SILENCE_LIMIT": "3",
        "COMENTION_WORKER__STATE_FOLDER": str(tmp_path / "state"),
    }
    assert run_command("beat", "--healthcheck", **settings).stderr == "no beat runs on this machine\n"
    with QueueDepths(broker.url) as depths, service(tmp_path / "beat.log", "beat", **settings) as started:
        eventually(lambda: (depths.waiting(["default"]) or 0) >= 2, "two sweeps")
        eventually(lambda: run_command("beat", "--healthcheck", **settings).status == 0, "a healthy beat", seconds=20)
        eventually(lambda: [known.row.kind for known in list_workers(database)] == ["beat"], "its row")
        stopped = started.child("beat")
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        started.says("beat (process", seconds=30)
        assert "has given no sign for 3 s; it is replaced" in started.log
        sent = depths.waiting(["default"]) or 0
        eventually(lambda: (depths.waiting(["default"]) or 0) > sent, "a sweep of its successor")
        successor = started.child("beat")
        assert successor is not None
        assert started.end() == 0
        assert not is_alive(stopped)
        assert not is_alive(successor)
    assert not list(Path.cwd().glob("celerybeat*")), "beat left a file"
