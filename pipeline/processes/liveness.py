"""When a worker counts as alive: it turns, it takes what waits, and what it has in hand gets on.

An answer to `ping` proves none of the three: Celery's workers have been seen to answer and consume nothing after the
broker had been away. So the supervisor looks at what the worker does, and at what waits at the broker.
"""

from __future__ import annotations

from dataclasses import dataclass

from comention.settings import WorkerSettings
from pipeline.processes.signs import Sign

UNHURRIED = frozenset({"comention.nightly"})
"""Tasks that may take hours between two commits, as a recount of a large database does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that a process may take."""

    start: float
    """Until its first sign."""
    silence: float
    """Between signs."""
    idleness: float
    """Without taking a message, while some wait and it has room."""
    task: float
    """For a task, between two commits."""

    @classmethod
    def of(cls, settings: WorkerSettings) -> Limits:
        """Return the limits of the settings."""
        return cls(
            start=settings.start_limit,
            silence=settings.silence_limit,
            idleness=settings.idle_limit,
            task=settings.task_limit,
        )


class Judge:
    """Says of one process whether it has to be replaced.

    While the broker cannot be reached nothing is held against it: it may be waiting for the broker, as it should.
    """

    def __init__(self, limits: Limits, *, concurrency: int, started_at: float) -> None:
        self._limits = limits
        self._concurrency = concurrency
        self._started_at = started_at
        self._heard_at: float | None = None
        self._broker_since: float | None = None
        self._idle_since: float | None = None
        self.sign = Sign()

    @property
    def is_started(self) -> bool:
        """Whether it has given a sign."""
        return self._heard_at is not None

    def hear(self, sign: Sign, now: float) -> None:
        """Take note of a sign."""
        if sign.taken != self.sign.taken:
            self._idle_since = None
        self.sign = sign
        self._heard_at = now

    def verdict(self, now: float, waiting: int | None) -> str | None:
        """Return why it has to be replaced, or ``None``; ``waiting`` messages are for it, ``None``: not known."""
        if waiting is None:
            self._broker_since = self._idle_since = None
            return None
        if self._broker_since is None:
            self._broker_since = now
        if self._heard_at is None:
            late = now - max(self._started_at, self._broker_since) > self._limits.start
            return f"was not ready after {self._limits.start:g} s" if late else None
        if now - max(self._heard_at, self._broker_since) > self._limits.silence:
            return f"has given no sign for {self._limits.silence:g} s"
        for task, moved_at in zip(self.sign.tasks, self.sign.moved_at, strict=True):
            if task not in UNHURRIED and now - moved_at > self._limits.task:
                return f"has committed nothing of {task} for {self._limits.task:g} s"
        if not waiting or len(self.sign.tasks) >= self._concurrency:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now - self._idle_since > self._limits.idleness:
            return f"has taken nothing for {self._limits.idleness:g} s, although messages wait and it has room"
        return None
