"""The BERT encoder with its heads, for training: several models side by side, computed together.

Small models spend a GPU's time in launching kernels, so the models of an ensemble, which have the same shape and differ
in seeds, are members of one stack: each parameter has a leading dimension of members, and one product serves them all.
A single model is a stack of one. Inference has its own forward pass in ``encoder``.

Attention is an explicit product and softmax: the backward pass of the fused one with a mask in bf16 is many times slower on
a processor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from annotate.folder import BertShape

_EMBEDDINGS = "bert.embeddings"


class TrainableTagger(nn.Module):
    """BERT encoders with one linear head for each annotation guideline; one member for each seed.

    Weights have the names of a Hugging Face BERT (``bert.encoder.layer.0…``) and of the heads (``heads.NAME.weight``).
    """

    may_be_recorded = True
    """A step on a GPU may be recorded once and played back."""

    def __init__(self, shape: BertShape, heads: Mapping[str, int], dropout: float, seeds: Sequence[int] = (0,)) -> None:
        """Build with random weights; ``heads`` gives the number of tags of each head."""
        super().__init__()
        self.members = len(seeds)
        self.tag_counts = list(heads.values())
        self._shape = shape
        self._heads = tuple(heads)
        self._dropout = dropout
        members = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            members.append({name: _initial(name, size, generator) for name, size in _sizes(shape, heads).items()})
        for name in members[0]:
            # A parameter's name may have no dot.
            stacked = torch.stack([member[name] for member in members])
            self.register_parameter(name.replace(".", "/"), nn.Parameter(stacked))

    def weights(self, member: int = 0) -> dict[str, Tensor]:
        """Return the weights of one member, by name, as views."""
        return {name.replace("/", "."): tensor[member].detach() for name, tensor in self.named_parameters()}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Give all members the weights that are named; the others stay."""
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, tensor in weights.items():
                own[name.replace(".", "/")].copy_(tensor)

    def logits(self, pieces: Tensor, present: Tensor) -> Tensor:
        """Tag padded batches, one for each member.

        ``pieces`` are ids and ``present`` says where they are real, [members, sentences, length]; the result is
        [members, sentences, length, tags of all heads].
        """
        members, sentences, length = pieces.shape
        mask = torch.where(present, 0.0, -1e4).view(members * sentences, 1, 1, length)
        hidden = self._embed(pieces)
        for layer in range(self._shape.layers):
            at = f"bert.encoder.layer.{layer}"
            mixed = self._attend(f"{at}.attention.self", hidden, mask, sentences)
            hidden = self._add(f"{at}.attention.output", mixed, hidden)
            raised = functional.gelu(self._linear(f"{at}.intermediate.dense", hidden))
            hidden = self._add(f"{at}.output", raised, hidden)
        weight = torch.cat([self._weight(f"heads.{head}.weight") for head in self._heads], 1)
        bias = torch.cat([self._weight(f"heads.{head}.bias") for head in self._heads], 1)
        logits = torch.baddbmm(bias[:, None], self._drop(hidden), weight.transpose(1, 2))
        return logits.view(members, sentences, length, -1)

    def _weight(self, name: str) -> Tensor:
        return self.get_parameter(name.replace(".", "/"))

    def _linear(self, name: str, rows: Tensor) -> Tensor:
        bias, weight = self._weight(f"{name}.bias"), self._weight(f"{name}.weight")
        return torch.baddbmm(bias[:, None], rows, weight.transpose(1, 2))

    def _norm(self, name: str, rows: Tensor) -> Tensor:
        normal = functional.layer_norm(rows, rows.shape[-1:], eps=self._shape.norm_eps)
        return normal * self._weight(f"{name}.weight")[:, None] + self._weight(f"{name}.bias")[:, None]

    def _drop(self, rows: Tensor) -> Tensor:
        return functional.dropout(rows, self._dropout, self.training)

    def _embed(self, pieces: Tensor) -> Tensor:
        """Return the sum of the embeddings, normalised: [members, rows, hidden]."""
        members, sentences, length = pieces.shape
        table = self._weight(f"{_EMBEDDINGS}.word_embeddings.weight")
        first_row = torch.arange(members, device=pieces.device)[:, None, None] * self._shape.vocabulary
        # The gradient of index_select, unlike that of an embedding lookup, is one kernel that a CUDA graph can record.
        words = table.flatten(0, 1).index_select(0, (pieces + first_row).flatten())
        positions = self._weight(f"{_EMBEDDINGS}.position_embeddings.weight")[:, :length]
        types = self._weight(f"{_EMBEDDINGS}.token_type_embeddings.weight")[:, :1]
        summed = words.view(members, sentences, length, -1) + (positions + types)[:, None]
        return self._drop(self._norm(f"{_EMBEDDINGS}.LayerNorm", summed.flatten(1, 2)))

    def _attend(self, name: str, hidden: Tensor, mask: Tensor, sentences: int) -> Tensor:
        members, rows, width = hidden.shape
        heads = self._shape.attention_heads
        query, key, value = (
            self._linear(f"{name}.{part}", hidden)
            .view(members * sentences, rows // sentences, heads, width // heads)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        shares = (query @ key.transpose(2, 3) / math.sqrt(width // heads) + mask).softmax(dim=-1)
        mixed = self._drop(shares).to(value.dtype) @ value
        return mixed.transpose(1, 2).reshape(members, rows, width)

    def _add(self, name: str, rows: Tensor, residual: Tensor) -> Tensor:
        return self._norm(f"{name}.LayerNorm", self._drop(self._linear(f"{name}.dense", rows)) + residual)


def _sizes(shape: BertShape, heads: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the size of every weight of one member, by name."""

    def linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(name: str) -> dict[str, tuple[int, ...]]:
        return {f"{name}.LayerNorm.weight": (shape.hidden,), f"{name}.LayerNorm.bias": (shape.hidden,)}

    sizes: dict[str, tuple[int, ...]] = {
        f"{_EMBEDDINGS}.word_embeddings.weight": (shape.vocabulary, shape.hidden),
        f"{_EMBEDDINGS}.position_embeddings.weight": (shape.positions, shape.hidden),
        f"{_EMBEDDINGS}.token_type_embeddings.weight": (shape.token_types, shape.hidden),
        **norm(_EMBEDDINGS),
    }
    for layer in range(shape.layers):
        at = f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            sizes |= linear(f"{at}.attention.self.{part}", shape.hidden, shape.hidden)
        sizes |= linear(f"{at}.attention.output.dense", shape.hidden, shape.hidden) | norm(f"{at}.attention.output")
        sizes |= linear(f"{at}.intermediate.dense", shape.hidden, shape.intermediate)
        sizes |= linear(f"{at}.output.dense", shape.intermediate, shape.hidden) | norm(f"{at}.output")
    for head, tags in heads.items():
        sizes |= linear(f"heads.{head}", shape.hidden, tags)
    return sizes


def _initial(name: str, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    if name.endswith("bias"):
        return torch.zeros(size)
    if name.endswith("LayerNorm.weight"):
        return torch.ones(size)
    return torch.randn(size, generator=generator) * 0.02


def permitted_tags_loss(logs: Tensor, permitted: Tensor) -> Tensor:
    """Return minus the log of the probability that falls on the permitted tags, for each piece.

    ``logs`` are log-probabilities, [..., tags], ``permitted`` a mask of the same shape. With one permitted tag this is the
    cross entropy; with several (a corpus that does not annotate a label cannot deny it) it is the marginal likelihood.
    """
    return -logs.masked_fill(~permitted, -1e4).logsumexp(dim=-1)
