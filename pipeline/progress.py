"""What a worker has just finished, told to whoever listens: the table of workers, the metrics, the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["search", "fetch", "annotate", "sweep", "tick", "nightly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A piece of work that is committed. ``records``: citations read or annotated; ``seconds`` of the clock it took."""

    stage: Stage
    records: int = 0
    sentences: int = 0
    mentions: int = 0
    failed: int = 0
    seconds: float = 0.0
    detail: str = ""


listeners: list[Callable[[Progress], None]] = []
"""Called in order, in the thread that did the work."""


def report(progress: Progress) -> None:
    """Tell all who listen."""
    for listener in listeners:
        listener(progress)
