"""Commands that run until they are told to end, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.conftest import COMMAND, command_environment

Answer = TypeVar("Answer")


def eventually(answer: Callable[[], Answer], what: str, *, seconds: float = 60.0) -> Answer:
    """Ask until the answer is true and return it; fail with what was waited for where it never is."""
    deadline = time.monotonic() + seconds
    while not (found := answer()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return found


class Service:
    """A command of comention that goes on running, in a process group of its own; its log can be read meanwhile."""

    def __init__(self, log: Path, *arguments: str, command: Sequence[str] = COMMAND, **settings: str) -> None:
        self._log = log
        if (
            signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):  # in the background of a script; the command would inherit it
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *arguments],
                env=command_environment(**settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def child(self, kind: str) -> int | None:
        """The process id of its child of a kind, such as ``worker`` or ``beat``."""
        return next((pid for pid in children_of(self.process.pid) if f"\0{kind}\0" in _read(pid, "cmdline")), None)

    def says(self, wanted: str, *, seconds: float = 60.0) -> None:
        """Wait until it has said something."""
        deadline = time.monotonic() + seconds
        while wanted not in self.log and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert wanted in self.log

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 60.0) -> int:
        """Send it a signal and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def service(log: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """Run a command while the block runs, and kill what is left of it then."""
    started = Service(log, *arguments, **settings)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait()


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, directly."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    state = _read(pid, "stat").rpartition(")")[2].split()
    return bool(state) and state[0] != "Z"


def processes_with(setting: str, value: str) -> list[int]:
    """The processes in whose environment a variable has a value: a command and whatever came of it."""
    wanted = f"{setting}={value}"
    mine = os.getpid()
    return [
        int(entry.name)
        for entry in Path("/proc").glob("[0-9]*")
        if int(entry.name) != mine
        and wanted in _read(int(entry.name), "environ").split("\0")
        and is_alive(int(entry.name))
    ]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:  # gone, or not ours
        return ""
