"""Fitting taggers to examples: batches by length, one optimiser, and on a GPU one recorded graph for each length.

A step is the same function everywhere. On a GPU a small model spends its time in launching kernels, not in computing, so
the models of an ensemble are fitted together, and a step is recorded once for each padded length and played back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from annotate.examples import PackedExamples, batches
from annotate.precision import has_fast_bf16
from annotate.trainable import permitted_tags_loss

if TYPE_CHECKING:
    from annotate.any_tagger import AnyTagger
    from annotate.recipe import FitRecipe
    from annotate.trainable import TrainableTagger

    Tagger = TrainableTagger | AnyTagger

_LENGTHS = (16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512)
"""Padded lengths on a GPU: each is recorded apart, so they are few."""
_REPORTED_EVERY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """What is known after some steps; ``step`` counts from one, ``loss`` is the mean since the last report.

    ``stage`` names the part of the run that the steps are counted in. A stage that fits nothing has no loss.
    """

    stage: str
    step: int
    steps: int
    loss: float | None


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
        self, model: Tagger, examples: PackedExamples, device: torch.device, teaching: Teaching | None
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
        """Return each member's mean loss over the known pieces of its batch.

        ``batch`` are numbers of examples, [members, sentences], -1 for none, padded to ``length`` pieces.
        """
        sizes = torch.where(batch >= 0, self._sizes[batch.clamp_min(0)], 0)
        reach = torch.arange(length, device=self._device)
        present = reach < sizes[..., None]
        places = torch.where(present, self._starts[batch.clamp_min(0)][..., None] + reach, 0)
        pieces = torch.where(present, self._pieces[places], 0).long()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16, cache_enabled=False):
            logits = self._model.logits(pieces, present)
        logs = torch.cat(
            [part.log_softmax(-1) for part in logits.float().split_with_sizes(self._model.tag_counts, -1)], -1
        )
        permitted = (torch.where(present, self._permitted[places], 0)[..., None] & self._bits) != 0
        known = permitted.any(-1)
        # The probability that falls on the permitted tags; of one head, so at most one.
        gold = torch.where(known, permitted_tags_loss(logs, permitted), 0)
        loss = gold.sum((1, 2)) / known.sum((1, 2)).clamp_min(1)
        if self._teaching is None:
            return loss
        taught = torch.where(present[..., None], self._teaching.probabilities[places], 0).float()
        pieces_taught = (taught.sum(-1) > 0).sum((1, 2)).clamp_min(1)
        return self._teaching.gold * loss - (taught * logs).sum((1, 2, 3)) / pieces_taught


def fit(
    model: Tagger,
    examples: PackedExamples,
    recipe: FitRecipe,
    *,
    seeds: Sequence[int],
    device: torch.device,
    stage: str,
    on_step: Callable[[TrainingStep], None],
    teaching: Teaching | None = None,
) -> list[float]:
    """Fit ``model``, which is moved to ``device``, in place; return the mean loss of each epoch.

    Every member of the model takes the examples in an order of its own, by its seed.
    """
    torch.manual_seed(seeds[0])
    choosers = [np.random.default_rng(seed) for seed in seeds]
    epochs = [_epoch(examples.lengths, recipe.batch_sentences, choosers) for _ in range(recipe.epochs)]
    steps = sum(map(len, epochs))
    warm = max(1, int(steps * recipe.warmup))
    model.to(device).train()
    take_step = _step_taker(model, _Loss(model, examples, device, teaching), recipe, device)
    losses, step = [], 0
    for epoch in epochs:
        total, reported = 0.0, step
        pending = torch.zeros((), device=device)
        for batch in epoch:
            longest = int(examples.lengths[batch].max())
            rate = min((step + 1) / warm, (steps - step) / max(1, steps - warm)) * recipe.learning_rate
            pending += take_step(batch, longest, rate)
            step += 1
            if step - reported == _REPORTED_EVERY or batch is epoch[-1]:
                loss = float(pending)
                total += loss
                on_step(TrainingStep(stage=stage, step=step, steps=steps, loss=loss / (step - reported)))
                pending.zero_()
                reported = step
        losses.append(total / len(epoch))
    return losses


def _epoch(lengths: NDArray[np.int64], size: int, choosers: Sequence[np.random.Generator]) -> list[NDArray[np.int64]]:
    """Return the batches of one epoch, [members, sentences] each, -1 where a member's last batch is short.

    Members take batches of about one length at the same step, so that none waits for the padding of another.
    """
    own = [batches(lengths, size, chooser) for chooser in choosers]
    for member in own:
        member.sort(key=lambda batch: int(lengths[batch].max()))
    stacked = np.full((len(own[0]), len(own), min(size, len(lengths))), -1, dtype=np.int64)
    for index, member in enumerate(own):
        for step, batch in enumerate(member):
            stacked[step, index, : len(batch)] = batch
    return list(stacked[choosers[0].permutation(len(stacked))])


_StepTaker = Callable[[NDArray[np.int64], int, float], Tensor]


def _step_taker(model: Tagger, loss: _Loss, recipe: FitRecipe, device: torch.device) -> _StepTaker:
    """Return a function of a batch, its longest length and a learning rate that takes a step and returns the loss."""
    recorded = device.type == "cuda" and model.may_be_recorded
    rate = torch.zeros((), device=device) if recorded else 0.0
    optimizer = _optimizer(model, recipe, rate)
    parameters = list(model.parameters())

    def compute(batch: Tensor, length: int) -> Tensor:
        computed = loss(batch, length)
        optimizer.zero_grad(set_to_none=True)
        computed.sum().backward()  # type: ignore[no-untyped-call]
        _clip(parameters, model.members, recipe.clip)
        if isinstance(rate, Tensor):
            for group in optimizer.param_groups:
                torch.mul(rate, group["times"], out=group["lr"])
        optimizer.step()
        return computed.detach().mean()

    if isinstance(rate, Tensor):
        return _Recorder(compute, rate, members=model.members, size=recipe.batch_sentences)

    def take(batch: NDArray[np.int64], length: int, rate: float) -> Tensor:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["times"]
        return compute(torch.from_numpy(batch).to(device), length)

    return take


def _clip(parameters: Sequence[Tensor], members: int, most: float) -> None:
    """Scale the gradients of each member so that their norm is at most ``most``. One member needs no dimension of its own."""
    gradients = [one.grad for one in parameters if one.grad is not None]
    squares = torch.stack([gradient.reshape(members, -1).square().sum(1) for gradient in gradients]).sum(0)
    scale = (most / (squares.sqrt() + 1e-6)).clamp_max(1.0)
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.dim() - 1)))


class _Recorder:
    """Takes steps on a GPU by playing back a graph recorded for each padded length."""

    def __init__(self, compute: Callable[[Tensor, int], Tensor], rate: Tensor, *, members: int, size: int) -> None:
        self._compute = compute
        self._rate = rate
        self._batch = torch.full((members, size), -1, dtype=torch.int64, device=rate.device)
        self._graphs: dict[int, tuple[torch.cuda.CUDAGraph, Tensor]] = {}
        self._pool: Any = None
        self._stream = torch.cuda.Stream(rate.device)  # type: ignore[no-untyped-call]
        # The first steps make the optimiser's state and choose kernels. Without examples, at a rate of zero, they change
        # no weight; the optimiser's count of steps is part of the correction of its means, and three more do not matter.
        with self._on_the_side():
            for _ in range(3):
                compute(self._batch, _LENGTHS[0])

    def _on_the_side(self) -> AbstractContextManager[object]:
        self._stream.wait_stream(torch.cuda.current_stream())
        return torch.cuda.stream(self._stream)

    def __call__(self, batch: NDArray[np.int64], longest: int, rate: float) -> Tensor:
        length = next((padded for padded in _LENGTHS if padded >= longest), longest)
        numbers = np.full(tuple(self._batch.shape), -1, dtype=np.int64)
        numbers[:, : batch.shape[1]] = batch
        self._rate.fill_(rate)
        self._batch.copy_(torch.from_numpy(numbers))
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


def _optimizer(model: Tagger, recipe: FitRecipe, rate: Tensor | float) -> torch.optim.Optimizer:
    """Return the optimiser of what is not frozen; a group learns at ``times`` the rate. A tensor's groups have one each."""
    groups: dict[tuple[float, float], list[Tensor]] = {
        (times, decay): [] for times in dict.fromkeys((1.0, recipe.head_rate)) for decay in (recipe.weight_decay, 0.0)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            in_head, decays = _kind(name)
            groups[recipe.head_rate if in_head else 1.0, recipe.weight_decay if decays else 0.0].append(parameter)
    recorded = isinstance(rate, Tensor)
    tables: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": decay,
            "times": times,
            "lr": rate.clone() if isinstance(rate, Tensor) else rate,
        }
        for (times, decay), parameters in groups.items()
        if parameters
    ]
    return torch.optim.AdamW(tables, lr=rate, fused=True, capturable=recorded)


