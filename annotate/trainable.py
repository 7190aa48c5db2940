"""The BERT encoder with its heads as torch modules, for training. Inference has its own forward pass in ``encoder``.

The modules are named so that the state dict has the names of a Hugging Face BERT: ``bert.encoder.layer.0…``. Attention
is an explicit product and softmax: the backward pass of the fused one with a mask in bf16 is many times slower on a
processor.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from annotate.folder import BertShape


class _Embeddings(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.hidden)
        self.position_embeddings = nn.Embedding(shape.positions, shape.hidden)
        self.token_type_embeddings = nn.Embedding(shape.token_types, shape.hidden)
        self.LayerNorm = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pieces: Tensor) -> Tensor:
        # The gradient of index_select, unlike that of an embedding lookup, is one kernel that a CUDA graph can record.
        words = self.word_embeddings.weight.index_select(0, pieces.flatten()).view(*pieces.shape, -1)
        positions = self.position_embeddings.weight[: pieces.shape[1]] + self.token_type_embeddings.weight[0]
        summed = words + positions
        output: Tensor = self.dropout(self.LayerNorm(summed))
        return output


class _SelfAttention(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.heads = shape.attention_heads
        self.query = nn.Linear(shape.hidden, shape.hidden)
        self.key = nn.Linear(shape.hidden, shape.hidden)
        self.value = nn.Linear(shape.hidden, shape.hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        batch, length, width = hidden.shape
        query, key, value = (
            linear(hidden).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        weights = (query @ key.transpose(2, 3) / math.sqrt(width // self.heads) + mask).softmax(dim=-1)
        mixed: Tensor = self.dropout(weights).to(value.dtype) @ value
        return mixed.transpose(1, 2).reshape(batch, length, width)


class _AddAndNormalise(nn.Module):
    def __init__(self, inputs: int, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, shape.hidden)
        self.LayerNorm = nn.LayerNorm(shape.hidden, eps=shape.norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, residual: Tensor) -> Tensor:
        output: Tensor = self.LayerNorm(self.dropout(self.dense(hidden)) + residual)
        return output


class _Attention(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.self = _SelfAttention(shape, dropout)
        self.output = _AddAndNormalise(shape.hidden, shape, dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        output: Tensor = self.output(self.self(hidden, mask), hidden)
        return output


class _Intermediate(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden, shape.intermediate)

    def forward(self, hidden: Tensor) -> Tensor:
        output: Tensor = functional.gelu(self.dense(hidden))
        return output


class _Layer(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.attention = _Attention(shape, dropout)
        self.intermediate = _Intermediate(shape)
        self.output = _AddAndNormalise(shape.intermediate, shape, dropout)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        attended = self.attention(hidden, mask)
        output: Tensor = self.output(self.intermediate(attended), attended)
        return output


class _Encoder(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(shape, dropout) for _ in range(shape.layers))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layer:
            hidden = layer(hidden, mask)
        return hidden


class _Bert(nn.Module):
    def __init__(self, shape: BertShape, dropout: float) -> None:
        super().__init__()
        self.embeddings = _Embeddings(shape, dropout)
        self.encoder = _Encoder(shape, dropout)

    def forward(self, pieces: Tensor, present: Tensor) -> Tensor:
        mask = torch.where(present, 0.0, -1e4)[:, None, None, :]
        output: Tensor = self.encoder(self.embeddings(pieces), mask)
        return output


class TrainableTagger(nn.Module):
    """A BERT encoder with one linear head for each annotation guideline."""

    def __init__(self, shape: BertShape, heads: Mapping[str, int], dropout: float) -> None:
        """Build with random weights; ``heads`` gives the number of tags of each head."""
        super().__init__()
        self.bert = _Bert(shape, dropout)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(shape.hidden, tags) for name, tags in heads.items()})
        for linear in self.heads.values():
            nn.init.normal_(linear.weight, std=0.02)  # type: ignore[arg-type]  # ModuleDict forgets its value type
            nn.init.zeros_(linear.bias)  # type: ignore[arg-type]

    @property
    def tag_counts(self) -> list[int]:
        """The number of tags of each head."""
        return [linear.out_features for linear in self.heads.values()]  # type: ignore[misc]

    def logits(self, pieces: Tensor, present: Tensor) -> Tensor:
        """Tag a padded batch, piece ids and where they are real: [sentences, length, tags of all heads]."""
        hidden = self.dropout(self.bert(pieces, present))
        weight = torch.cat([linear.weight for linear in self.heads.values()])  # type: ignore[misc]
        bias = torch.cat([linear.bias for linear in self.heads.values()])  # type: ignore[misc]
        return functional.linear(hidden, weight, bias)

    def forward(self, pieces: Tensor, present: Tensor) -> Tensor:
        """Do what ``logits`` does."""
        return self.logits(pieces, present)


def permitted_tags_loss(logs: Tensor, permitted: Tensor) -> Tensor:
    """Return minus the log of the probability that falls on the permitted tags, for each piece.

    ``logs`` are log-probabilities, [..., tags], ``permitted`` a mask of the same shape. With one permitted tag this is the
    cross entropy; with several (a corpus that does not annotate a label cannot deny it) it is the marginal likelihood.
    """
    return -logs.masked_fill(~permitted, -1e4).logsumexp(dim=-1)
