"""The sides of the annotation benchmark, each in a process of its own that is told when to run."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Spans = list[list[tuple[int, int, str]]]

MATMUL = {"cpu": (1024, 5), "cuda": (8192, 20)}
"""Size and repetitions of the square matrix product that stands for a device's peak."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """How a side computes; what :class:`annotate.precision.ComputeSettings` asks for."""

    device: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    batch_tokens: int | None = None


class Side:
    """A process that holds one side: ``side.call(method, …)`` runs a method of its object there."""

    def __init__(self, make: Callable[..., Any], *arguments: Any) -> None:
        """Start the process; ``make(*arguments)`` is called in it."""
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Run a method and return its result; its exception is raised here."""
        self._ours.send((method, arguments))
        done, result = self._ours.recv()
        if not done:
            raise RuntimeError(result)
        return result

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self._process.join(20)
        self._process.kill()


def _serve(connection: Any, make: Callable[..., Any], arguments: Sequence[Any]) -> None:
    import traceback

    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_OFFLINE"] = "1"
    side, failure = None, ""
    try:
        side = make(*arguments)
    except Exception:  # shown by the parent
        failure = traceback.format_exc()
    while True:
        try:
            method, given = connection.recv()
        except EOFError:
            return
        try:
            connection.send((True, getattr(side, method)(*given)) if side is not None else (False, failure))
        except Exception:
            connection.send((False, traceback.format_exc()))


class Ours:
    """The engine of this project over a model folder."""

    def __init__(self, folder: Path, compute: Compute) -> None:
        """Load the folder."""
        from annotate.engine import BertAnnotator
        from annotate.folder import open_folder

        self._folder = open_folder(folder)
        self._annotator = BertAnnotator(self._folder, compute, name="measured", model="benchmark")

    def seconds(self, sentences: Sequence[str]) -> tuple[float, float]:
        """Annotate once and return the seconds, and the processor's."""
        return _measured(lambda: self._annotator.annotate(sentences))

    def spans(self, sentences: Sequence[str]) -> Spans:
        """Return what is found."""
        return _spans(self._annotator, sentences)

    def describe(self) -> dict[str, object]:
        """Say how it computes."""
        encoder = self._annotator._encoder
        return {
            "encoder": type(encoder).__name__,
            "dtype": str(_number_format(encoder)),
            "lanes": encoder.lanes,
            "batch_rows": self._annotator._forward._most_rows,
            "attention": getattr(encoder, "attention", "by length"),
        }

    def stages(self, sentences: Sequence[str]) -> dict[str, float]:
        """Return the share of each stage in the seconds that its threads spend in it."""
        annotator, spent = self._annotator, defaultdict(float)
        watched = [(annotator, "_tokenise"), (annotator._encoder, "logits"), (annotator, "_decode")]
        for owner, name in watched:
            setattr(owner, name, _timed(getattr(owner, name), spent, name))
        try:
            annotator.annotate(sentences)
        finally:
            for owner, name in watched:
                delattr(owner, name)
        total = sum(spent.values())
        named = {"tokenise": "_tokenise", "forward": "logits", "decode": "_decode"}
        return {stage: spent[name] / total for stage, name in named.items()}

    def host_seconds(self, sentences: Sequence[str], repetitions: int) -> dict[str, float]:
        """Return the least seconds of all but the forward pass, one portion after another, and the tokenizer's share.

        The logits are computed once and then given back at once. The tokenizer works outside Python, in threads of its own;
        what is left is Python and numpy, of which one interpreter does no more than one thing at a time.
        """
        from annotate.engine import LEAST_AT_ONCE

        annotator = self._annotator
        encoder, tokenizer, spent = annotator._encoder, annotator._tokenizer, defaultdict(float)
        recorded = _Recorded(encoder)
        annotator._tokenizer = _Timed(tokenizer, spent)
        annotator._encoder = annotator._forward._encoder = recorded
        found = []
        try:
            for _ in range(1 + repetitions):
                spent.clear()
                began = time.perf_counter()
                for start in range(0, len(sentences), LEAST_AT_ONCE):
                    annotator.annotate(sentences[start : start + LEAST_AT_ONCE])
                found.append((time.perf_counter() - began, spent["encode_batch"]))
        finally:
            annotator._tokenizer = tokenizer
            annotator._encoder = annotator._forward._encoder = encoder
        whole, tokenizing = zip(*found[1:], strict=True)
        rest = [one - other for one, other in zip(whole, tokenizing, strict=True)]
        return {"tokenizer": min(tokenizing), "rest": min(rest)}

    def flops(self, sentences: Sequence[str]) -> float:
        """Return the operations of the forward pass over sentences."""
        from benchmarks.annotate_models import forward_flops

        return forward_flops(self._folder.shape, self._batches(sentences))

    def forward_seconds(self, sentences: Sequence[str], repetitions: int) -> float:
        """Return the median seconds of the forward pass alone over sentences that are already packed."""
        from concurrent.futures import ThreadPoolExecutor

        import torch

        encoder, batches = self._annotator._encoder, self._batches(sentences)
        with ThreadPoolExecutor(encoder.lanes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(encoder.logits, batches * 2))
            seconds = []
            for _ in range(repetitions):
                began = time.perf_counter()
                list(pool.map(encoder.logits, batches))
                seconds.append(time.perf_counter() - began)
        return statistics.median(seconds)

    def peak(self) -> float:
        """Return the operations per second of a large matrix product, in the precision and on the device in use."""
        import torch

        encoder = self._annotator._encoder
        device = getattr(encoder, "_device", torch.device("cpu"))
        size, repetitions = MATMUL[device.type]
        dtype, multiply = _number_format(encoder), torch.matmul
        left, right = (torch.randn(size, size, device=device) for _ in range(2))
        if dtype is torch.int8:
            multiply, left, right = torch._int_mm, 30 * left, 30 * right
        left, right = left.to(dtype), right.to(dtype)
        # On a CPU the time of one thread, times the threads: together they would measure what else runs on the machine.
        clock = time.perf_counter if device.type == "cuda" else time.thread_time
        threads, best = torch.get_num_threads(), float("inf")
        torch.set_num_threads(1)
        for _ in range(3):
            for _ in range(3):
                multiply(left, right)
            _wait(device)
            began = clock()
            for _ in range(repetitions):
                multiply(left, right)
            _wait(device)
            best = min(best, (clock() - began) / repetitions)
        torch.set_num_threads(threads)
        return (1 if device.type == "cuda" else encoder.lanes) * 2 * size**3 / best

    def variants(self, sentences: Sequence[str]) -> list[dict[str, object]]:
        """Return the seconds of the forward pass of every way to run it on this GPU."""
        import torch

        from annotate.cuda_encoder import CudaEncoder
        from annotate.weights import load_weights

        kept = self._annotator._encoder
        weights, found = load_weights(self._folder.path), []
        for graphs, fused, rows in [
            (False, False, 16_384),
            (True, False, 16_384),
            (False, False, 32_768),
            (True, False, 32_768),
            (True, False, 65_536),
            (False, True, 32_768),
            (True, True, 32_768),
        ]:
            began = time.perf_counter()
            row: dict[str, object] = {"graphs": graphs, "fused": fused, "rows": rows}
            try:
                encoder = CudaEncoder(
                    self._folder, weights, self._folder.deciding_heads, kept._dtype, kept._device,
                    graphs=graphs, fused=fused,
                )  # fmt: skip
                encoder.batch_rows = encoder.tile = rows
                self._annotator._encoder = encoder
                self._annotator._forward._most_rows = rows
                row["forward_seconds"] = self.forward_seconds(sentences, 3)
                row["captured"] = sum(graph is not None for graph in encoder._graphs.values())
                row["attention"] = encoder.attention
            except Exception as error:  # a way that fails here is passed over, and said
                row["failure"] = f"{type(error).__name__}: {error}"[:300]
            row["seconds_with_warm_up"] = time.perf_counter() - began
            found.append(row)
            torch.cuda.empty_cache()
        self._annotator._encoder = kept
        self._annotator._forward._most_rows = kept.batch_rows
        return found

    def _batches(self, sentences: Sequence[str]) -> list[Any]:
        from annotate.engine import SENTENCES_AT_ONCE
        from annotate.windows import pack_windows

        annotator, batches = self._annotator, []
        for start in range(0, len(sentences), SENTENCES_AT_ONCE):
            tokens = annotator._tokenise(sentences[start : start + SENTENCES_AT_ONCE])
            packed = pack_windows(
                tokens.ids, tokens.bounds, tokens.starts, size=annotator._window, special=annotator._special
            )
            batches += list(annotator._forward._batches(packed))
        return batches


