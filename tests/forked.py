"""Commands and workers in processes of their own that need not import everything anew: forks of one that has done so."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

MODULES = (
    "comention.settings",
    "storage.migrate",
    "storage.search",
    "pipeline.stages.annotate_stage",
    "pipeline.stages.ingest_workers",
)
"""What nearly all import; torch is none of it, nor what starts threads, nor what reads settings when it is imported."""

COMMAND_MODULES = (
    "pipeline.cli",
    *MODULES,
    "celery.app.base",
    "kombu.transport.redis",
    "pipeline.observability.telemetry",
    "pipeline.terminal.show",
    "redis.asyncio",
)
WORKER_MODULES = (
    *MODULES,
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "pipeline.observability.telemetry",
    "pipeline.workers.fetch_claimed",
    "pipeline.workers.annotate_claimed",
    "redis.asyncio",
)
PROGRAM = "from tests.forked import main; main({modules}); from {module} import main; main()"


class Fork:
    """A process that was forked, with what `subprocess.Popen` offers."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")
        self.pid = int(self._answers.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or minus the signal that ended it; None while it runs."""
        with contextlib.suppress(TimeoutError):
            self.wait(0.001)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait until it has ended, and return its exit status.

        Raises:
            TimeoutError: it goes on.
        """
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise TimeoutError(f"process {self.pid} has not ended after {timeout:g} s")
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, where it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """The process that forks, for as long as the block runs; what it forks goes on as ``main`` of a module."""

    def __init__(self, environment: Mapping[str, str], *, module: str, modules: Sequence[str]) -> None:
        self._environment = environment
        self._program = PROGRAM.format(modules=tuple(modules), module=module)

    def __enter__(self) -> Forks:
        self._folder = tempfile.TemporaryDirectory(prefix="comention-test-")
        self._path = Path(self._folder.name) / "forks"
        command = [sys.executable, "-c", self._program, str(self._path)]
        self._process = subprocess.Popen(
            command, env=dict(self._environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()
        self._folder.cleanup()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int, *, folder: Path
    ) -> Fork:
        """Start one with what stands on its command line, the program's name first."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._path))
        asked = {"arguments": list(arguments), "environment": dict(environment), "folder": str(folder)}
        socket.send_fds(connection, [json.dumps(asked).encode()], [output, errors])
        connection.shutdown(socket.SHUT_WR)
        return Fork(connection)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int, timeout: float
    ) -> int:
        """Run one and return its exit status, or minus the signal that ended it."""
        started = self.start(arguments, environment, output, errors, folder=Path.cwd())
        try:
            return started.wait(timeout)
        except TimeoutError:
            started.kill()
            raise


def main(modules: Sequence[str]) -> None:
    """Listen, fork for each who asks, and tell what came of it; return in a fork, which goes on as the command."""
    for name in modules:
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[1])
        listening.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        running: dict[int, tuple[int, socket.socket]] = {}
        while True:
            readable, _, _ = select.select([listening, *running], [], [])
            for one in readable:
                if one is not listening:
                    pid, connection = running.pop(one)
                    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    os.close(one)
                    with contextlib.suppress(OSError), connection:
                        connection.send(b"%d\n" % status)
                    continue
                connection, _ = listening.accept()
                asked, descriptors = _receive(connection)
                pid = os.fork()
                if pid == 0:
                    for descriptor, (_, other) in running.items():
                        os.close(descriptor)
                        other.close()
                    connection.close()
                    listening.close()
                    _become(asked, descriptors)
                    return
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.send(b"%d\n" % pid)
                running[os.pidfd_open(pid)] = (pid, connection)


def _receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    asked, descriptors, _, _ = socket.recv_fds(connection, 2**20, 2)
    while more := connection.recv(2**20):
        asked += more
    return asked, list(descriptors)


def _become(asked: bytes, descriptors: list[int]) -> None:
    """Take on the arguments, environment, folder and outputs of a command."""
    command = json.loads(asked)
    for number, descriptor in enumerate(descriptors, start=1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["folder"])
    sys.argv = command["arguments"]
