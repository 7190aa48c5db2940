"""Close calls decided anew: a coarse forward pass for all windows, a finer one for those where little decides.

What a coarser number format changes are words whose two best tags are nearly alike. They are few, and the logits tell
which: so the coarse pass is taken at its word where it is clear, and a window in which any word is not is computed once
more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from annotate.forward import Encoder
from annotate.windows import PackedWindows

MARGIN = 0.15
"""How far apart, in logits, the two best tags of a word are at least where the call is not close: odds of 1.16."""

BATCHES_AT_ONCE = 4
"""How many batches of the coarse encoder one call takes, for enough close windows to fill a tile of the finer one."""


class CloseCalls:
    """Two encoders of the same weights as one. A window's logits are those of the coarse one, or all of the finer one.

    Which, is decided by the window alone: where both give it the same bits in any company, so does this.
    """

    def __init__(self, coarse: Encoder, fine: Encoder, tag_counts: Sequence[int], *, margin: float = MARGIN) -> None:
        """``tag_counts`` are the numbers of tags of the heads, in the order of the logits."""
        self.coarse, self.fine = coarse, fine
        self._heads = [slice(*ends) for ends in pairwise(np.cumsum([0, *tag_counts]).tolist())]
        self._margin = margin
        self.lanes = coarse.lanes
        self.batch_rows = BATCHES_AT_ONCE * coarse.batch_rows

    @property
    def tile(self) -> int:
        """As for the coarse encoder, which does most of the work."""
        return self.coarse.tile

    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the logits of the wanted rows, [wanted rows, tags of all heads in order], fp32.

        Raises:
            RuntimeError: there is not enough memory for this batch.
        """
        logits, owners = self.coarse.logits(batch), batch.owners
        close = np.zeros(len(batch), dtype=np.bool_)
        close[owners[self._are_close(logits)]] = True
        if close.any():
            logits[close[owners]] = self.fine.logits(batch.chosen(close))
        return logits

    def _are_close(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Tell for each row whether, under any head, its two best tags are nearly alike."""
        close = np.zeros(len(logits), dtype=np.bool_)
        for head in self._heads:
            second, best = np.partition(logits[:, head], -2, axis=1)[:, -2:].T
            close |= best - second < self._margin
        return close
