"""The supervisor: starts the processes of its roles, replaces those that end or do not get on, and ends them with itself.

It imports no torch and touches no GPU. Whatever may block, the broker and the database, is asked in threads of their own,
so that a wedged server does not keep it from its work.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.overview.queue_depths import QueueDepths
from pipeline.processes.log_lines import LinePrinter
from pipeline.processes.signs import Sign
from pipeline.processes.supervised import Role, SupervisedProcess

_LOOK_EVERY_S = 0.5
_AFTER_KILL_S = 5.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleState:
    """How a role stands, for the table of workers, the health check, and whoever looks on."""

    role: Role
    pid: int | None
    ready: bool
    stopping: bool
    restarts: int
    trouble: str | None
    uptime: float
    sign: Sign


class Supervisor:
    """Keeps processes running until a signal says that it is enough."""

    def __init__(
        self,
        roles: Sequence[Role],
        environment: Mapping[str, str],
        *,
        depths: QueueDepths | None,
        grace: float,
        say: Callable[[str], None],
        printer: LinePrinter | None = None,
        on_look: Callable[[list[RoleState]], None] = lambda states: None,
    ) -> None:
        """Name what is to run; nothing is started yet.

        ``say`` takes the supervisor's own lines, ``printer`` those of the processes, which without one go where ours go;
        ``on_look`` is told twice a second how they stand, and must not block.
        """
        self._processes = [SupervisedProcess(role, environment, captured=printer is not None) for role in roles]
        self._depths = depths
        self._grace = grace
        self._say = say
        self._printer = printer
        self._on_look = on_look
        self._selector = selectors.DefaultSelector()
        self._stopping_since: float | None = None
        self._hurried = False

    def run(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Run until SIGTERM, SIGINT or SIGHUP; a second one ends the processes without waiting for their work.

        Call it from the main thread. Returns when no process is left: True after a signal, False where ``until``, which is
        asked twice a second, said that it makes no sense to go on.
        """
        with _signals_in_a_pipe() as news:
            self._selector.register(news, selectors.EVENT_READ)
            try:
                while not self._is_over():
                    self._turn(news)
                    if self._stopping_since is None and until():
                        return False
                return True
            finally:
                self._end_at_once()
                self._selector.close()

    def _turn(self, news: int) -> None:
        now = time.monotonic()
        if self._stopping_since is None:
            for process in self._processes:
                if process.start_if_due(now):
                    self._watch(process)
        for key, _ in self._selector.select(_LOOK_EVERY_S):
            if key.fd == news:
                self._take_signals(os.read(news, 4096))
            elif isinstance(key.data, SupervisedProcess) and key.fd == key.data.sign_descriptor:
                key.data.hear(time.monotonic())
            else:
                self._print_output(key.data)
        now = time.monotonic()
        for process in self._processes:
            self._look_at(process, now)
        self._on_look([self._state(process, now) for process in self._processes])

    def _look_at(self, process: SupervisedProcess, now: float) -> None:
        process.hear(now)
        if (status := process.ended()) is not None:
            self._bury(process, now, _ending(status))
        elif self._stopping_since is not None:
            if now - self._stopping_since > self._grace and process.pid is not None and not process.killed:
                self._say(
                    f"{process.role.name} did not end within {self._grace:g} s and is killed; its work is taken up again"
                )
                process.kill()
        elif (reason := process.verdict(now, self._waiting(process))) is not None:
            self._say(f"{process.role.name} (process {process.pid}) {reason}; it is replaced")
            process.kill()
            deadline = now + _AFTER_KILL_S
            while process.ended() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            self._bury(process, time.monotonic(), reason)

    def _bury(self, process: SupervisedProcess, now: float, reason: str) -> None:
        pid = process.pid
        self._print_output(process)
        self._unwatch(process)
        if self._stopping_since is not None:
            process.close()
            return
        pause = process.forget(now, reason)
        if reason.startswith("ended"):
            when = f"in {pause:g} s" if pause else "at once"
            self._say(f"{process.role.name} (process {pid}) {reason}; it is started again {when}")

    def _waiting(self, process: SupervisedProcess) -> int | None:
        """Return how many messages wait for the process; ``None``: nobody knows."""
        return self._depths.waiting(process.role.queues) if self._depths is not None else 0

    def _take_signals(self, received: bytes) -> None:
        asked = [number for number in received if number in _STOP_SIGNALS]
        if not asked:
            return
        if self._stopping_since is None:
            self._stopping_since = time.monotonic()
            self._say(
                f"{signal.Signals(asked[0]).name}: work in hand is finished, then all ends; once more to end at once"
            )
            for process in self._processes:
                process.ask_to_end()
            asked = asked[1:]
        if asked and not self._hurried and time.monotonic() - self._stopping_since > 0.5:
            self._hurried = True
            for process in self._processes:
                process.kill()

    def _is_over(self) -> bool:
        return self._stopping_since is not None and all(process.pid is None for process in self._processes)

    def _end_at_once(self) -> None:
        """Leave no process, whatever went wrong."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            while process.pid is not None and process.ended() is None:
                time.sleep(0.01)

    def _watch(self, process: SupervisedProcess) -> None:
        if process.sign_descriptor is not None:
            self._selector.register(process.sign_descriptor, selectors.EVENT_READ, process)
        if process.output is not None:
            self._selector.register(process.output, selectors.EVENT_READ, process)

    def _unwatch(self, process: SupervisedProcess) -> None:
        for watched in (process.sign_descriptor, process.output):
            with contextlib.suppress(KeyError, ValueError):
                if watched is not None:
                    self._selector.unregister(watched)

    def _print_output(self, process: SupervisedProcess) -> None:
        if self._printer is None or process.output is None:
            return
        received = process.output.read(65536)
        if received == b"":  # it closed its output: without this the selector would report it again and again
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(process.output)
        self._printer.write(process.role.name, received or b"")

    def _state(self, process: SupervisedProcess, now: float) -> RoleState:
        return RoleState(
            role=process.role,
            pid=process.pid,
            ready=process.is_started,
            stopping=self._stopping_since is not None,
            restarts=process.restarts,
            trouble=process.trouble,
            uptime=now - process.started_at,
            sign=process.sign,
        )


def _ending(status: int) -> str:
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


@contextlib.contextmanager
def _signals_in_a_pipe() -> Iterator[int]:
    """Turn signals into bytes to be read from a pipe; give the handlers back at the end."""
    news, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(news, False)
    before_fd = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    before = {}
    for number in (*_STOP_SIGNALS, signal.SIGCHLD):
        if (
            number in _STOP_SIGNALS and signal.getsignal(number) is signal.SIG_IGN
        ):  # as nohup and `&` in a script have it
            continue
        before[number] = signal.signal(number, lambda *_: None)  # only the byte in the pipe counts
    try:
        yield news
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        os.close(news)
        os.close(wake)
