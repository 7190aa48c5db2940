"""A BERT forward pass in int8, for processors with AVX-512 VNNI: two functions in C for each layer.

What they compute, and how nearly, is in ``int8_kernels.c``. That is compiled when comention is installed, where there is
a C compiler; without it, on another processor, or for sizes that the functions do not take, :func:`int8_obstacle` says
what is in the way and :mod:`annotate.encoder` does the work in bf16 or fp32.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotate.bert import Affine, BertTensors, bert_tensors

if TYPE_CHECKING:
    from annotate.folder import BertShape, Head, ModelFolder
    from annotate.windows import PackedWindows

LIBRARY = Path(__file__).with_name("int8_kernels.so")

_PANEL = 64
"""Outputs and inputs of a product are a multiple of this."""

_LANES = 16
"""fp32 values in a register: the width of a head of attention is a multiple of this."""

TILE = 48
"""Rows that the functions work on together. Fewer cost no more a row, but their share of a call."""

LARGE_COLUMNS = 4
"""How many columns are kept out of the quantisation of what a norm gives: the largest are the same in every row."""

_TRIAL = (8, 32)
"""Windows and their pieces, by which the largest columns are found. Which pieces matters little: they are drawn."""

BATCH_ROWS = 12 * TILE
"""How many pieces one forward pass takes together where the setting leaves it open. Twice as many are hardly faster."""


class _Linear(ctypes.Structure):
    _fields_ = (
        ("outputs", ctypes.c_int64),
        ("inputs", ctypes.c_int64),
        ("packed", ctypes.c_void_p),
        ("columns", ctypes.c_void_p),
        ("sums", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("named", ctypes.c_int64),
        ("names", ctypes.c_void_p),
        ("rest", ctypes.c_void_p),
        ("wide", ctypes.c_void_p),
    )


class _Norm(ctypes.Structure):
    _fields_ = (("weight", ctypes.c_void_p), ("bias", ctypes.c_void_p), ("epsilon", ctypes.c_float))


@cache
def _library() -> ctypes.CDLL | None:
    """Return the compiled functions; None where they are not there, or are of another machine."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.int8_memory.argtypes = [number, number, number]
    library.int8_memory.restype = number
    library.int8_attend.argtypes = [pointer, pointer, pointer, number, number, pointer, pointer, pointer]
    library.int8_feed.argtypes = [*[pointer] * 6, number, pointer, pointer]
    library.int8_classify.argtypes = [pointer, number, number, pointer, pointer, number, pointer]
    library.int8_attend.restype = library.int8_feed.restype = library.int8_classify.restype = None
    return library


def int8_obstacle(shape: BertShape) -> str | None:
    """Return why an encoder of this shape cannot be run in int8 here, or None."""
    library = _library()
    if library is None:
        return "comention was installed without a C compiler: install gcc or clang, then comention anew"
    if not library.int8_supported():
        return "this processor has no AVX-512 VNNI"
    width = shape.hidden // shape.attention_heads
    if shape.hidden % _PANEL or shape.intermediate % _PANEL or width % _LANES:
        return (
            f"its sizes (hidden {shape.hidden}, intermediate {shape.intermediate}, heads of {width}) are no multiples of "
            f"{_PANEL}, {_PANEL} and {_LANES}"
        )
    return None


class _Weights:
    """Structures that point into tensors, which are kept here."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []

    def _place(self, tensor: Tensor) -> int:
        self._kept.append(tensor.contiguous())
        return self._kept[-1].data_ptr()

    def linear(self, affine: Affine, large: Tensor | None = None) -> _Linear:
        """Quantise a linear layer, symmetric, with one scale for each output: what is stored so comes out as it was.

        ``large`` are the numbers of the inputs that are kept out of every row; None: the largest values of each row.
        """
        weight = affine.weight.float()
        outputs, inputs = weight.shape
        scales = weight.abs().amax(dim=1).clamp_min(1e-12) / 127
        whole = torch.round(weight / scales[:, None]).clamp(-127, 127).to(torch.int8)
        packed = whole.view(outputs // _PANEL, _PANEL, inputs // 4, 4).permute(0, 2, 1, 3)
        return _Linear(
            outputs,
            inputs,
            self._place(packed),
            self._place(whole.T) if large is None else None,
            self._place(whole.sum(dim=1, dtype=torch.int32).float()),
            self._place(scales),
            self._place(affine.bias.float()),
            *((0, None, None, None) if large is None else self._named(weight / scales[:, None], large)),
        )

    def _named(self, scaled: Tensor, large: Tensor) -> tuple[int, int, int, int]:
        """Keep columns apart: their weights, in steps of each output's scale, are not rounded."""
        rest = np.ones(scaled.shape[1], dtype=np.bool_)
        rest[large.numpy()] = False
        bits = np.packbits(rest, bitorder="little").view(np.uint16)
        return (
            len(large),
            self._place(large.to(torch.int32)),
            self._place(torch.from_numpy(bits)),
            self._place(scaled[:, large].T),
        )

    def norm(self, affine: Affine, epsilon: float) -> _Norm:
        return _Norm(self._place(affine.weight.float()), self._place(affine.bias.float()), epsilon)


class LargeColumns(NamedTuple):
    """The columns with the largest values, of what goes into a layer and of what attention and its norm make of it."""

    hidden: Tensor
    attended: Tensor