def _number_format(encoder: Any) -> Any:
    """Return the torch type in which an encoder multiplies."""
    import torch

    from annotate.close_calls import CloseCalls
    from annotate.int8_encoder import Int8Encoder

    if isinstance(encoder, CloseCalls):
        return _number_format(encoder.coarse)
    return torch.int8 if isinstance(encoder, Int8Encoder) else encoder._dtype


class Reference:
    """The engine's own tokenising, windows and decoding around a plain fp32 padded forward pass."""

    def __init__(self, folder: Path, hub_folder: Path, compute: Compute) -> None:
        """Load the folder, and its export that transformers can read."""
        from annotate.engine import BertAnnotator
        from annotate.folder import open_folder
        from annotate.forward import ForwardPass
        from annotate.precision import resolve_device
        from benchmarks.annotate_models import PaddedReference

        opened = open_folder(folder)
        plain = Compute(device="cpu", precision="fp32", threads=1)
        self._annotator = BertAnnotator(opened, plain, name="reference", model="benchmark")
        padded = PaddedReference(hub_folder, opened, resolve_device(compute.device))
        self._annotator._forward = ForwardPass(padded, None)

    def spans(self, sentences: Sequence[str]) -> Spans:
        """Return what is found."""
        return _spans(self._annotator, sentences)


