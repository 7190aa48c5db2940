"""What the supervisor says of a process that does not end, with one that takes its time to die."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

import pytest

from pipeline.processes import supervisor as module
from pipeline.processes.supervised import Role, SupervisedProcess
from pipeline.processes.supervisor import Supervisor


class Dying(SupervisedProcess):
    """A process that does not do what it is asked, and is still there for some looks after it was killed."""

    def __init__(self, role: Role, environment: Mapping[str, str], *, captured: bool) -> None:
        super().__init__(role, environment, captured=captured)
        self.looks = 5

    @property
    def pid(self) -> int | None:
        return 1 if self.looks else None

    def start_if_due(self, now: float) -> bool:
        return False

    def ended(self) -> int | None:
        self.looks -= self.killed
        return None if self.looks else -signal.SIGKILL

    def kill(self) -> None:
        self.killed = True


def test_a_process_that_outlives_its_grace_is_killed_and_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SupervisedProcess", Dying)
    monkeypatch.setattr(module, "_LOOK_EVERY_S", 0.01)
    said: list[str] = []
    looks = 0

    def look(_states: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    role = Role(name="annotate", kind="run", arguments=())
    supervisor = Supervisor([role], {}, depths=None, grace=0.0, say=said.append, on_look=look)
    assert supervisor.run()
    assert looks > 4
    assert [line for line in said if "is killed" in line] == [
        "annotate did not end within 0 s and is killed; its work is taken up again"
    ]
