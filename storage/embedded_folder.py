"""The folder of one embedded server: its locks, its state file, its logs, and where its data and its socket lie.

``<home>/postgres`` (or ``<home>/valkey``) holds four lock files, all taken with ``flock``, which the kernel lets go
when a process ends, however it ends; so nothing here trusts a process id.

=================== ======================================== ==========================================================
file                held by                                  meaning
=================== ======================================== ==========================================================
``start.lock``      a client, exclusively, while it starts   one process at a time decides who starts the server
``clients.lock``    every client, shared                     who gets it exclusively, the supervisor, is the last
``supervisor.lock`` the supervisor, exclusively              a supervisor is alive
``server.lock``     the server's processes, by inheritance   one of them is alive, even if their supervisor is not
=================== ======================================== ==========================================================
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from pathlib import Path

from comention.errors import EmbeddedServerError

_POLL_S = 0.01
_LOG_BYTES = 4 * 2**20
_LINK = "server-files"
_SEGMENT_BYTES = 16 * 2**20  # Postgres adds to its log in pieces of this size, and ends where one finds no room


class ServerFolder:
    """The files of one embedded server below ``<home>/<kind>``."""

    def __init__(self, home: Path, kind: str) -> None:
        self.home = home.expanduser().absolute()
        self.kind = kind
        self.path = self.home / kind
        self.start_lock = self.path / "start.lock"
        self.clients_lock = self.path / "clients.lock"
        self.supervisor_lock = self.path / "supervisor.lock"
        self.server_lock = self.path / "server.lock"
        self.data = self.path / "data"
        self.log = self.path / "server.log"
        self.supervisor_log = self.path / "supervisor.log"
        self._state = self.path / "state.json"

    def create(self) -> None:
        """Make the folder; nobody but its owner may list it, and root's can be passed through by the server's user."""
        if any(ord(character) < 32 for character in str(self.path)):
            raise EmbeddedServerError(
                f"The path {str(self.path)!r} holds a control character; set COMENTION_HOME to another folder."
            )
        self.home.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(exist_ok=True)
        if self.path.stat().st_uid == os.geteuid():
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def read_state(self) -> tuple[Path, bool] | None:
        """Return the socket's folder and whether the server last said it was ready; None where nothing is written."""
        try:
            state = json.loads(self._state.read_text())
        except (FileNotFoundError, ValueError):  # ValueError: cut short by a loss of power, before this start
            return None
        return Path(state["socket_folder"]), bool(state["ready"])

    def write_state(self, socket_folder: Path, *, ready: bool) -> None:
        """Write the state, for the clients."""
        self.write(self._state, json.dumps({"socket_folder": str(socket_folder), "ready": ready}))

    def write(self, path: Path, text: str) -> None:
        """Write one of the folder's files, whole or not at all."""
        draft = path.with_suffix(".new")
        draft.write_text(text)
        draft.replace(path)

    def remove_state(self) -> None:
        """Forget the state: no server runs."""
        self._state.unlink(missing_ok=True)

    def open_log(self) -> int:
        """Open the server's log for appending; a log past 4 MiB is moved to ``server.log.1`` first."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def read_log(path: Path, start: int) -> list[str] | None:
    """Return what a server wrote to its log from byte ``start`` on, by line; None where the disk is full."""
    with path.open("rb") as log:
        log.seek(start)
        said = log.read().decode(errors="replace")
    if "No space left on device" in said or os.statvfs(path).f_bavail == 0:
        return None
    return said.splitlines()


def link_files(sockets: Path, folder: Path) -> None:
    """Lay a link to a server's files beside its socket, for `is_out_of_room`."""
    (sockets / _LINK).symlink_to(folder)


def is_out_of_room(sockets: Path) -> bool:
    """Whether the embedded Postgres that listens in ``sockets``, or did, has no room for the next piece of its log.

    Then it ends at once, whatever it does, and whoever used it only sees that the connection is gone. False for other servers.
    """
    return lacks_room(sockets / _LINK)


def lacks_room(path: Path) -> bool:
    """Whether the disk that ``path`` lies on has no room for the next piece of Postgres' log; False where nothing is there."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SEGMENT_BYTES


def open_lock(path: Path) -> int:
    """Open a lock file, creating it where it is missing, and return its descriptor (closed on exec)."""
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def try_lock(descriptor: int, *, exclusive: bool) -> bool:
    """Take the lock if that needs no waiting; tell whether it was taken."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_lock(descriptor: int, *, exclusive: bool, limit_s: float) -> bool:
    """Take the lock, waiting for up to ``limit_s`` seconds; tell whether it was taken."""
    deadline = time.monotonic() + limit_s
    while not try_lock(descriptor, exclusive=exclusive):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock file exclusively."""
    descriptor = open_lock(path)
    try:
        return not try_lock(descriptor, exclusive=False)
    finally:
        os.close(descriptor)


def pids_holding(path: Path) -> list[int]:
    """Return the processes that have the file ``path`` open, as far as ``/proc`` shows them to us."""
    wanted = str(path.resolve())
    pids = set()
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(entry.readlink()) == wanted:
                pids.add(int(entry.parts[2]))
        except OSError:  # not ours to see, or gone meanwhile
            continue
    return sorted(pids)


def sentence_of(error: OSError, folder: Path) -> str:
    """Say in one sentence what an error of the operating system means for the server of ``folder``."""
    where = error.filename or folder
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return no_space(folder)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"The embedded server cannot write to {where} ({os.strerror(error.errno)}); "
            "give this user that folder, or set COMENTION_HOME to one that it can write to."
        )
    return f"The embedded server cannot use {where}: {error.strerror or error}; set COMENTION_HOME to another folder."


def no_space(folder: Path) -> str:
    """Say that the disk of ``folder`` is full."""
    return f"There is no space left on the disk of {folder}; free some, or set COMENTION_HOME to another disk."
