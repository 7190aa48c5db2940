"""Commands in processes of their own that need not import everything anew: forks of one process that has done so."""

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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

MODULES = (
    "pipeline.cli",
    "comention.settings",
    "storage.migrate",
    "storage.search",
    "pipeline.stages.annotate_stage",
    "pipeline.stages.ingest_workers",
    "pipeline.terminal.show",
)
"""What nearly every command imports; torch is none of it, nor what starts threads."""
PROGRAM = "from tests.forked import main; main(); from pipeline.cli import main; main()"


class Commands:
    """The process that forks, for as long as the block runs."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._path = folder / "commands"
        self._environment = environment

    def __enter__(self) -> Commands:
        command = [sys.executable, "-c", PROGRAM, str(self._path)]
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

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], output: int, errors: int, timeout: float
    ) -> int:
        """Run ``comention`` and return its exit status, or minus the signal that ended it."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(str(self._path))
            asked = {"arguments": list(arguments), "environment": dict(environment), "folder": str(Path.cwd())}
            socket.send_fds(connection, [json.dumps(asked).encode()], [output, errors])
            connection.shutdown(socket.SHUT_WR)
            answers = connection.makefile("rb")
            pid = int(answers.readline())
            try:
                status = int(answers.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise
        return status


def main() -> None:
    """Listen, fork for each who asks, and tell what came of it; return in a fork, which goes on as the command."""
    for name in MODULES:
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
    sys.argv = ["comention", *command["arguments"]]
