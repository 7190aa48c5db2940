"""The forward pass on a GPU: packed rows without padding, one stream, static shapes that are captured as CUDA graphs.

Windows stand one after another on one axis of rows, as on the CPU (:mod:`annotate.encoder`). The number of rows is
rounded up to one of a few sizes, so that shapes recur; a shape that comes again is captured as a CUDA graph and costs
one launch from then on, which leaves Python free to tokenise and decode meanwhile.

What a window yields does *not* stay the same bit for bit in any company, as it does on the CPU: the matrix library picks
its kernel by the number of rows, and kernels of different shape sum in different orders. Among batches of one size the bits
agree. In bf16 a close call between two tags may therefore fall otherwise when a run is repeated with other batches.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from annotate.bert import Affine, LayerTensors, bert_tensors
from annotate.cuda_attention import choose_attention, grouped_attention
from annotate.folder import Head, ModelFolder
from annotate.windows import PackedWindows
from comention.errors import AnnotatorError

MOST_ROWS, LEAST_ROWS = 32_768, 2_048
"""Bounds of the rows that one forward pass takes where the setting leaves it open; free memory decides between them."""

LANES = 3
"""Threads that feed the stream: while one waits for its result, the next batches are already queued behind it."""

_GRAPHS_KEPT = 24
_ROW_STEP = 256


class _Shape(NamedTuple):
    """The static sizes of a batch. ``longest`` is rounded up, as attention only needs a bound."""

    rows: int
    windows: int
    longest: int
    wanted: int

    @property
    def size(self) -> int:
        """How many numbers describe a batch: pieces, positions, first rows of windows and the end, wanted rows."""
        return 2 * self.rows + self.windows + 1 + self.wanted


@dataclass(frozen=True, slots=True)
class _Graph:
    graph: torch.cuda.CUDAGraph
    batch: Tensor
    logits: Tensor


class CudaEncoder:
    """An encoder and some of its heads on a GPU. Threads may share it: they queue on one stream.

    It computes on the CPU too, without streams and graphs, which is how its tests run where there is no GPU.
    """

    def __init__(
        self,
        folder: ModelFolder,
        weights: Mapping[str, Tensor],
        heads: Sequence[Head],
        dtype: torch.dtype,
        device: torch.device,
        *,
        graphs: bool = True,
        fused: bool = False,
    ) -> None:
        """Move the weights of a folder to the device; ``dtype`` is that of the linears and of attention, bf16 or fp32.

        ``graphs`` captures shapes that recur. ``fused`` has torch compile what lies between the matrix products, which
        takes half a minute at the first sentence.
        """
        shape = folder.shape
        tensors = bert_tensors(weights, shape, heads)
        self._device, self._dtype, self._epsilon = device, dtype, shape.norm_eps
        self._heads, self._hidden = shape.attention_heads, shape.hidden
        self._on_gpu = device.type == "cuda"
        if self._on_gpu and dtype is torch.float32:
            torch.set_float32_matmul_precision("highest")  # no TF32: fp32 means fp32
        self._words = tensors.words.to(device)
        self._positions = tensors.positions.to(device)
        self._embedding_norm = tensors.embedding_norm.to(torch.float32, device)
        self._layers = [
            LayerTensors(**{name: getattr(layer, name).to(dtype, device) for name in LayerTensors.__slots__})
            for layer in tensors.layers
        ]
        self._head = tensors.head.to(torch.float32, device)
        self._attention = choose_attention(self._heads, self._hidden // self._heads, dtype, device)
        self._graphs_wanted = graphs and self._on_gpu and self._attention is not grouped_attention
        self._graphs: OrderedDict[_Shape, _Graph | None] = OrderedDict()
        self._lock = threading.Lock()
        self._stream = torch.cuda.Stream(device) if self._on_gpu else None  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle() if self._graphs_wanted else None
        self._feed: Callable[..., Tensor] = torch.compile(_feed, dynamic=True) if fused else _feed
        if self._on_gpu:
            torch.cuda.synchronize(device)  # the weights are there before another stream reads them
        self.lanes = LANES if self._on_gpu else 1
        self.tile = self.batch_rows = (
            self._fitting_rows(shape.hidden, shape.intermediate) if self._on_gpu else LEAST_ROWS
        )

    @property
    def attention(self) -> str:
        """Which way of attending was chosen."""
        return self._attention.__name__

    def _fitting_rows(self, hidden: int, intermediate: int) -> int:
        """Return how many rows a quarter of the free memory holds, within bounds."""
        free, _ = torch.cuda.mem_get_info(self._device)
        row = self._dtype.itemsize * (2 * intermediate + 8 * hidden)
        return max(LEAST_ROWS, min(MOST_ROWS, free // 4 // row // LEAST_ROWS * LEAST_ROWS))

    @torch.inference_mode()
    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the heads' logits of the wanted rows, [wanted rows, tags of all heads in order], fp32.

        Raises:
            RuntimeError: the device has not enough memory for the batch; what can be freed is freed before.
            AnnotatorError: the device has failed.
        """
        shape = _static_shape(batch)
        described = torch.empty(shape.size, dtype=torch.int32, pin_memory=self._on_gpu)
        _describe(batch, shape, described.numpy())
        if self._stream is None:
            logits = self._forward(described, shape)
        else:
            try:
                logits = self._run(self._stream, described, shape)
            except torch.OutOfMemoryError:
                self._release()
                raise
            except RuntimeError as error:
                self._check_alive(error)
                raise
        result: NDArray[np.float32] = logits[: len(batch.wanted)].numpy()
        return result

    def _run(self, stream: torch.cuda.Stream, described: Tensor, shape: _Shape) -> Tensor:
        """Queue a batch, wait for it, and return its logits in the host's memory."""
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        with self._lock, torch.cuda.device(self._device), torch.cuda.stream(stream):
            graph = self._graph(shape)
            if graph is None:
                computed = self._forward(described.to(self._device, non_blocking=True), shape)
            else:
                graph.batch.copy_(described, non_blocking=True)
                graph.graph.replay()
                computed = graph.logits
            logits = torch.empty(computed.shape, dtype=computed.dtype, pin_memory=True)
            logits.copy_(computed, non_blocking=True)
            done.record(stream)
        done.synchronize()  # outside of the lock: the next batch is queued meanwhile
        return logits

    def _graph(self, shape: _Shape) -> _Graph | None:
        """Return the graph of a shape, captured when the shape comes for the second time."""
        if not self._graphs_wanted:
            return None
        if shape not in self._graphs:
            self._graphs[shape] = None
            return None
        self._graphs.move_to_end(shape)
        if self._graphs[shape] is None:
            self._graphs[shape] = self._capture(shape)
            while len(self._graphs) > _GRAPHS_KEPT:
                self._graphs.popitem(last=False)
        return self._graphs[shape]

    def _capture(self, shape: _Shape) -> _Graph | None:
        """Capture the forward pass of a shape that has run before, or give graphs up where that cannot be done."""
        batch = torch.zeros(shape.size, dtype=torch.int32, device=self._device)
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may allocate and wait meanwhile. Graphs replay one after another and their results are copied
            # away in between, so they may share memory.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                logits = self._forward(batch, shape)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            self._graphs_wanted = False
            return None
        return _Graph(graph, batch, logits)

    def _release(self) -> None:
        """Give back what is held besides the weights, for the halves of a batch that was too large."""
        with self._lock:
            self._graphs.clear()
        torch.cuda.empty_cache()

    def _check_alive(self, error: RuntimeError) -> None:
        """Tell a batch that cannot be encoded from a device that has failed, after which nothing works any more."""
        try:
            torch.cuda.synchronize(self._device)
        except RuntimeError:
            message = str(error).partition("\n")[0]
            raise AnnotatorError(f"the device {self._device} has failed; start the program again: {message}") from error

    def _forward(self, described: Tensor, shape: _Shape) -> Tensor:
        """Return the logits of the wanted rows, [shape.wanted, tags]."""
        pieces, positions, bounds, wanted = torch.split(
            described, [shape.rows, shape.rows, shape.windows + 1, shape.wanted]
        )
        embedded = functional.embedding(pieces, self._words) + functional.embedding(positions, self._positions)
        hidden = _norm(embedded, self._embedding_norm, self._epsilon).to(self._dtype)
        for layer in self._layers:
            rows = functional.linear(hidden, *layer.query_key_value).view(shape.rows, 3, self._heads, -1)
            mixed = self._attention(rows, bounds, shape.longest).flatten(1)
            if layer is self._layers[-1]:  # what follows goes row by row: only what is asked for
                mixed, hidden = mixed.index_select(0, wanted), hidden.index_select(0, wanted)
            hidden = self._feed(hidden, mixed, *_after_attention(layer), self._epsilon)
        return functional.linear(hidden.float(), *self._head)