def _kind(name: str) -> tuple[bool, bool]:
    """Tell of a parameter whether it is a head's, and whether it decays: no bias does, nor what scales a norm."""
    *path, last = re.split(r"[./]", name)
    in_head = path[0] == "heads"
    return in_head, last != "bias" and (in_head or "norm" not in path[-1].lower())


@torch.no_grad()
def tag_probabilities(model: Tagger, examples: PackedExamples, device: torch.device) -> Tensor:
    """Return what the members of a model give to every piece on average: fp16 [pieces, tags of all heads], on ``device``.

    Each head's tags sum to one; special pieces have zeros.
    """
    starts = torch.from_numpy(examples.starts[:-1]).to(device)
    sizes = torch.from_numpy(examples.lengths).to(device)
    pieces = torch.from_numpy(examples.pieces).to(device)
    found = torch.zeros(len(pieces), sum(model.tag_counts), dtype=torch.float16, device=device)
    model.to(device).eval()
    at_once = 1024 if device.type == "cuda" else 64  # what fills a GPU; what a processor's cache holds
    for batch in torch.argsort(sizes, stable=True).split(at_once):  # type: ignore[no-untyped-call]
        reach = torch.arange(int(sizes[batch].max()), device=device)
        present = reach < sizes[batch][:, None]
        tagged = (reach >= 1) & (reach < sizes[batch][:, None] - 1)
        places = torch.where(present, starts[batch][:, None] + reach, 0)
        ids = torch.where(present, pieces[places], 0).long()
        each = (model.members, *ids.shape)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or has_fast_bf16()):
            logits = model.logits(ids.expand(each), present.expand(each))
        shares = torch.cat([part.softmax(-1) for part in logits.float().split_with_sizes(model.tag_counts, -1)], -1)
        found[places[tagged]] = shares.mean(0)[tagged].half()
    return found
