"""The tensors of a BERT encoder and its heads, by what they do. Both forward passes of ours are built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from annotate.folder import BertShape, Head


class Affine(NamedTuple):
    """A weight and its bias: of a linear layer, or of a norm."""

    weight: Tensor
    bias: Tensor

    def to(self, dtype: torch.dtype, device: torch.device | None = None) -> Affine:
        """Return it in another format, on another device, contiguous."""
        return Affine(*(tensor.to(device=device, dtype=dtype).contiguous() for tensor in self))


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTensors:
    """One layer of the encoder. Query, key and value are one linear layer, in this order."""

    query_key_value: Affine
    attention_output: Affine
    attention_norm: Affine
    intermediate: Affine
    output: Affine
    output_norm: Affine


@dataclass(frozen=True, slots=True, kw_only=True)
class BertTensors:
    """All that a forward pass reads, in fp32. ``positions`` includes the first token type, the only one in use."""

    words: Tensor
    positions: Tensor
    embedding_norm: Affine
    layers: tuple[LayerTensors, ...]
    head: Affine


def bert_tensors(weights: Mapping[str, Tensor], shape: BertShape, heads: Sequence[Head]) -> BertTensors:
    """Arrange the weights of a model folder.

    Raises:
        KeyError: a tensor is missing.
    """

    def affine(*prefixes: str) -> Affine:
        if len(prefixes) == 1:
            return Affine(weights[f"{prefixes[0]}.weight"], weights[f"{prefixes[0]}.bias"])
        return Affine(
            torch.cat([weights[f"{prefix}.weight"] for prefix in prefixes]),
            torch.cat([weights[f"{prefix}.bias"] for prefix in prefixes]),
        )

    embeddings = "bert.embeddings"
    return BertTensors(
        words=weights[f"{embeddings}.word_embeddings.weight"],
        positions=weights[f"{embeddings}.position_embeddings.weight"]
        + weights[f"{embeddings}.token_type_embeddings.weight"][0],
        embedding_norm=affine(f"{embeddings}.LayerNorm"),
        layers=tuple(
            LayerTensors(
                query_key_value=affine(*(f"{at}.attention.self.{part}" for part in ("query", "key", "value"))),
                attention_output=affine(f"{at}.attention.output.dense"),
                attention_norm=affine(f"{at}.attention.output.LayerNorm"),
                intermediate=affine(f"{at}.intermediate.dense"),
                output=affine(f"{at}.output.dense"),
                output_norm=affine(f"{at}.output.LayerNorm"),
            )
            for at in (f"bert.encoder.layer.{index}" for index in range(shape.layers))
        ),
        head=affine(*(head.prefix for head in heads)),  # one matrix: several heads cost one product
    )