class Pipeline:
    """``transformers.pipeline("token-classification")`` as a user calls it, over the same weights."""

    def __init__(self, hub_folder: Path, compute: Compute, strategy: str) -> None:
        """Load the folder in the precision in which the device is fastest: bf16 on a GPU, fp32 on a CPU."""
        import torch
        from transformers import BertForTokenClassification, PreTrainedTokenizerFast, pipeline
        from transformers.utils import logging

        from annotate.folder import TOKENIZER
        from annotate.precision import resolve_device

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        device = resolve_device(compute.device)
        model = BertForTokenClassification.from_pretrained(hub_folder).eval()
        if device.type == "cuda":
            model = model.to(torch.bfloat16)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(hub_folder / TOKENIZER), unk_token="[UNK]", sep_token="[SEP]", cls_token="[CLS]",
            pad_token="[PAD]", mask_token="[MASK]", model_max_length=512,
        )  # fmt: skip
        self._pipeline = pipeline(
            "token-classification", model=model, tokenizer=tokenizer, aggregation_strategy=strategy, device=device
        )
        if compute.threads is not None:
            torch.set_num_threads(compute.threads)

    def seconds(self, sentences: Sequence[str], batch_size: int) -> tuple[float, float]:
        """Annotate once and return the seconds, and the processor's."""
        return _measured(lambda: self._pipeline(list(sentences), batch_size=batch_size))


class _Recorded:
    """An encoder that computes what it has not seen and remembers it."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._known: dict[bytes, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def logits(self, batch: Any) -> Any:
        key = hashlib.blake2b(batch.pieces.tobytes(), digest_size=16).digest()
        if key not in self._known:
            self._known[key] = self._encoder.logits(batch)
        return self._known[key]


class _Timed:
    """A tokenizer whose seconds are counted."""

    def __init__(self, tokenizer: Any, spent: dict[str, float]) -> None:
        self._tokenizer = tokenizer
        self.encode_batch = _timed(tokenizer.encode_batch, spent, "encode_batch")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


def _spans(annotator: Any, sentences: Sequence[str]) -> Spans:
    return [
        [(mention.start_char, mention.end_char, mention.label) for mention in annotation.mentions]
        for annotation in annotator.annotate(sentences)
    ]


def _measured(function: Callable[[], object]) -> tuple[float, float]:
    began, worked = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - began, time.process_time() - worked


def _timed(function: Callable[..., Any], spent: dict[str, float], name: str) -> Callable[..., Any]:
    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        result = function(*arguments, **options)
        spent[name] += time.perf_counter() - began  # threads may lose a little of each other's
        return result

    return timed


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
