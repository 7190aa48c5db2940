"""Windows over sentences, packed one after another on one axis of rows, and batches of them.

A sentence that the model's window cannot hold is cut into windows that overlap; each piece takes its logits from the
window that sees more context around it, so every piece has exactly one source and nothing is truncated. All of it is
arrays: a portion of thousands of sentences is packed without a loop over those that fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Window:
    """The pieces ``start`` to ``end`` of a sentence, special ones not counted.

    It decides the pieces ``keep_start`` to ``keep_end``.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedWindows:
    """Windows one after another, the longest first, each with its special pieces around it.

    ``pieces`` are the piece ids of all rows; window i has ``lengths[i]`` of them and belongs to sentence
    ``sentences[i]``. ``wanted`` are the rows that decide for a word, ascending, and ``words`` the words they decide
    for.
    """

    pieces: _Ints
    lengths: _Ints
    sentences: _Ints
    wanted: _Ints
    words: _Ints

    def __len__(self) -> int:
        return len(self.lengths)

    def batches(self, most_rows: int) -> Iterator[PackedWindows]:
        """Cut into batches of at most ``most_rows`` rows, or of one window that has more."""
        ends = np.cumsum(self.lengths)
        first = 0
        while first < len(self):
            before = ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(ends, before + most_rows, side="right")))
            yield self._cut(first, last)
            first = last

    def halves(self) -> tuple[PackedWindows, PackedWindows]:
        """Cut into two batches of as many windows."""
        middle = len(self) // 2
        return self._cut(0, middle), self._cut(middle, len(self))

    @property
    def owners(self) -> _Ints:
        """The window of each wanted row."""
        return np.searchsorted(np.cumsum(self.lengths), self.wanted, side="right")

    def chosen(self, which: NDArray[np.bool_]) -> PackedWindows:
        """Return some windows, in the same order; ``which`` says of each whether it is among them."""
        rows = np.repeat(which, self.lengths)
        wanted = rows[self.wanted]
        place = np.cumsum(rows) - 1
        return PackedWindows(
            pieces=self.pieces[rows],
            lengths=self.lengths[which],
            sentences=self.sentences[which],
            wanted=place[self.wanted[wanted]],
            words=self.words[wanted],
        )

    def _cut(self, first: int, last: int) -> PackedWindows:
        start = int(self.lengths[:first].sum())
        end = start + int(self.lengths[first:last].sum())
        rows = slice(*np.searchsorted(self.wanted, (start, end)))
        return PackedWindows(
            pieces=self.pieces[start:end],
            lengths=self.lengths[first:last],
            sentences=self.sentences[first:last],
            wanted=self.wanted[rows] - start,
            words=self.words[rows],
        )


def pack_windows(
    ids: _Ints, bounds: _Ints, starts: NDArray[np.bool_], *, size: int, special: tuple[Sequence[int], Sequence[int]]
) -> PackedWindows:
    """Pack sentences into windows of at most ``size`` pieces, special ones not counted.

    ``ids`` are the pieces of all sentences; sentence i has those from ``bounds[i]`` to ``bounds[i + 1]``. ``starts``
    says which of them begin a word; ``special`` are the special pieces before and behind a window. A sentence without
    pieces has no window.
    """
    counts = np.diff(bounds)
    fitting = np.flatnonzero((counts > 0) & (counts <= size))
    whole, none = counts[fitting], np.zeros(len(fitting), dtype=np.int64)
    cut = [
        (sentence, window.start, window.end, window.keep_start, window.keep_end)
        for sentence in np.flatnonzero(counts > size).tolist()
        for window in cut_windows(int(counts[sentence]), size)
    ]
    table = np.concatenate(
        [np.stack([fitting, none, whole, none, whole], axis=1), np.array(cut, dtype=np.int64).reshape(-1, 5)]
    )
    # The longest first: neighbours of one length share their attention, and no thread is left alone with them at the end.
    table = table[np.argsort(table[:, 1] - table[:, 2], kind="stable")]
    sentences, start, end, keep_start, keep_end = table.T
    before, behind = (np.array(pieces, dtype=np.int64) for pieces in special)
    lengths = end - start + len(before) + len(behind)
    first = np.cumsum(lengths) - lengths
    owner = np.repeat(np.arange(len(table)), lengths)
    # Which piece of its sentence a row is; those outside of the window are special.
    within = np.arange(len(owner)) - first[owner] - len(before) + start[owner]
    inner = (within >= start[owner]) & (within < end[owner])
    source = np.where(inner, bounds[sentences[owner]] + within, 0)
    pieces = ids[source]
    pieces[first[:, None] + np.arange(len(before))] = before
    pieces[(first + lengths)[:, None] - len(behind) + np.arange(len(behind))] = behind
    kept = inner & (within >= keep_start[owner]) & (within < keep_end[owner])
    wanted = np.flatnonzero(kept & starts[source])
    number = np.cumsum(starts) - 1
    return PackedWindows(
        pieces=pieces, lengths=lengths, sentences=sentences, wanted=wanted, words=number[source[wanted]]
    )


def cut_windows(pieces: int, size: int) -> Iterator[Window]:
    """Cut ``pieces`` pieces into windows of at most ``size``, neighbours sharing a quarter of it.

    The kept ranges follow one another without gap or overlap; a border lies in the middle of what two windows share.
    """
    shared = size // 4
    start = kept = 0
    while kept < pieces:
        end = min(start + size, pieces)
        keep_end = end if end == pieces else end - shared // 2
        yield Window(start, end, kept, keep_end)
        start, kept = end - shared, keep_end
