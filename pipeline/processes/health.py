"""How the workers of this machine are, in a small file each: what a container's health check reads without any server."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import ComentionError
from storage.embedded_folder import is_held, open_lock, try_lock

if TYPE_CHECKING:
    from comention.settings import Settings
    from pipeline.processes.supervisor import RoleState

_WRITE_EVERY_S = 2.0
_STALE_S = 15.0


class HealthError(ComentionError):
    """The workers' state cannot be written or read."""


class HealthFile:
    """The file of one supervisor. It is locked while the supervisor lives, so that one of a dead supervisor is known."""

    def __init__(self, path: Path) -> None:
        """Name the file; ``write`` writes it."""
        self._path = path
        self._written_at = 0.0

    def write(self, states: Sequence[RoleState]) -> None:
        """Write how the roles stand, every few seconds at most."""
        now = time.monotonic()
        if now - self._written_at < _WRITE_EVERY_S:
            return
        self._written_at = now
        roles = [
            {"name": state.role.name, "queues": list(state.role.queues), "problem": _problem(state)} for state in states
        ]
        draft = self._path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not end the workers; the file grows old and says so
            draft.write_text(json.dumps({"written_at": now, "roles": roles}), encoding="utf-8")
            draft.replace(self._path)


def _problem(state: RoleState) -> str | None:
    if state.pid is None:
        return f"does not run: {state.trouble}" if state.trouble else "does not run"
    if not state.ready:
        return f"is starting, after it {state.trouble}" if state.trouble else "is starting"
    return None


@contextlib.contextmanager
def health_file(settings: Settings, kind: str) -> Iterator[HealthFile]:
    """Yield the health file of this supervisor; it is removed at the end.

    Raises:
        HealthError: its folder cannot be written to, or is not ours.
    """
    folder = _folder(settings)
    path = folder / f"{kind}-{os.getpid()}.json"
    try:
        lock = open_lock(path.with_suffix(".lock"))
    except OSError as error:
        raise HealthError(_cannot(folder, error)) from error
    try:
        try_lock(lock, exclusive=True)
        yield HealthFile(path)
    finally:
        for left in (path, path.with_suffix(".new"), path.with_suffix(".lock")):
            left.unlink(missing_ok=True)
        os.close(lock)


def find_problems(settings: Settings, kind: str, queues: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with the workers (or beats) of this machine, a sentence each; nothing where all are well.

    With ``queues``, only those that serve one of them are looked at. Where none runs, that is what is wrong.

    Raises:
        HealthError: the folder cannot be read, or is not ours.
    """
    folder = _folder(settings)
    problems: list[str] = []
    found = False
    for path in sorted(folder.glob(f"{kind}-*.json")):
        lock = path.with_suffix(".lock")
        if not lock.exists() or not is_held(lock):  # its supervisor was killed
            for left in (path, lock):
                left.unlink(missing_ok=True)
            continue
        with contextlib.suppress(FileNotFoundError):  # it ends at this moment
            read = json.loads(path.read_text(encoding="utf-8"))
            roles = [role for role in read["roles"] if not queues or set(queues) & set(role["queues"])]
            found = found or bool(roles)
            problems += [f"{role['name']} {role['problem']}" for role in roles if role["problem"]]
            age = time.monotonic() - read["written_at"]
            if roles and age > _STALE_S:
                problems.append(f"the supervisor of {roles[0]['name']} has said nothing for {age:.0f} s")
    if not found:
        problems.append(f"no {kind} runs on this machine" + (f" for {', '.join(queues)}" if queues else ""))
    return problems


def _folder(settings: Settings) -> Path:
    """Return the folder of the health files, which is ours alone."""
    folder = settings.worker.state_folder or Path(tempfile.gettempdir()) / f"comention-{os.geteuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise HealthError(_cannot(folder, error)) from error
    if owner != os.geteuid():
        raise HealthError(
            f"the folder {folder} belongs to another user; set COMENTION_WORKER__STATE_FOLDER to one of yours"
        )
    return folder


def _cannot(folder: Path, error: OSError) -> str:
    return (
        f"the folder {folder} for the workers' state cannot be used ({error.strerror}); "
        "set COMENTION_WORKER__STATE_FOLDER to one that can be written to"
    )