@torch.inference_mode()
def large_columns(tensors: BertTensors, shape: BertShape) -> list[LargeColumns]:
    """Return the large columns of each layer, found in fp32 with pieces drawn at random, always the same ones."""
    windows, length = _TRIAL
    length = min(length, shape.positions)
    pieces = torch.from_numpy(np.random.default_rng(0).integers(shape.vocabulary, size=(windows, length)))

    def norm(rows: Tensor, affine: Affine) -> Tensor:
        return functional.layer_norm(rows, (shape.hidden,), *affine, shape.norm_eps)

    def largest(rows: Tensor) -> Tensor:
        return rows.abs().amax((0, 1)).topk(LARGE_COLUMNS).indices

    hidden = norm(tensors.words[pieces] + tensors.positions[:length], tensors.embedding_norm)
    found = []
    for layer in tensors.layers:
        parts = functional.linear(hidden, *layer.query_key_value).view(windows, length, 3, shape.attention_heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        mixed = mixed.transpose(1, 2).reshape(hidden.shape)
        attended = norm(hidden + functional.linear(mixed, *layer.attention_output), layer.attention_norm)
        found.append(LargeColumns(largest(hidden), largest(attended)))
        raised = functional.gelu(functional.linear(attended, *layer.intermediate))
        hidden = norm(attended + functional.linear(raised, *layer.output), layer.output_norm)
    return found


class Int8Encoder:
    """An encoder and some of its heads, ready for inference. Its weights are only read: threads may share it.

    A window yields the same bits in any company, with any number of threads.
    """

    tile = TILE

    def __init__(
        self, folder: ModelFolder, weights: Mapping[str, Tensor], heads: Sequence[Head], *, threads: int = 1
    ) -> None:
        """Quantise the weights of a folder; ``threads`` is how many threads are meant to call it at the same time.

        Raises:
            RuntimeError: the encoder cannot be run in int8 here; :func:`int8_obstacle` tells beforehand.
        """
        shape, library = folder.shape, _library()
        obstacle = int8_obstacle(shape)
        if library is None or obstacle is not None:
            raise RuntimeError(obstacle)
        self._library = library
        tensors = bert_tensors(weights, shape, heads)
        self._shape = shape
        self._words = tensors.words
        self._positions = tensors.positions
        self._embedding_norm = tensors.embedding_norm
        self._weights = _Weights()
        self._layers = [
            # In the order of the arguments of int8_attend and int8_feed.
            (
                self._weights.linear(layer.query_key_value, large.hidden),
                (
                    self._weights.linear(layer.attention_output),
                    self._weights.norm(layer.attention_norm, shape.norm_eps),
                    self._weights.linear(layer.intermediate, large.attended),
                    self._weights.linear(layer.output),
                    self._weights.norm(layer.output_norm, shape.norm_eps),
                ),
            )
            for layer, large in zip(tensors.layers, large_columns(tensors, shape), strict=True)
        ]
        self._tags = len(tensors.head.weight)
        missing = -self._tags % _LANES
        self._head = Affine(
            functional.pad(tensors.head.weight.T, (0, missing)).contiguous(),
            functional.pad(tensors.head.bias, (0, missing)),
        )
        self.lanes = threads
        self.batch_rows = BATCH_ROWS

    @torch.inference_mode()
    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the heads' logits of the wanted rows, [wanted rows, tags of all heads in order], fp32.

        Of the last layer, keys and values are computed for all rows, and the rest for the wanted ones alone.

        Raises:
            RuntimeError: there is not enough memory for this batch.
        """
        shape = self._shape
        lengths = np.ascontiguousarray(batch.lengths, dtype=np.int64)
        firsts = np.cumsum(lengths) - lengths
        positions = torch.from_numpy(np.arange(len(batch.pieces)) - np.repeat(firsts, lengths))
        embedded = functional.embedding(torch.from_numpy(batch.pieces), self._words)
        embedded += functional.embedding(positions, self._positions)
        hidden = functional.layer_norm(embedded, (shape.hidden,), *self._embedding_norm, shape.norm_eps)
        # Taken once: memory that is given back after each layer is new each time, page for page.
        mixed, needed = embedded, self._library.int8_memory(shape.hidden, shape.intermediate, int(lengths.max()))
        memory = torch.empty(needed, dtype=torch.uint8)
        wanted = np.zeros(len(batch.pieces), dtype=np.bool_)
        wanted[batch.wanted] = True
        for number, (query_key_value, rest) in enumerate(self._layers, 1):
            last = number == len(self._layers)
            self._library.int8_attend(
                ctypes.byref(query_key_value),
                hidden.data_ptr(),
                lengths.ctypes.data,
                len(lengths),
                shape.attention_heads,
                wanted.ctypes.data if last else None,
                memory.data_ptr(),
                mixed.data_ptr(),
            )
            if last:
                hidden = hidden[torch.from_numpy(batch.wanted)]
            self._library.int8_feed(
                *map(ctypes.byref, rest),
                mixed.data_ptr(),
                len(hidden),
                memory.data_ptr(),
                hidden.data_ptr(),
            )
        return self._classify(hidden)

    def _classify(self, rows: Tensor) -> NDArray[np.float32]:
        columns, bias = self._head
        logits = torch.empty(len(rows), len(bias))
        self._library.int8_classify(
            rows.data_ptr(), *rows.shape, columns.data_ptr(), bias.data_ptr(), len(bias), logits.data_ptr()
        )
        result: NDArray[np.float32] = logits[:, : self._tags].numpy()
        return result
