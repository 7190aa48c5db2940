"""What a supervised process says of itself, through a pipe to its supervisor: that it turns, takes work, and gets on.

Times are those of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass, field

from pipeline.progress import Progress

RECENT_S = 60.0
"""How far back the recent counts reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was committed: citations fetched and annotated, their sentences and mentions, and pieces that failed."""

    fetched: int = 0
    annotated: int = 0
    sentences: int = 0
    mentions: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            fetched=self.fetched + other.fetched,
            annotated=self.annotated + other.annotated,
            sentences=self.sentences + other.sentences,
            mentions=self.mentions + other.mentions,
            failed=self.failed + other.failed,
        )

    @classmethod
    def of(cls, progress: Progress) -> Counts:
        """Return what one piece of work adds."""
        return cls(
            fetched=progress.records if progress.stage == "fetch" else 0,
            annotated=progress.records if progress.stage == "annotate" else 0,
            sentences=progress.sentences if progress.stage == "annotate" else 0,
            mentions=progress.mentions if progress.stage == "annotate" else 0,
            failed=progress.failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign of life. ``moved_at``: when each task in hand began, or last committed something."""

    taken: int = 0
    """Messages taken from the broker since the start."""
    tasks: tuple[str, ...] = ()
    moved_at: tuple[float, ...] = ()
    progressed_at: float | None = None
    """When a task last ended or committed something."""
    counts: Counts = field(default_factory=Counts)
    recent: Counts = field(default_factory=Counts)

    def to_line(self) -> bytes:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Sign:
        """Read a line of `to_line`."""
        read = json.loads(line)
        return cls(
            taken=read["taken"],
            tasks=tuple(read["tasks"]),
            moved_at=tuple(read["moved_at"]),
            progressed_at=read["progressed_at"],
            counts=Counts(**read["counts"]),
            recent=Counts(**read["recent"]),
        )


class SignWriter:
    """Counts what a process does, and writes signs of it to a pipe. Thread-safe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)  # a supervisor that was stopped must not stop us
        self._lock = threading.Lock()
        self._taken = 0
        self._tasks: dict[int, tuple[str, float]] = {}
        self._progressed_at: float | None = None
        self._counts = Counts()
        self._recent: deque[tuple[float, Counts]] = deque()

    def take(self) -> None:
        """Note that a message was taken from the broker."""
        with self._lock:
            self._taken += 1

    def begin(self, task: str) -> None:
        """Note that this thread has begun a task."""
        with self._lock:
            self._tasks[threading.get_ident()] = (task, time.monotonic())

    def end(self) -> None:
        """Note that this thread's task has ended."""
        with self._lock:
            self._tasks.pop(threading.get_ident(), None)
            self._progressed_at = time.monotonic()

    def note(self, progress: Progress) -> None:
        """Note work that this thread has committed; a listener of `pipeline.progress`."""
        added = Counts.of(progress)
        now = time.monotonic()
        thread = threading.get_ident()
        with self._lock:
            self._counts += added
            self._recent.append((now, added))
            self._progressed_at = now
            if thread in self._tasks:
                self._tasks[thread] = (self._tasks[thread][0], now)

    def write(self) -> None:
        """Write a sign, unless nobody has read the ones before."""
        now = time.monotonic()
        with self._lock:
            while self._recent and self._recent[0][0] < now - RECENT_S:
                self._recent.popleft()
            in_hand = tuple(self._tasks.values())
            sign = Sign(
                taken=self._taken,
                tasks=tuple(task for task, _ in in_hand),
                moved_at=tuple(moved_at for _, moved_at in in_hand),
                progressed_at=self._progressed_at,
                counts=self._counts,
                recent=sum((counts for _, counts in self._recent), Counts()),
            )
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._descriptor, sign.to_line())


class SignReader:
    """The other end of the pipe: yields the last whole sign that has arrived."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self._rest = b""

    def read(self) -> Sign | None:
        """Return the newest sign that has arrived since the last call, or ``None``."""
        try:
            while received := os.read(self.descriptor, 65536):
                self._rest += received
        except BlockingIOError:
            pass
        *lines, self._rest = self._rest.split(b"\n")
        return Sign.from_line(lines[-1]) if lines else None

    def close(self) -> None:
        """Close this end."""
        os.close(self.descriptor)
