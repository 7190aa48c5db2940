"""The lines by which `comention up` tells how far the work is: when something has changed, every few seconds at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from comention.errors import DatabaseError
from pipeline.processes.signs import Counts
from pipeline.processes.supervisor import RoleState
from storage.backlog import Backlog, get_backlog
from storage.database import Address, Database

_EVERY_S = 5.0


class UpProgress:
    """Says how far the work is, from a thread of its own."""

    def __init__(self, address: Address, say: Callable[[str], None]) -> None:
        """Name where to look; looking begins with the block."""
        self._database = Database(address)
        self._say = say
        self._recent = Counts()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_for_ever, name="progress", daemon=True)

    def __enter__(self) -> UpProgress:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(1.0)

    def tell(self, states: Sequence[RoleState]) -> None:
        """Take note of what the workers did of late; returns at once."""
        self._recent = sum((state.sign.recent for state in states), Counts())

    def _look_for_ever(self) -> None:
        said = ""
        pause = _EVERY_S
        while not self._over.wait(pause):
            began = time.monotonic()
            try:
                line = progress_line(get_backlog(self._database), self._recent)
            except DatabaseError:  # the workers say so themselves
                continue
            pause = max(_EVERY_S, 10 * (time.monotonic() - began))
            if line != said:
                self._say(line)
            said = line
        self._database.close()


def progress_line(backlog: Backlog, recent: Counts) -> str:
    """Return what is stored, annotated and owed, and how fast it went in the last minute."""
    parts = [f"{backlog.citations:,} citations stored"]
    for one in backlog.annotators:
        if one.owed or one.promoted:
            given_up = f", {one.given_up:,} given up" if one.given_up else ""
            parts.append(f"{one.name}: {one.done:,} annotated, {one.owed:,} owed{given_up}")
    if backlog.to_fetch:
        parts.insert(1, f"{backlog.to_fetch:,} to fetch")
    if recent.fetched:
        parts.append(f"{recent.fetched:,} fetched in the last minute")
    if recent.annotated:
        parts.append(f"{recent.annotated:,} annotated in the last minute")
    return "; ".join(parts)
