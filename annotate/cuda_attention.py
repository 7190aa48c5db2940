"""Attention over windows of unequal length, packed without padding, by whatever torch ships for the GPU.

Three ways, the fastest that works is taken: FlashAttention for windows of unequal length (bf16), the memory-efficient
kernel for the same (fp32 too), and a group of windows of one length at a time. The first two are private operators of
torch, so each is tried at load on a small case whose answer is known; one that is missing, refuses or answers wrongly
is passed over.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Attention = Callable[[Tensor, Tensor, int], Tensor]
"""(query, key and value [rows, 3, heads, size], first row of every window and the end, int32 on the device, the longest
window or more) -> [rows, heads, size]. Rows after the last window may hold anything."""

_PROBED_LENGTHS = (5, 1, 40, 17)


def flash_attention(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """FlashAttention; fp16 and bf16 only."""
    query, key, value = rows.unbind(1)
    output: Tensor = torch.ops.aten._flash_attention_forward(
        query, key, value, bounds, bounds, longest, longest, 0.0, False, False
    )[0]
    return output


def efficient_attention(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """The memory-efficient kernel, which takes fp32 too."""
    query, key, value = (part.unsqueeze(0) for part in rows.unbind(1))
    output: Tensor = torch.ops.aten._efficient_attention_forward(
        query, key, value, None, bounds, bounds, longest, longest, 0.0, 0
    )[0]
    return output.squeeze(0)


def grouped_attention(rows: Tensor, bounds: Tensor, longest: int) -> Tensor:
    """Attend to neighbouring windows of one length together, with public operators. The host waits for the lengths."""
    mixed = torch.zeros_like(rows[:, 0])
    edges = bounds.tolist()
    start = 0
    for length, group in itertools.groupby(end - begin for begin, end in itertools.pairwise(edges)):
        count = sum(1 for _ in group)
        stop = start + count * length
        if length:
            query, key, value = rows[start:stop].view(count, length, *rows.shape[1:]).permute(2, 0, 3, 1, 4).unbind(0)
            attended = functional.scaled_dot_product_attention(query, key, value)
            mixed[start:stop] = attended.transpose(1, 2).flatten(0, 1)
        start = stop
    return mixed


def choose_attention(
    heads: int, size: int, dtype: torch.dtype, device: torch.device, candidates: Sequence[Attention] | None = None
) -> Attention:
    """Return the first way that gives the right answer on this device; the last one always does."""
    if candidates is None:
        candidates = (flash_attention, efficient_attention) if device.type == "cuda" else ()
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(sum(_PROBED_LENGTHS), 3, heads, size, generator=generator).to(device, dtype)
    edges = [0, *itertools.accumulate(_PROBED_LENGTHS)]
    # As a graph has it: windows without rows fill up the list.
    bounds = torch.tensor([*edges, edges[-1], edges[-1]], dtype=torch.int32, device=device)
    expected = grouped_attention(rows.float(), bounds, max(_PROBED_LENGTHS))
    tolerance = 5e-2 if dtype is torch.bfloat16 else 1e-4
    for attention in candidates:
        try:
            found = attention(rows, bounds, max(_PROBED_LENGTHS)).float()
        except (AttributeError, RuntimeError, TypeError, IndexError):
            continue
        if found.shape == expected.shape and torch.allclose(found, expected, atol=tolerance, rtol=tolerance):
            return attention
    return grouped_attention
