"""Values that take long to make: made for one reader, shown to all for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Made(Generic[T]):
    """A value and the moment, by the monotonic clock in seconds, at which it was made."""

    value: T
    at: float

    @property
    def age(self) -> float:
        """Seconds since."""
        return time.monotonic() - self.at


class Held(Generic[T]):
    """Keeps a value for some seconds. Whoever finds it too old makes it anew; all others get the old one meanwhile."""

    def __init__(self, make: Callable[[], T], *, seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._making = threading.Lock()
        self._made: Made[T] | None = None

    def get(self) -> Made[T]:
        """Return the value; only the first reader of all waits for somebody else's making.

        Raises whatever making it raises; the next reader tries again.
        """
        known = self._made
        if known is not None and known.age < self._seconds:
            return known
        if not self._making.acquire(blocking=known is None):
            assert known is not None  # noqa: S101 - else it would have waited
            return known
        try:
            if self._made is not None and self._made.age < self._seconds:
                return self._made
            self._made = Made(self._make(), time.monotonic())
            return self._made
        finally:
            self._making.release()
