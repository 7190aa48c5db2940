"""Where the data, the programs and the socket of an embedded server lie, so that the server's account can reach them.

For an ordinary user nothing is special. Root's servers run as another user, who often cannot enter what root can:
``/root`` is closed to others, and with it root's default home and any virtual environment below it. Nothing is opened
up for that user and no data leave the home. Instead

- the server inherits the open folder and finds it as ``/proc/self/fd/N``, which needs no permission on the way there;
- programs, which have to be found by name, are copied to ``/var/lib/comention``, once for each version.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

from comention.errors import EmbeddedServerError
from storage.embedded_folder import ServerFolder
from storage.embedded_process import Account, can_use

COPIES = Path("/var/lib/comention")
_LONGEST_PATH_BYTES = 900  # Postgres keeps the names of files, data folder included, in 1,024 bytes
_LONGEST_SOCKET_BYTES = 107
_LONGEST_SOCKET_NAME = ".s.PGSQL.5432.lock"


class Program(NamedTuple):
    """An installed server: ``folder / path`` is the executable, or the folder of the executables.

    ``parts`` is what of ``folder`` makes up a copy, for root, under the name ``release``; empty where the program must
    stay in its place.
    """

    folder: Path
    path: str
    release: str = ""
    parts: tuple[str, ...] = ()


def path_for(folder: Path, descriptor: int, account: Account) -> Path:
    """Return a path of ``folder``, which is open as ``descriptor``, that a child running as ``account`` can use."""
    if can_use(folder, account) and len(os.fsencode(folder)) < _LONGEST_PATH_BYTES:
        return folder
    return Path(f"/proc/self/fd/{descriptor}")


def place_program(program: Program, account: Account) -> Path:
    """Return the path of a program that ``account`` can use: as installed, or else a copy.

    Raises:
        EmbeddedServerError: ``account`` cannot use it and it cannot be copied.
    """
    installed = program.folder / program.path
    if can_use(installed, account):
        return installed
    copy = COPIES / program.release
    try:
        if program.parts and not copy.is_dir():
            _copy(program, copy)
    except OSError as error:
        raise EmbeddedServerError(
            f"{installed} cannot be used by the user {account.uid}, who runs the servers for root, nor be copied to "
            f"{copy} ({error.strerror or error}); install comention in a folder that every user may enter."
        ) from error
    if not program.parts or not can_use(copy / program.path, account):
        raise EmbeddedServerError(
            f"{installed} cannot be used by the user {account.uid}, who runs the servers for root; "
            "let every user enter the folders on the way to it."
        )
    return copy / program.path


def _copy(program: Program, copy: Path) -> None:
    """Copy a program, whole or not at all, so that every user can use it."""
    copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{copy.name}-", dir=copy.parent))
    try:
        for part in program.parts:
            source, target = program.folder / part, draft / part
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("*.a", "include", "doc"))
            else:
                shutil.copy2(source, target)
        for path in (draft, *draft.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
        if not copy.is_dir():
            draft.rename(copy)
    except OSError:
        if not copy.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def make_socket_folder(folder: ServerFolder, account: Account) -> Path:
    """Make the private folder of the sockets, empty, in the temporary folder: a socket's path has at most 107 bytes.

    Its name follows from the home, so that a URL stays true when the server is started again; where somebody else has
    taken that name, another is drawn.
    """
    digest = hashlib.blake2b(os.fsencode(folder.path.resolve()), digest_size=6).hexdigest()
    name = f"comention-{account.uid}-{folder.kind}-{digest}"
    base = Path(tempfile.gettempdir())
    too_long = len(os.fsencode(base / name / _LONGEST_SOCKET_NAME)) > _LONGEST_SOCKET_BYTES
    misread = "," in str(base)  # by libpq, as two hosts
    if too_long or misread or not can_use(base, account):
        base = Path("/tmp")  # noqa: S108  the folder made in it is private
    sockets = base / name
    try:
        sockets.mkdir(mode=0o700)
    except FileExistsError:
        found = sockets.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid in (account.uid, os.geteuid())
        if not ours or found.st_mode & 0o077:
            sockets = Path(tempfile.mkdtemp(prefix=f"comention-{folder.kind}-", dir=base))
    make_owned(sockets, account)
    empty_folder(sockets)
    return sockets


def make_owned(path: Path, account: Account) -> None:
    """Make a folder, where it is missing, that belongs to ``account`` and that only it (and root) may enter."""
    path.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(path, account.uid, account.gid)


def empty_folder(path: Path) -> None:
    """Remove the files of a folder of sockets."""
    for stale in path.iterdir():
        stale.unlink()
