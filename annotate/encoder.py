"""A BERT forward pass of our own: no padding, packed weights, and the same bits for a sentence in any company.

The windows of a batch stand one after another on one axis of rows. Everything that works row by row (linears, norms)
runs over tiles of a constant number of rows, so that each matrix product always has the same shape and therefore the
same order of summation; attention runs over windows of one length at a time, without a mask, where each window is
computed by itself. What a window yields then depends neither on its neighbours nor on the number of threads, provided
that each thread computes alone (``torch.set_num_threads(1)``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotate.bert import Affine, bert_tensors
from annotate.folder import Head, ModelFolder
from annotate.windows import PackedWindows

TILE = 256
"""Rows of one matrix product as a rule. Larger tiles are hardly faster, smaller ones waste less on a single sentence."""

BATCH_ROWS = 4 * TILE
"""How many pieces one forward pass takes together where the setting leaves it open."""


class _Linear:
    """A linear layer over one tile, with its weight reordered for oneDNN where that can be had.

    The reordered form uses private operators of torch; where they are missing or refuse, ``functional.linear``
    computes the same with less speed.
    """

    def __init__(self, affine: Affine, dtype: torch.dtype, tile: int) -> None:
        self.weight, self.bias = affine.to(dtype)
        self.packed = _pack(self.weight, tile)

    def __call__(self, rows: Tensor) -> Tensor:
        if self.packed is None:
            return functional.linear(rows, self.weight, self.bias)
        output: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "none", [], "")
        return output

    def gelu(self, rows: Tensor) -> Tensor:
        """Return the exact GELU of the product."""
        if self.packed is None:
            return functional.gelu(functional.linear(rows, self.weight, self.bias))
        output: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, "gelu", [], "none")
        return output

    def add(self, rows: Tensor, residual: Tensor) -> Tensor:
        """Return the product plus ``residual``."""
        if self.packed is None:
            return functional.linear(rows, self.weight, self.bias) + residual
        output: Tensor = torch.ops.mkldnn._linear_pointwise.binary(rows, residual, self.packed, self.bias, "add")
        return output


def _pack(weight: Tensor, tile: int) -> Tensor | None:
    """Reorder a weight for products with ``tile`` rows, or return None where this build of torch cannot."""
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, tile)
        rows = weight.new_zeros(tile, weight.shape[1])
        torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return None
    return packed


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    def __call__(self, rows: Tensor) -> Tensor:
        return functional.layer_norm(rows, (rows.shape[-1],), self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, slots=True)
class _Layer:
    query_key_value: _Linear
    attention_output: _Linear
    attention_norm: _Norm
    intermediate: _Linear
    output: _Linear
    output_norm: _Norm

    def feed(self, residual: Tensor, mixed: Tensor) -> Tensor:
        """Compute what follows attention, over one tile."""
        attended = self.attention_norm(self.attention_output.add(mixed, residual))
        return self.output_norm(self.output.add(self.intermediate.gelu(attended), attended))


class PackedEncoder:
    """An encoder and some of its heads, ready for inference. Its weights are only read: threads may share it."""

    def __init__(
        self,
        folder: ModelFolder,
        weights: Mapping[str, Tensor],
        heads: Sequence[Head],
        dtype: torch.dtype,
        *,
        threads: int = 1,
        tile: int = TILE,
    ) -> None:
        """Pack the weights of a folder; ``dtype`` is that of the linears and of attention, bf16 or fp32.

        ``threads`` is how many threads are meant to call it at the same time, and ``tile`` how many rows a product has:
        batches need not be larger, and smaller ones cost as much.
        """
        self.tile = tile
        shape = folder.shape
        tensors = bert_tensors(weights, shape, heads)
        self._attention_heads = shape.attention_heads
        self._dtype = dtype

        def norm(affine: Affine, of: torch.dtype = dtype) -> _Norm:
            return _Norm(*affine.to(of), shape.norm_eps)

        self._words = tensors.words
        self._positions = tensors.positions
        self._embedding_norm = norm(tensors.embedding_norm, torch.float32)
        self._layers = [
            _Layer(
                query_key_value=_Linear(layer.query_key_value, dtype, tile),
                attention_output=_Linear(layer.attention_output, dtype, tile),
                attention_norm=norm(layer.attention_norm),
                intermediate=_Linear(layer.intermediate, dtype, tile),
                output=_Linear(layer.output, dtype, tile),
                output_norm=norm(layer.output_norm),
            )
            for layer in tensors.layers
        ]
        self._head = _Linear(tensors.head, torch.float32, tile)
        self.lanes = threads
        self.batch_rows = BATCH_ROWS

    @torch.inference_mode()
    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the heads' logits of the wanted rows, [wanted rows, tags of all heads in order], fp32.

        Neighbouring windows of one length share their attention. The last layer computes the wanted rows alone, from
        attention on.
        """
        used = len(batch.pieces)
        pieces = torch.zeros(self._whole_tiles(used), dtype=torch.long)
        pieces[:used] = torch.from_numpy(batch.pieces)
        positions = torch.zeros_like(pieces)
        firsts = np.cumsum(batch.lengths) - batch.lengths
        positions[:used] = torch.from_numpy(np.arange(used) - np.repeat(firsts, batch.lengths))
        hidden = self._embedding_norm(self._words[pieces] + self._positions[positions]).to(self._dtype)
        lengths = batch.lengths.tolist()
        tiles = torch.split(hidden, self.tile)
        for layer in self._layers:
            mixed = self._attend(torch.cat([layer.query_key_value(tile) for tile in tiles]), lengths)
            if layer is self._layers[-1]:
                wanted = torch.zeros(self._whole_tiles(len(batch.wanted)), dtype=torch.long)
                wanted[: len(batch.wanted)] = torch.from_numpy(batch.wanted)
                tiles, mixed = torch.split(torch.cat(tiles)[wanted], self.tile), mixed[wanted]
            tiles = tuple(
                layer.feed(tile, part) for tile, part in zip(tiles, torch.split(mixed, self.tile), strict=True)
            )
        logits = torch.cat([self._head(tile.float()) for tile in tiles])[: len(batch.wanted)]
        result: NDArray[np.float32] = logits.numpy()
        return result

    def _whole_tiles(self, rows: int) -> int:
        return max(1, math.ceil(rows / self.tile)) * self.tile

    def _attend(self, query_key_value: Tensor, lengths: Sequence[int]) -> Tensor:
        """Mix the rows of every window: [rows, 3 * hidden] to [rows, hidden]."""
        rows, width = query_key_value.shape[0], query_key_value.shape[1] // 3
        mixed = query_key_value.new_zeros(rows, width)
        for start, count, length in _runs(lengths):
            stop = start + count * length
            query, key, value = (
                query_key_value[start:stop]
                .view(count, length, 3, self._attention_heads, width // self._attention_heads)
                .permute(2, 0, 3, 1, 4)
                .unbind(0)
            )
            attended = functional.scaled_dot_product_attention(query, key, value)
            mixed[start:stop] = attended.transpose(1, 2).reshape(stop - start, width)
        return mixed


def _runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first row, windows, length) for every run of windows of one length."""
    start = 0
    for length, group in groupby(lengths):
        count = sum(1 for _ in group)
        yield start, count, length
        start += count * length
