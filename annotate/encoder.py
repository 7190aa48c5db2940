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

from annotate.folder import Head, ModelFolder

TILE = 256
"""Rows of one matrix product. Larger tiles are hardly faster, smaller ones waste less on a single sentence."""


class _Linear:
    """A linear layer over one tile, with its weight reordered for oneDNN where that can be had.

    The reordered form uses private operators of torch; where they are missing or refuse, ``functional.linear``
    computes the same with less speed.
    """

    def __init__(self, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> None:
        self.weight = weight.to(dtype).contiguous()
        self.bias = bias.to(dtype).contiguous()
        self.packed = _pack(self.weight)

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


def _pack(weight: Tensor) -> Tensor | None:
    """Reorder a weight for products with ``TILE`` rows, or return None where this build of torch cannot."""
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, TILE)
        rows = weight.new_zeros(TILE, weight.shape[1])
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


class PackedEncoder:
    """An encoder and some of its heads, ready for inference. Its weights are only read: threads may share it."""

    def __init__(
        self, folder: ModelFolder, weights: Mapping[str, Tensor], heads: Sequence[Head], dtype: torch.dtype
    ) -> None:
        """Pack the weights of a folder; ``dtype`` is that of the linears and of attention, bf16 or fp32."""
        shape = folder.shape
        self._attention_heads = shape.attention_heads
        self._dtype = dtype

        def norm(prefix: str, of: torch.dtype = dtype) -> _Norm:
            return _Norm(weights[f"{prefix}.weight"].to(of), weights[f"{prefix}.bias"].to(of), shape.norm_eps)

        def linear(*prefixes: str) -> _Linear:
            weight = torch.cat([weights[f"{prefix}.weight"] for prefix in prefixes])
            return _Linear(weight, torch.cat([weights[f"{prefix}.bias"] for prefix in prefixes]), dtype)

        embeddings = "bert.embeddings"
        self._words = weights[f"{embeddings}.word_embeddings.weight"]
        self._positions = (
            weights[f"{embeddings}.position_embeddings.weight"]
            + weights[f"{embeddings}.token_type_embeddings.weight"][0]
        )
        self._embedding_norm = norm(f"{embeddings}.LayerNorm", torch.float32)
        self._layers = [
            _Layer(
                query_key_value=linear(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
                attention_output=linear(f"{at}.attention.output.dense"),
                attention_norm=norm(f"{at}.attention.output.LayerNorm"),
                intermediate=linear(f"{at}.intermediate.dense"),
                output=linear(f"{at}.output.dense"),
                output_norm=norm(f"{at}.output.LayerNorm"),
            )
            for at in (f"bert.encoder.layer.{index}" for index in range(shape.layers))
        ]
        # The heads are one matrix, so several cost one product.
        self._head = _Linear(
            torch.cat([weights[f"{head.prefix}.weight"] for head in heads]),
            torch.cat([weights[f"{head.prefix}.bias"] for head in heads]),
            torch.float32,
        )

    @torch.inference_mode()
    def logits(self, windows: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Return the heads' logits, [pieces of all windows in order, tags of all heads in order], fp32.

        Each window is an array of piece ids with its special tokens. Sort the windows by length: neighbours of one
        length share their attention.
        """
        lengths = [len(window) for window in windows]
        used = sum(lengths)
        rows = max(1, math.ceil(used / TILE)) * TILE
        pieces = torch.zeros(rows, dtype=torch.long)
        pieces[:used] = torch.from_numpy(np.concatenate(windows))
        positions = torch.zeros(rows, dtype=torch.long)
        positions[:used] = torch.from_numpy(np.concatenate([np.arange(length) for length in lengths]))
        hidden = self._embedding_norm(self._words[pieces] + self._positions[positions]).to(self._dtype)
        tiles = list(torch.split(hidden, TILE))
        for layer in self._layers:
            mixed = self._attend(torch.cat([layer.query_key_value(tile) for tile in tiles]), lengths)
            tiles = [_feed(layer, tile, part) for tile, part in zip(tiles, torch.split(mixed, TILE), strict=True)]
        logits: NDArray[np.float32] = torch.cat([self._head(tile.float()) for tile in tiles])[:used].numpy()
        return logits

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


def _feed(layer: _Layer, residual: Tensor, mixed: Tensor) -> Tensor:
    """Compute what follows attention in one layer, over one tile."""
    attended = layer.attention_norm(layer.attention_output.add(mixed, residual))
    return layer.output_norm(layer.output.add(layer.intermediate.gelu(attended), attended))


def _runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first row, windows, length) for every run of windows of one length."""
    start = 0
    for length, group in groupby(lengths):
        count = sum(1 for _ in group)
        yield start, count, length
        start += count * length
