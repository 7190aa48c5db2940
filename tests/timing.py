"""Measurements of time in tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType


def on_a_calm_machine(measure: Callable[[], None], rounds: int = 4) -> None:
    """Repeat a measurement that whatever else runs may disturb; a limiter that is wrong is wrong every time."""
    for last in (False,) * (rounds - 1) + (True,):
        try:
            measure()
        except AssertionError:
            if last:
                raise
        else:
            return


class Heartbeat:
    """Notes when this process was not let run: what it measured around then, it measured late."""

    def __init__(self, *, every: float = 0.01, late: float = 0.04, around: float = 1.0) -> None:
        self.stalls: list[tuple[float, float]] = []
        """Stretches of the monotonic clock that a stall of more than ``late`` seconds may have touched."""
        self._every, self._late, self._around = every, late, around
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._closing.set()
        self._thread.join()

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._closing.wait(self._every):
            now = time.monotonic()
            if now - before > self._every + self._late:
                self.stalls.append((before - self._around, now + self._around))
            before = now
