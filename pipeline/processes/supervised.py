"""One supervised process: how it is started, heard, ended, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Literal

from pipeline.processes.liveness import Judge, Limits
from pipeline.processes.signs import Sign, SignReader

Kind = Literal["worker", "beat", "run"]

_SETTLED_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a process is to be. A role without limits gives no signs and is only restarted when it ends."""

    name: str
    kind: Kind
    arguments: tuple[str, ...]
    limits: Limits | None = None
    node: str = ""
    """The name that a worker has for Celery, and in the table of workers."""
    queues: tuple[str, ...] = ()
    concurrency: int = 1


class SupervisedProcess:
    """Keeps one role filled. Not thread-safe; processes must be started from the main thread, to which they are tied."""

    def __init__(self, role: Role, environment: Mapping[str, str], *, captured: bool) -> None:
        """Name the role; nothing is started yet. With ``captured`` its output is to be read from ``output``."""
        self.role = role
        self.restarts = 0
        self.started_at = 0.0
        self.trouble: str | None = None
        """Why the last process was replaced."""
        self.killed = False
        """Whether the process has been killed, and is only to be waited for."""
        self._environment = environment
        self._captured = captured
        self._popen: subprocess.Popen[bytes] | None = None
        self._signs: SignReader | None = None
        self._judge: Judge | None = None
        self._failures = 0
        self._start_at = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._popen.pid if self._popen is not None else None

    @property
    def output(self) -> IO[bytes] | None:
        """Where its captured output comes out."""
        return self._popen.stdout if self._popen is not None else None

    @property
    def sign_descriptor(self) -> int | None:
        """The descriptor that becomes readable when it gives a sign."""
        return self._signs.descriptor if self._signs is not None else None

    @property
    def sign(self) -> Sign:
        """The last sign."""
        return self._judge.sign if self._judge is not None else Sign()

    @property
    def is_started(self) -> bool:
        """Whether it runs, and has given a sign where it is to."""
        return self._popen is not None and (self._judge is None or self._judge.is_started)

    def start_if_due(self, now: float) -> bool:
        """Start the process where there is none and its pause is over; say whether that was done."""
        if self._popen is not None or now < self._start_at:
            return False
        command = [sys.executable, "-P", "-m", "pipeline.processes.child", str(os.getpid()), self.role.kind]
        kept: tuple[int, ...] = ()
        if self.role.limits is not None:
            reader, writer = os.pipe()
            self._signs = SignReader(reader)
            self._judge = Judge(self.role.limits, concurrency=self.role.concurrency, started_at=now)
            command += ["--signs", str(writer)]
            kept = (writer,)
        try:
            self._popen = subprocess.Popen(  # noqa: S603  our own command line
                [*command, *self.role.arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._captured else None,
                stderr=subprocess.STDOUT if self._captured else None,
                env={**self._environment, "PYTHONUNBUFFERED": "1"},
                pass_fds=kept,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on in its order
            )
        finally:
            for descriptor in kept:
                os.close(descriptor)
        self.started_at = now
        if self.output is not None:
            os.set_blocking(self.output.fileno(), False)
        return True

    def hear(self, now: float) -> None:
        """Read the signs that have arrived."""
        if self._signs is not None and self._judge is not None and (sign := self._signs.read()) is not None:
            self._judge.hear(sign, now)

    def verdict(self, now: float, waiting: int | None) -> str | None:
        """Return why it has to be replaced, or ``None``."""
        if self._popen is None or self._judge is None:
            return None
        return self._judge.verdict(now, waiting)

    def ended(self) -> int | None:
        """Return its exit status once it has ended, minus the signal that ended it; the first call takes it down."""
        if self._popen is None:
            return None
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
        self._signal_group(signal.SIGKILL)  # whatever it started, while its number is still its own
        return self._popen.wait()

    def forget(self, now: float, trouble: str | None) -> float:
        """Clear up after a process that has ended and plan the next one; return the seconds until then."""
        if now - self.started_at > _SETTLED_S:
            self._failures = 0
        pause = 0.0 if self._failures == 0 else min(_FIRST_PAUSE_S * 2**self._failures, _LONGEST_PAUSE_S)
        self._failures += 1
        self.restarts += 1
        self.trouble = trouble
        self._start_at = now + pause
        self.close()
        return pause

    def close(self) -> None:
        """Close the pipes of a process that has ended."""
        if self.output is not None:
            self.output.close()
        if self._signs is not None:
            self._signs.close()
        self._popen = self._signs = self._judge = None
        self.killed = False

    def ask_to_end(self) -> None:
        """Ask it to finish what it has in hand and end."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and all that it started; a stopped process too."""
        self.killed = self._popen is not None
        self._signal_group(signal.SIGKILL)

    def _signal_group(self, number: signal.Signals) -> None:
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, number)
