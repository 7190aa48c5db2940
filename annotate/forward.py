"""Packed windows through an encoder: batches in threads, halved where the memory does not suffice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from annotate.windows import PackedWindows

Run = Callable[[PackedWindows, NDArray[np.float32]], dict[int, str]]
"""Encodes windows, writes the logits of each word into its row of the second argument, and returns the sentences that
could not be encoded, with the reason."""


class Encoder(Protocol):
    """A forward pass on some device. Threads may share it."""

    lanes: int
    """How many threads are to call it at the same time."""

    batch_rows: int
    """How many rows one call best takes."""

    @property
    def tile(self) -> int:
        """How many rows a call takes at least without costing more a row."""
        ...

    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the logits of the wanted rows, [wanted rows, tags], fp32.

        Raises:
            RuntimeError, MemoryError: this batch cannot be encoded; a smaller one perhaps can.
            AnnotatorError: no batch can any more.
        """
        ...


class ForwardPass:
    """Runs an encoder. A batch that it refuses is halved, down to the window that is to blame."""

    def __init__(self, encoder: Encoder, batch_rows: int | None) -> None:
        """``batch_rows`` is the most rows of a batch; None leaves it to the encoder."""
        self._encoder = encoder
        self._most_rows = batch_rows or encoder.batch_rows

    @contextmanager
    def started(self) -> Iterator[Run]:
        """Start the threads; they end with the context. What is yielded may be called by several threads."""
        with ThreadPoolExecutor(
            self._encoder.lanes, "annotate-forward", initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:

            def run(windows: PackedWindows, logits: NDArray[np.float32]) -> dict[int, str]:
                refused: dict[int, str] = {}
                for some in pool.map(lambda batch: self._encode(batch, logits), self._batches(windows)):
                    refused |= some
                return refused

            yield run

    def _batches(self, windows: PackedWindows) -> Iterator[PackedWindows]:
        """Cut into batches of about one size, so that the threads end together."""
        rows, lanes, tile = len(windows.pieces), self._encoder.lanes, self._encoder.tile
        rounds = max(1, math.ceil(rows / lanes / self._most_rows))
        share = math.ceil(rows / lanes / rounds / tile) * tile
        return windows.batches(min(self._most_rows, share))

    def _encode(self, batch: PackedWindows, logits: NDArray[np.float32]) -> dict[int, str]:
        try:
            logits[batch.words] = self._encoder.logits(batch)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1:
                return {int(batch.sentences[0]): f"the model cannot encode it: {error}"}
            if _is_out_of_memory(error):  # the batches to come would meet the same
                self._most_rows = max(self._encoder.tile, len(batch.pieces) // 2)
            first, second = batch.halves()
            return self._encode(first, logits) | self._encode(second, logits)
        return {}


def _is_out_of_memory(error: Exception) -> bool:
    # On the CPU torch raises a bare RuntimeError and says so only in its text.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)
