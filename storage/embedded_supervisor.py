"""The supervisor: a small process that is the parent of one embedded server and ends it when nobody uses it any more.

``python -m storage.embedded_supervisor KIND HOME OPTIONS``, started by a client, which reads one line from a pipe:
empty when the server is ready, else the sentence that says why not. Then the supervisor waits to get ``clients.lock``
for itself; when it does, every client has gone, by leaving or by being killed, and it stops the server. A server that
ends by itself is started again. A supervisor that is killed takes the server along: the kernel signals the orphan.

Only the standard library and small modules are imported here: the start of every command waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Protocol

from comention.errors import EmbeddedServerError
from storage.embedded_folder import (
    ServerFolder,
    lacks_room,
    link_files,
    no_space,
    open_lock,
    pids_holding,
    read_log,
    sentence_of,
    wait_lock,
)
from storage.embedded_place import Program, empty_folder, make_socket_folder, path_for
from storage.embedded_process import Account, Spawner, server_account

_READY_LIMIT_S = 600.0  # recovery after a crash reads up to 2 GB of log
_LEFTOVER_LIMIT_S = 20.0  # an orphaned server writes what it holds in memory, then ends
_STOP_LIMIT_S = 60.0
_RESTARTS = 8
_LONGEST_PAUSE_S = 10.0
_SETTLED_S = 60.0
_RIVAL_LIMIT_S = 1.0
_POLL_S = 0.01
_NOBODY_LEFT = b"\0"  # no signal has this number, so both kinds of news share one pipe


class Server(Protocol):
    """What the supervisor must know of a server."""

    @property
    def title(self) -> str:
        """Its name in messages."""
        ...

    @property
    def stop_signals(self) -> tuple[signal.Signals, ...]:
        """How to end it: at first cleanly, which it must be ready for, then with more force."""
        ...

    @property
    def death_signal(self) -> signal.Signals:
        """What ends it for certain, and without loss, when the supervisor is killed."""
        ...

    def prepare(self, spawner: Spawner) -> None:
        """Make its data folder and whatever else it needs."""
        ...

    def command(self, sockets: Path) -> list[str]:
        """Return the command line that runs it."""
        ...

    def is_ready(self, pid: int, sockets: Path) -> bool:
        """Tell whether it takes connections."""
        ...


class _StopRequestedError(Exception):
    """The server is no longer wanted."""


class Supervisor:
    """Keeps one server running for as long as its folder has clients."""

    def __init__(self, folder: ServerFolder, program: Program, linger_s: float) -> None:
        self._folder = folder
        self._linger_s = linger_s
        self._account = server_account(folder.data)
        self._descriptor = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY)
        seen = path_for(folder.path, self._descriptor, self._account)
        self._server = _make_server(folder, program, seen, self._account)
        self._sockets = make_socket_folder(folder, self._account)
        self._child: subprocess.Popen[bytes] | None = None
        self._launched_at = 0.0
        self._news, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # only the byte in the pipe counts

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            EmbeddedServerError: it ended before it was ready.
        """
        log = self._folder.open_log()
        keep = open_lock(self._folder.server_lock)
        try:
            self._wait_for_leftovers(keep)
            spawner = Spawner(self._account, (keep, self._descriptor), log)
            self._server.prepare(spawner)
            log_start = os.fstat(log).st_size
            empty_folder(self._sockets)
            link_files(self._sockets, self._folder.path)
            self._folder.write_state(self._sockets, ready=False)
            self._child = spawner.spawn(self._server.command(self._sockets), self._server.death_signal)
        finally:
            os.close(keep)  # from here on the server alone holds the lock
            os.close(log)
        self._launched_at = time.monotonic()
        while not self._server.is_ready(self._child.pid, self._sockets):
            if self._child.poll() is not None:
                raise EmbeddedServerError(self._why_it_ended(log_start))
            if time.monotonic() > self._launched_at + _READY_LIMIT_S:
                self._end_child()
                raise EmbeddedServerError(
                    f"{self._server.title} was not ready after {_READY_LIMIT_S:.0f} seconds; see {self._folder.log}."
                )
            self._wait(_POLL_S)
        self._folder.write_state(self._sockets, ready=True)

    def watch(self) -> None:
        """Return when the server is no longer used; start it again whenever it ends before, however long its disk is full.

        Raises:
            EmbeddedServerError: it ended too often.
        """
        threading.Thread(target=self._await_nobody_left, daemon=True).start()
        failures = 0
        with contextlib.suppress(_StopRequestedError):
            while True:
                self._wait(None)
                if not self._runs() and time.monotonic() > self._launched_at + _SETTLED_S:
                    failures = 0
                while not self._runs():
                    failures += 1
                    self._start_again(failures)

    def _start_again(self, failures: int) -> None:
        is_full = lacks_room(self._folder.path)
        if failures > _RESTARTS and not is_full:
            raise EmbeddedServerError(
                f"{self._server.title} ended {failures} times in a row and is left so; see {self._folder.log}."
            )
        note(f"{self._server.title} ended by itself and is started again")
        if is_full:
            note(no_space(self._folder.path))
        try:
            self._folder.write_state(self._sockets, ready=False)
            self._wait(min(0.05 * 2**failures, _LONGEST_PAUSE_S))
            self.start()
        except (EmbeddedServerError, OSError) as error:
            note(str(error))
            self._end_child()

    def _runs(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """End the server and forget its state."""
        self._end_child()
        self._folder.remove_state()
        with contextlib.suppress(FileNotFoundError):  # somebody has swept the temporary folder
            empty_folder(self._sockets)
            self._sockets.rmdir()

    def _end_child(self) -> None:
        """End the server, cleanly if it lets itself be ended so."""
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        ready = self._server.is_ready(child.pid, self._sockets)
        for number in self._server.stop_signals[0 if ready else 1 :]:
            child.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_STOP_LIMIT_S)
                return

    def _wait(self, limit_s: float | None) -> None:
        """Sleep until a child ends or ``limit_s`` seconds have passed; raise when the server is no longer wanted."""
        if not select.select([self._news], [], [], limit_s)[0]:
            return
        news = os.read(self._news, 4096)
        if any(wanted in news for wanted in (_NOBODY_LEFT, bytes([signal.SIGTERM]), bytes([signal.SIGINT]))):
            raise _StopRequestedError

    def _await_nobody_left(self) -> None:
        clients = open_lock(self._folder.clients_lock)  # stays open: a new client waits until this process has ended
        fcntl.flock(clients, fcntl.LOCK_EX)
        while self._linger_s:
            fcntl.flock(clients, fcntl.LOCK_UN)
            time.sleep(self._linger_s)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(clients, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            fcntl.flock(clients, fcntl.LOCK_EX)
        os.write(self._wake, _NOBODY_LEFT)

    def _wait_for_leftovers(self, keep: int) -> None:
        """Wait until no process of an earlier server is left, and end those that do not leave."""
        if wait_lock(keep, exclusive=True, limit_s=_LEFTOVER_LIMIT_S):
            return
        for pid in pids_holding(self._folder.server_lock):
            if pid == os.getpid():
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # what they committed is safe in the log
        if not wait_lock(keep, exclusive=True, limit_s=_LEFTOVER_LIMIT_S):
            raise EmbeddedServerError(
                f"An earlier {self._server.title} of {self._folder.home} cannot be ended; end it, then try again."
            )

    def _why_it_ended(self, log_start: int) -> str:
        said = read_log(self._folder.log, log_start)
        if said is None:
            return no_space(self._folder.path)
        reasons = [line for line in said if "FATAL" in line or "PANIC" in line] or said[-1:]
        reason = reasons[-1].strip() if reasons else "without a word"
        if self._child is not None and self._child.returncode < 0:
            reason = f"by signal {-self._child.returncode}"
        return f"{self._server.title} ended while starting ({reason}); see {self._folder.log}."


def _make_server(folder: ServerFolder, program: Program, seen: Path, account: Account) -> Server:
    if folder.kind == "postgres":
        from storage.embedded_postgres import PostgresServer

        return PostgresServer(folder, program, seen, account)
    from storage.embedded_valkey import ValkeyServer

    return ValkeyServer(folder, program, seen, account)


def note(message: str) -> None:
    """Write a line to the supervisor's log, which is its standard error."""
    with contextlib.suppress(OSError):  # a full disk, which may be what it is about
        sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {message}\n")


def _supervise(folder: ServerFolder, program: Program, linger_s: float, report: int) -> None:
    """Run a server from its start to its end; tell the client through ``report`` how the start went.

    Where another supervisor runs it already, end without a word.
    """
    # Held until this process has ended. Where another supervisor has it, which a client started that was killed since, ours
    # attaches to that one; to wait for its end would be to wait for our own client's.
    if not wait_lock(open_lock(folder.supervisor_lock), exclusive=True, limit_s=_RIVAL_LIMIT_S):
        return
    folder.remove_state()  # of a supervisor that was killed
    failure = ""
    supervisor = None
    try:
        supervisor = Supervisor(folder, program, linger_s)
        supervisor.start()
    except EmbeddedServerError as error:
        failure = str(error)
    except OSError as error:
        failure = sentence_of(error, folder.path)
    except _StopRequestedError:
        failure = "The start was interrupted; try again."
    with contextlib.suppress(BrokenPipeError):  # the client was killed meanwhile
        os.write(report, failure.replace("\n", " ").encode() + b"\n")
    os.close(report)
    try:
        if supervisor is not None and not failure:
            supervisor.watch()
    except EmbeddedServerError as error:
        note(str(error))
    finally:
        if supervisor is not None:
            supervisor.stop()


def main(arguments: list[str]) -> None:
    """Become a background process and supervise."""
    kind, home, written = arguments
    options = json.loads(written)
    if os.fork() != 0:
        os._exit(0)  # the client waits for this process and need not wait for the other, which init inherits
    os.chdir("/")
    os.umask(0o022)
    program = Program(Path(options["folder"]), options["path"], options["release"], tuple(options["parts"]))
    _supervise(ServerFolder(Path(home), kind), program, options["linger_s"], options["report"])


if __name__ == "__main__":
    main(sys.argv[1:])
