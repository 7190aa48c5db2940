"""Child processes of the supervisor: under which account they run, and that none outlives what it belongs to."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from comention.errors import EmbeddedServerError

_PR_SET_PDEATHSIG = 1
_REDIRECTING = ("PG", "PYTHON", "LC_", "LANG")


class Account(NamedTuple):
    """A user of this machine."""

    uid: int
    gid: int


def server_account(data: Path) -> Account:
    """Return the account that a server with its data in ``data`` runs under.

    That is ourselves, unless we are root, as whom Postgres refuses to run: then the owner of the data folder, and for a
    new one ``postgres``, or else ``nobody``.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedServerError(
        "The embedded servers do not run as root and this machine has neither a user postgres nor a user nobody; "
        "start comention as an ordinary user, or set COMENTION_DATABASE__URL."
    )


def can_use(path: Path, account: Account) -> bool:
    """Tell whether ``account`` may reach ``path`` and execute it, or enter it where it is a folder.

    Asked of the kernel by a child that has become the account, so that mount options and access lists count too.
    Called only while this process has a single thread.
    """
    if account.uid == os.geteuid():
        return os.access(path, os.X_OK)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            os._exit(0 if os.access(path, os.X_OK) else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Spawner(NamedTuple):
    """Starts the processes of one server: its account, the descriptors that they inherit, and where they write."""

    account: Account
    keep: tuple[int, ...]
    output: int

    def spawn(self, command: Sequence[str | Path], death_signal: signal.Signals) -> subprocess.Popen[bytes]:
        """Start ``command``; the kernel sends it ``death_signal`` when the calling thread ends.

        The call must come from the main thread, because the kernel ties the signal to the thread. The signal is asked
        for after the change of user, which would clear it.
        """
        parent = os.getpid()
        prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

        def tie_to_parent() -> None:
            if prctl is not None:
                prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before the kernel knew of our wish
                os._exit(1)

        change_user = self.account.uid != os.geteuid()
        return subprocess.Popen(  # noqa: S603  our own command line
            [os.fspath(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            cwd="/",
            env=_environment(os.environ),
            user=self.account.uid if change_user else None,
            group=self.account.gid if change_user else None,
            extra_groups=[] if change_user else None,
            umask=0o077,
            pass_fds=self.keep,
            preexec_fn=tie_to_parent,  # safe here: the only other thread of the supervisor waits inside flock
        )


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Leave out what would redirect the server, and have it speak English, which error messages are recognised by."""
    kept = {name: value for name, value in ours.items() if not name.startswith(_REDIRECTING)}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
