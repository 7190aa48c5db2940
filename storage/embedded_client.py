"""How a process starts an embedded server, attaches to one that runs already, and leaves it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

from comention.errors import EmbeddedServerError
from storage.embedded_folder import ServerFolder, is_held, open_lock, sentence_of, try_lock, wait_lock
from storage.embedded_place import Program

_START_LIMIT_S = 660.0  # longer than the supervisor waits for a server to recover
_ANSWER_LIMIT_S = 15.0
_LEAVE_LIMIT_S = 15.0
_ATTEMPTS = 3  # a supervisor may be killed at any time
_POLL_S = 0.01


class EmbeddedServer(ABC):
    """One embedded server of one home, for as long as this process uses it.

    Any number of processes may use the server of a home at once: the first starts it, the others attach, and it ends
    with the last, whether that leaves or is killed. A child that a client forks keeps the server too, until it ends.
    A context manager; ``start`` and ``stop`` do the same by hand, from one thread at a time.
    """

    _kind: str
    _title: str

    def __init__(self, home: Path, *, linger_s: float = 0.0) -> None:
        """Name the server of ``home``; nothing is started yet.

        The process that starts it says for how many seconds it stays after its last client has left (``linger_s``).
        """
        self._folder = ServerFolder(home, self._kind)
        self._linger_s = linger_s
        self._lease: int | None = None
        self._socket_folder: Path | None = None

    def start(self) -> Self:
        """Start the server, or attach to it where it runs already. May be called again, after the server was lost.

        Raises:
            EmbeddedServerError: it cannot be started; the message says why.
        """
        deadline = time.monotonic() + _START_LIMIT_S
        try:
            self._folder.create()
            self._enter(deadline)
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(sentence_of(error, self._folder.path)) from error
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Leave the server. The last to leave returns when the server has ended and its data lie safely on disk."""
        if self._lease is None:
            return
        os.close(self._lease)  # not an unlock: a forked child may still use the server through the same lock
        self._lease = None
        self._socket_folder = None
        if self._linger_s:
            return
        deadline = time.monotonic() + _LEAVE_LIMIT_S
        with contextlib.suppress(FileNotFoundError):  # the home was removed
            while self._is_ending() and time.monotonic() < deadline:
                time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        """Start or attach."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave."""
        self.stop()

    def is_running(self) -> bool:
        """Tell whether somebody keeps the server of this home running; ``start`` attaches to it then."""
        return self._folder.path.is_dir() and is_held(self._folder.supervisor_lock)

    @property
    def socket_folder(self) -> Path:
        """The private folder with the server's unix socket."""
        if self._socket_folder is None:
            raise EmbeddedServerError(
                f"The embedded {self._title} has no URL before it is started; call start() first."
            )
        return self._socket_folder

    @abstractmethod
    def _find_program(self) -> Program:
        """Find the server's programs."""

    @abstractmethod
    def _check(self, sockets: Path) -> str | None:
        """Make sure that the server answers and can be used; return what is wrong where it does not yet."""

    def _enter(self, deadline: float) -> None:
        start = open_lock(self._folder.start_lock)
        try:
            self._take(start, True, deadline)
            if self._lease is None:
                self._lease = open_lock(self._folder.clients_lock)
                self._take(self._lease, False, deadline)  # waits for a supervisor that is about to end
            for _ in range(_ATTEMPTS):
                if is_held(self._folder.supervisor_lock) and self._attach(deadline):
                    return
                if self._spawn() and self._attach(deadline):
                    return
            raise EmbeddedServerError(
                f"The supervisor of the embedded {self._title} ended {_ATTEMPTS} times while starting; "
                f"see {self._folder.supervisor_log}."
            )
        finally:
            os.close(start)

    def _take(self, descriptor: int, exclusive: bool, deadline: float) -> None:
        if not wait_lock(descriptor, exclusive=exclusive, limit_s=deadline - time.monotonic()):
            raise EmbeddedServerError(
                f"Another process has been starting or stopping {self._title} in {self._folder.path} for "
                f"{_START_LIMIT_S:.0f} seconds; end it and try again."
            )

    def _attach(self, deadline: float) -> bool:
        """Wait until the server answers; False when its supervisor has gone."""
        ready_since = None
        while is_held(self._folder.supervisor_lock):
            state = self._folder.read_state()
            now = time.monotonic()
            if state is None or not state[1]:
                ready_since = None
                if now > deadline:
                    raise EmbeddedServerError(
                        f"The embedded {self._title} does not become ready; see {self._folder.log}."
                    )
            else:
                ready_since = ready_since or now
                problem = self._check(state[0])
                if problem is None:
                    self._socket_folder = state[0]
                    return True
                if now > ready_since + _ANSWER_LIMIT_S:
                    raise EmbeddedServerError(
                        f"The embedded {self._title} does not answer ({problem}); see {self._folder.log}."
                    )
            time.sleep(_POLL_S)
        return False

    def _spawn(self) -> bool:
        """Start a supervisor and wait until it says that the server is ready; False when it ended without a word."""
        program = self._find_program()
        log = os.open(self._folder.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        reader, writer = os.pipe()
        try:
            options = {
                "folder": str(program.folder),
                "path": program.path,
                "release": program.release,
                "parts": program.parts,
                "linger_s": self._linger_s,
                "report": writer,
            }
            # Without `site`: it starts in half the time, and needs nothing but this project and the standard library.
            command = [sys.executable, "-P", "-S", "-m", "storage.embedded_supervisor"]
            try:
                subprocess.run(  # noqa: S603  our own command line
                    [*command, self._kind, str(self._folder.home), json.dumps(options)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=(writer,),
                    env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
                    start_new_session=True,
                    check=False,
                )
            finally:
                os.close(log)
                os.close(writer)
            with os.fdopen(reader, encoding="utf-8", closefd=False) as report:
                answer = report.readline()
        finally:
            os.close(reader)
        if answer.strip():
            raise EmbeddedServerError(answer.strip())
        return bool(answer)

    def _is_ending(self) -> bool:
        """Tell whether there is a supervisor that has, or will find, no client left."""
        if is_held(self._folder.clients_lock):
            return True
        return is_held(self._folder.supervisor_lock) and not self._is_used()

    def _is_used(self) -> bool:
        probe = open_lock(self._folder.clients_lock)
        try:
            return not try_lock(probe, exclusive=True) and try_lock(probe, exclusive=False)
        finally:
            os.close(probe)
