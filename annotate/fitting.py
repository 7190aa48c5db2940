"""Fitting a tagger to examples: batches by length, one optimiser, and on a GPU one recorded graph for each length.

A step is the same function everywhere. On a GPU the small model of this project spends its time in launching kernels, not
in computing, so a step is recorded once for each padded length and played back: measured on an H100, several times faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from annotate.examples import PackedExamples, batches
from annotate.precision import has_fast_bf16
from annotate.trainable import permitted_tags_loss

if TYPE_CHECKING:
    from annotate.recipe import FitRecipe
    from annotate.trainable import TrainableTagger

_UNDECAYED = ("bias", "LayerNorm.weight")
_LENGTHS = (16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512)
"""Padded lengths on a GPU: each is recorded apart, so they are few."""
_REPORTED_EVERY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """What is known after some steps; ``step`` counts from one, ``loss`` is the mean since the last report.

    ``stage`` names the part of the run that the steps are counted in.
    """

    stage: str
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """Tags of all heads that teachers give to every piece: ``probabilities`` is fp16 [pieces, tags of all heads].

    ``gold`` weighs the examples' own tags beside them.
    """

    probabilities: Tensor
    gold: float


class _Loss:
    """The loss of a batch, computed wholly on the device that holds the examples."""

    def __init__(
        self, model: TrainableTagger, examples: PackedExamples, device: torch.device, teaching: Teaching | None
    ) -> None:
        self._model = model
        self._device = device
        self._teaching = teaching
        self._pieces = torch.from_numpy(examples.pieces).to(device)
        self._permitted = torch.from_numpy(examples.permitted).to(device)
        self._starts = torch.from_numpy(examples.starts[:-1]).to(device)
        self._sizes = torch.from_numpy(examples.lengths).to(device)
        tags = sum(model.tag_counts)
        self._bits = torch.ones(tags, dtype=torch.int64, device=device) << torch.arange(tags, device=device)
        self._bf16 = device.type == "cuda" or has_fast_bf16()

    def __call__(self, batch: Tensor, length: int) -> Tensor:
        """Return the mean loss over the known pieces of a batch, examples by number, -1 for none, padded to ``length``."""
        sizes = torch.where(batch >= 0, self._sizes[batch.clamp_min(0)], 0)
        reach = torch.arange(length, device=self._device)
        present = reach < sizes[:, None]
        places = torch.where(present, self._starts[batch.clamp_min(0)][:, None] + reach, 0)
        pieces = torch.where(present, self._pieces[places], 0).long()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            logits = self._model.logits(pieces, present)
        logs = torch.cat([part.log_softmax(-1) for part in logits.float().split(self._model.tag_counts, -1)], -1)
        permitted = (torch.where(present, self._permitted[places], 0)[..., None] & self._bits) != 0
        known = permitted.any(-1)
        # The probability that falls on the permitted tags; of one head, so at most one.
        gold = permitted_tags_loss(logs, permitted)
        loss = torch.where(known, gold, 0).sum() / known.sum().clamp_min(1)
        if self._teaching is None:
            return loss
        taught = torch.where(present[..., None], self._teaching.probabilities[places], 0).float()
        pieces_taught = (taught.sum(-1) > 0).sum().clamp_min(1)
        return self._teaching.gold * loss - (taught * logs).sum() / pieces_taught


def fit(
    model: TrainableTagger,
    examples: PackedExamples,
    recipe: FitRecipe,
    *,
    seed: int,
    device: torch.device,
    stage: str,
    on_step: Callable[[TrainingStep], None],
    teaching: Teaching | None = None,
) -> list[float]:
    """Fit ``model``, which is moved to ``device``, in place; return the mean loss of each epoch."""
    torch.manual_seed(seed)
    chooser = np.random.default_rng(seed)
    lengths = examples.lengths
    epochs = [batches(lengths, recipe.batch_sentences, chooser) for _ in range(recipe.epochs)]
    steps = sum(map(len, epochs))
    warm = max(1, int(steps * recipe.warmup))
    model.to(device).train()
    step_taker = _step_taker(model, _Loss(model, examples, device, teaching), recipe, device)
    losses, step = [], 0
    for epoch in epochs:
        mean, pending = [], torch.zeros((), device=device)
        reported = step
        for batch in epoch:
            longest = int(lengths[batch].max())
            rate = min((step + 1) / warm, (steps - step) / max(1, steps - warm)) * recipe.learning_rate
            pending += step_taker(batch, longest, rate)
            step += 1
            if step - reported == _REPORTED_EVERY or step == steps or batch is epoch[-1]:
                mean.append((float(pending), step - reported))
                on_step(TrainingStep(stage=stage, step=step, steps=steps, loss=mean[-1][0] / mean[-1][1]))
                pending.zero_()
                reported = step
        losses.append(sum(total for total, _ in mean) / len(epoch))
    return losses


_StepTaker = Callable[["np.ndarray[Any, np.dtype[np.int64]]", int, float], Tensor]


def _step_taker(model: TrainableTagger, loss: _Loss, recipe: FitRecipe, device: torch.device) -> _StepTaker:
    on_gpu = device.type == "cuda"
    rate = torch.zeros((), device=device) if on_gpu else 0.0
    optimizer = _optimizer(model, recipe, rate, capturable=on_gpu)
    parameters = list(model.parameters())

    def compute(batch: Tensor, length: int) -> Tensor:
        computed = loss(batch, length)
        optimizer.zero_grad(set_to_none=True)
        computed.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, recipe.clip, foreach=on_gpu)
        optimizer.step()
        return computed.detach()

    if isinstance(rate, Tensor):
        return _Recorder(compute, optimizer, model, rate, recipe.batch_sentences)

    def take(batch: Any, length: int, rate: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = rate
        return compute(torch.from_numpy(batch), length)

    return take


class _Recorder:
    """Takes steps on a GPU by playing back a graph recorded for each padded length."""

    def __init__(
        self,
        compute: Callable[[Tensor, int], Tensor],
        optimizer: torch.optim.Optimizer,
        model: TrainableTagger,
        rate: Tensor,
        size: int,
    ) -> None:
        self._compute = compute
        self._rate = rate
        self._batch = torch.full((size,), -1, dtype=torch.int64, device=rate.device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool: Any = None
        self._stream = torch.cuda.Stream(rate.device)
        # The first steps make the optimiser's state and choose kernels; they must leave no trace.
        kept = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        with self._on_the_side():
            for _ in range(3):
                compute(self._batch, _LENGTHS[0])
        model.load_state_dict(kept)
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()

    def _on_the_side(self) -> torch.cuda.StreamContext:
        self._stream.wait_stream(torch.cuda.current_stream())
        return torch.cuda.stream(self._stream)

    def __call__(self, batch: Any, longest: int, rate: float) -> Tensor:
        length = next((padded for padded in _LENGTHS if padded >= longest), longest)
        numbers = np.full(len(self._batch), -1, dtype=np.int64)
        numbers[: len(batch)] = batch
        self._rate.fill_(rate)
        self._batch.copy_(torch.from_numpy(numbers), non_blocking=False)
        if length not in self._graphs:
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                loss = self._compute(self._batch, length)
            self._pool = self._pool or graph.pool()
            self._graphs[length] = graph, loss
        graph, loss = self._graphs[length]
        graph.replay()
        return loss


def _optimizer(
    model: TrainableTagger, recipe: FitRecipe, rate: Tensor | float, *, capturable: bool
) -> torch.optim.Optimizer:
    named = list(model.named_parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if not name.endswith(_UNDECAYED)], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in named if name.endswith(_UNDECAYED)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, fused=True, capturable=capturable)


@torch.no_grad()
def tag_probabilities(
    models: Sequence[TrainableTagger], examples: PackedExamples, device: torch.device, batch_sentences: int = 256
) -> Tensor:
    """Return what several models give to every piece on average: fp16 [pieces, tags of all heads], on ``device``.

    Each head's tags sum to one; special pieces have zeros.
    """
    starts, sizes = examples.starts[:-1], examples.lengths
    total = torch.zeros(len(examples.pieces), sum(models[0].tag_counts), dtype=torch.float16, device=device)
    order = np.argsort(sizes, kind="stable")
    pieces = torch.from_numpy(examples.pieces).to(device)
    for model in models:
        model.to(device).eval()
        for at in range(0, len(order), batch_sentences):
            batch = order[at : at + batch_sentences]
            length = int(sizes[batch].max())
            reach = torch.arange(length)
            present = reach < torch.from_numpy(sizes[batch])[:, None]
            tagged = (reach >= 1) & (reach < torch.from_numpy(sizes[batch])[:, None] - 1)
            places = torch.from_numpy(starts[batch])[:, None] + reach
            ids = torch.where(present.to(device), pieces[torch.where(present, places, 0).to(device)], 0).long()
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or has_fast_bf16()):
                logits = model.logits(ids, present.to(device))
            shares = torch.cat([part.softmax(-1) for part in logits.float().split(model.tag_counts, -1)], -1)
            tagged = tagged.to(device)
            total[places.to(device)[tagged]] += (shares[tagged] / len(models)).half()
        model.train()
    return total
