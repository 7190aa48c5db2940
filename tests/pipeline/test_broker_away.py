"""A worker whose broker hangs waits for it, and is not replaced for that."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pipeline.overview.queue_depths import QueueDepths
from storage.embedded import EmbeddedValkey
from storage.embedded_folder import ServerFolder, pids_holding
from tests.processes import eventually, service


def test_a_worker_is_left_in_peace_while_the_broker_is_away(database_address: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with EmbeddedValkey(home) as broker:
        settings = {
            "COMENTION_DATABASE__URL": database_address,
            "COMENTION_REDIS__URL": broker.url,
            "COMENTION_WORKER__SILENCE_LIMIT": "6",
            "COMENTION_WORKER__STATE_FOLDER": str(tmp_path / "state"),
        }
        servers = [pid for pid in pids_holding(ServerFolder(home, "valkey").server_lock) if pid != os.getpid()]
        assert servers
        with service(tmp_path / "worker.log", "worker", "--queues", "annotate", **settings) as started:
            started.says("ready.")
            child = started.child("worker")
            try:
                for pid in servers:
                    os.kill(pid, signal.SIGSTOP)
                with QueueDepths(broker.url) as depths:
                    assert depths.wait(10) is None
                stopped_at = time.monotonic()
                eventually(
                    lambda: started.child("worker") != child or time.monotonic() > stopped_at + 9, "the limit to pass"
                )
                assert started.child("worker") == child
            finally:
                for pid in servers:
                    os.kill(pid, signal.SIGCONT)
            with QueueDepths(broker.url) as depths:
                eventually(depths.depths, "the broker")
            assert "is replaced" not in started.log
