"""Windows over long sentences, and batches of windows.

A sentence that the model's window cannot hold is cut into windows that overlap; each piece takes its logits from the
window that sees more context around it, so every piece has exactly one source and nothing is truncated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from annotate.folder import SPECIAL_PIECES


@dataclass(frozen=True, slots=True)
class Window:
    """The pieces ``start`` to ``end`` of a sentence, special ones not counted.

    It decides the pieces ``keep_start`` to ``keep_end``.
    """

    sentence: int
    start: int
    end: int
    keep_start: int
    keep_end: int

    @property
    def rows(self) -> int:
        """How many rows it takes in a forward pass."""
        return self.end - self.start + SPECIAL_PIECES


def cut_windows(sentence: int, pieces: int, size: int) -> Iterator[Window]:
    """Cut ``pieces`` pieces into windows of at most ``size``, neighbours sharing a quarter of it.

    The kept ranges follow one another without gap or overlap; a border lies in the middle of what two windows share.
    """
    shared = size // 4
    start = kept = 0
    while kept < pieces:
        end = min(start + size, pieces)
        keep_end = end if end == pieces else end - shared // 2
        yield Window(sentence, start, end, kept, keep_end)
        start, kept = end - shared, keep_end


def group_windows(windows: Sequence[Window], most_rows: int) -> Iterator[list[Window]]:
    """Group windows, in their order, so that each group takes at most ``most_rows`` rows or is a single window."""
    batch: list[Window] = []
    rows = 0
    for window in windows:
        if batch and rows + window.rows > most_rows:
            yield batch
            batch, rows = [], 0
        batch.append(window)
        rows += window.rows
    if batch:
        yield batch