def _after_attention(layer: LayerTensors) -> tuple[Affine, ...]:
    return (layer.attention_output, layer.attention_norm, layer.intermediate, layer.output, layer.output_norm)


def _feed(
    residual: Tensor,
    mixed: Tensor,
    attention_output: Affine,
    attention_norm: Affine,
    intermediate: Affine,
    output: Affine,
    output_norm: Affine,
    epsilon: float,
) -> Tensor:
    """Compute what follows attention in one layer."""
    attended = _norm(functional.linear(mixed, *attention_output) + residual, attention_norm, epsilon)
    inner = functional.gelu(functional.linear(attended, *intermediate))
    return _norm(functional.linear(inner, *output) + attended, output_norm, epsilon)


def _norm(rows: Tensor, norm: Affine, epsilon: float) -> Tensor:
    return functional.layer_norm(rows, rows.shape[-1:], *norm, epsilon)


def _static_shape(batch: PackedWindows) -> _Shape:
    """Round the sizes of a batch up, so that shapes recur."""
    rows = _round_up(max(len(batch.pieces), 1))
    wanted = rows * 3 // 4
    return _Shape(
        rows=rows,
        windows=max(16, 1 << max(len(batch) - 1, 0).bit_length()),
        longest=-(-int(batch.lengths.max(initial=1)) // 128) * 128,
        wanted=wanted if len(batch.wanted) <= wanted else rows,
    )


def _round_up(rows: int) -> int:
    """Round to a quarter of the power of two below, at least to full tiles."""
    step = max(_ROW_STEP, (1 << (rows.bit_length() - 1)) // 4)
    return -(-rows // step) * step


def _describe(batch: PackedWindows, shape: _Shape, into: NDArray[np.int32]) -> None:
    """Write what :meth:`CudaEncoder._forward` reads; what is left over is filled with windows and rows of no matter."""
    used = len(batch.pieces)
    pieces, positions, bounds, wanted = np.split(
        into, list(itertools.accumulate([shape.rows, shape.rows, shape.windows + 1]))
    )
    ends = np.cumsum(batch.lengths)
    pieces[:used], pieces[used:] = batch.pieces, 0
    positions[:used] = np.arange(used) - np.repeat(ends - batch.lengths, batch.lengths)
    positions[used:] = 0
    bounds[0], bounds[1 : len(ends) + 1], bounds[len(ends) + 1 :] = 0, ends, used
    wanted[: len(batch.wanted)], wanted[len(batch.wanted) :] = batch.wanted, 0
