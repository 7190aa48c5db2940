"""Writes how the supervised workers are to Postgres, in a thread: a database that hangs must not hold up supervision."""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Sequence

from comention.errors import DatabaseError
from pipeline.processes.supervisor import RoleState
from storage.database import Address, Database
from storage.workers import Phase, WorkerRow, remove_workers, save_workers

EVERY_S = 3.0
_FAREWELL_LIMIT_S = 3.0


class WorkerRows:
    """Keeps the rows of the workers of one supervisor; an unreachable database is said once, and tried again."""

    def __init__(self, address: Address, say: Callable[[str], None]) -> None:
        """Name the database; nothing is written before the first ``tell``."""
        self._database = Database(address)
        self._say = say
        self._states: Sequence[RoleState] = ()
        self._over = threading.Event()
        self._is_failing = False
        self._written: set[str] = set()
        self._thread = threading.Thread(target=self._write_for_ever, name="worker-rows", daemon=True)

    def __enter__(self) -> WorkerRows:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the rows, where the database lets us do so within seconds."""
        self._over.set()
        self._thread.join(_FAREWELL_LIMIT_S)
        if not self._thread.is_alive():
            self._database.close()

    def tell(self, states: Sequence[RoleState]) -> None:
        """Take note of how the workers stand; returns at once."""
        self._states = states

    def _write_for_ever(self) -> None:
        while not self._over.wait(EVERY_S if self._written else 0.2):
            rows = [row_of(state) for state in self._states if state.role.node]
            if rows and self._try(lambda rows=rows: save_workers(self._database, rows)):  # type: ignore[misc]
                self._written |= {row.name for row in rows}
        if self._written and not self._is_failing:
            self._try(lambda: remove_workers(self._database, sorted(self._written)))

    def _try(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except DatabaseError as error:
            if not self._is_failing:
                self._say(f"the table of workers is not written: {error}")
            self._is_failing = True
            return False
        if self._is_failing:
            self._say("the table of workers is written again")
        self._is_failing = False
        return True


def row_of(state: RoleState) -> WorkerRow:
    """Return the row for how a role stands."""
    sign = state.sign
    now = dt.datetime.now(dt.UTC)
    clock = time.monotonic()
    phase: Phase = "stopping" if state.stopping else "running" if state.ready else "starting"
    in_hand = ", ".join(sorted(task.removeprefix("comention.") for task in sign.tasks))
    return WorkerRow(
        name=state.role.node,
        kind="beat" if state.role.kind == "beat" else "worker",
        queues=state.role.queues,
        concurrency=state.role.concurrency,
        host=socket.gethostname(),
        pid=state.pid,
        state=phase,
        doing=in_hand or (state.trouble or "") * (phase == "starting"),
        restarts=state.restarts,
        started_at=now - dt.timedelta(seconds=state.uptime),
        progressed_at=None if sign.progressed_at is None else now - dt.timedelta(seconds=clock - sign.progressed_at),
        taken=sign.taken,
        fetched=sign.counts.fetched,
        annotated=sign.counts.annotated,
        sentences=sign.counts.sentences,
        mentions=sign.counts.mentions,
        failed=sign.counts.failed,
        recent_fetched=sign.recent.fetched,
        recent_annotated=sign.recent.annotated,
        recent_sentences=sign.recent.sentences,
    )
