"""The models and sentences of the annotation benchmark: the same weights for both sides, as Hugging Face folders."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from annotate.folder import CONFIG, TOKENIZER, BertShape, Head, ModelFolder, open_folder
from annotate.pieces import load_tokenizer, special_ids
from annotate.weights import WEIGHTS, load_weights
from annotate.windows import PackedWindows

COMPACT = Path(__file__).parents[1] / "annotate" / "bundled" / "compact"

_NOISE = 0.01
"""How much the matrices of a widened model are blurred."""

_ADDED = 0.1
"""How much of what random layers would add is added."""


def sample_sentences() -> list[str]:
    """Return the sentences of the bundled sample."""
    from ingest.samples import sample_files

    return list(_sentences_of(sample_files()))


def corpus_sentences(folder: Path, most: int) -> list[str]:
    """Return ``most`` sentences of the PubMed XML files in a folder, chosen at random, always the same ones."""
    files = sorted(path for path in folder.glob("*.xml*") if path.is_file())
    sentences = list(_sentences_of(files))
    random.Random(0).shuffle(sentences)
    return sentences[:most]


def _sentences_of(paths: Sequence[Path]) -> Iterator[str]:
    from comention.types import Citation
    from ingest.files import read_records
    from ingest.sentences import RuleSplitter, split_citation

    splitter = RuleSplitter()
    for path in paths:
        for record in read_records(path):
            if isinstance(record, Citation):
                yield from (sentence.text for sentence in split_citation(record, splitter))


def export_compact(out: Path) -> Path:
    """Write ``compact`` as a Hugging Face folder: its encoder whole, and the first of the heads that decide."""
    folder = open_folder(COMPACT)
    return _write_hub_folder(out, folder.shape, load_weights(COMPACT), folder.deciding_heads[0])


def export_bert_base(out: Path, sentences: Sequence[str]) -> Path:
    """Write a model of BERT-base's shape that finds about what ``compact`` does, and is about as sure of it.

    Random weights would do for speed, but under them the best tags of a word are so nearly alike that any rounding changes
    mentions. So the first six layers are those of ``compact`` with each number twice, and noise of a hundredth on their
    matrices, lest int8 meet the steps that they are stored in. The other six are random and pass on what they get with
    little added, for which ``sentences`` give the scale.
    """
    from transformers import BertConfig, BertModel

    compact = open_folder(COMPACT)
    head = compact.deciding_heads[0]
    shape = replace(compact.shape, hidden=768, layers=12, intermediate=3072)
    torch.manual_seed(0)
    model = BertModel(BertConfig(**shape.to_config()), add_pooling_layer=False).eval()
    weights = {f"bert.{name}": tensor for name, tensor in model.state_dict().items()}
    narrow = load_weights(COMPACT)
    weights |= {
        name: _widened(name, tensor, compact.shape.attention_heads)
        for name, tensor in narrow.items()
        if name.startswith("bert.")
    }
    passing = [f"bert.encoder.layer.{layer}." for layer in range(compact.shape.layers, shape.layers)]
    for at in passing:
        weights[f"{at}attention.output.dense.weight"] *= _ADDED
        weights[f"{at}output.dense.weight"] *= _ADDED
    model.load_state_dict({name.removeprefix("bert."): tensor for name, tensor in weights.items()})
    mean, deviation = _scale_after(model, compact.shape.layers, sentences)
    for at in passing:
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            weights[f"{at}{norm}.weight"].fill_(deviation)
            weights[f"{at}{norm}.bias"].fill_(mean)
    weights[f"{head.prefix}.weight"] = _twice(narrow[f"{head.prefix}.weight"], 1) / 2
    weights[f"{head.prefix}.bias"] = narrow[f"{head.prefix}.bias"]
    return _write_hub_folder(out, shape, weights, head)


def _widened(name: str, tensor: Tensor, heads: int) -> Tensor:
    """Return a tensor of a BERT for rows in which each number stands twice: a head of attention, and all of the rest, [x, x].

    A product of such rows and a weight over them is twice what it was, so the weight is halved; under attention, whose
    scale is the root of its heads' width, half of that is left to the query.
    """
    if "embeddings" in name:
        return _twice(tensor, -1)
    in_heads = ".self." in name
    widened = _twice(tensor, 0, heads if in_heads else 1)
    if tensor.dim() == 2:
        widened = _twice(widened, 1, heads if "attention.output" in name else 1) / 2
        widened *= 1 + _NOISE * torch.randn_like(widened)
    return widened / 2**0.5 if ".self.query" in name else widened


def _twice(tensor: Tensor, dimension: int, parts: int = 1) -> Tensor:
    """Repeat each of ``parts`` parts of a dimension, in place: [a, b] becomes [a, a, b, b]."""
    cut = tensor.chunk(parts, dimension)
    return torch.cat([part for part in cut for _ in range(2)], dimension)


@torch.inference_mode()
def _scale_after(model: Any, layers: int, sentences: Sequence[str]) -> tuple[float, float]:
    """Return the mean and the standard deviation of a row after some layers, averaged over the pieces of sentences."""
    tokenizer = load_tokenizer(COMPACT / TOKENIZER)
    cls, sep = special_ids(tokenizer)
    rows = []
    for sentence in sentences:
        ids = tokenizer.encode(sentence, add_special_tokens=False).ids[:500]
        states = model(torch.tensor([[cls, *ids, sep]]), output_hidden_states=True).hidden_states
        rows.append(states[layers][0])
    every = torch.cat(rows)
    return float(every.mean(1).mean()), float(every.std(1, correction=0).mean())


def _write_hub_folder(out: Path, shape: BertShape, weights: dict[str, Tensor], head: Head) -> Path:
    out.mkdir(parents=True)
    names = dict(enumerate(head.tags))
    config = {
        **shape.to_config(),
        "architectures": ["BertForTokenClassification"],
        "id2label": {str(index): tag for index, tag in names.items()},
        "label2id": {tag: index for index, tag in names.items()},
    }
    kept = {name: tensor.contiguous() for name, tensor in weights.items() if name.startswith("bert.")}
    kept["classifier.weight"], kept["classifier.bias"] = (
        weights[f"{head.prefix}.weight"],
        weights[f"{head.prefix}.bias"],
    )
    save_file(kept, out / WEIGHTS, metadata={"format": "pt"})
    (out / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    (out / TOKENIZER).write_text((COMPACT / TOKENIZER).read_text(encoding="utf-8"), encoding="utf-8")
    return out


def forward_flops(shape: BertShape, batches: Sequence[PackedWindows]) -> float:
    """Return the operations that the matrix products of batches take: no padding, the last layer for wanted rows only."""
    hidden, inner = shape.hidden, shape.intermediate
    total = 0.0
    for batch in batches:
        rows, wanted = len(batch.pieces), len(batch.wanted)
        squares = float((batch.lengths.astype(np.float64) ** 2).sum())
        total += shape.layers * (2 * rows * 3 * hidden**2 + 4 * squares * hidden)
        total += ((shape.layers - 1) * rows + wanted) * (2 * hidden**2 + 4 * hidden * inner)
    return total


class PaddedReference:
    """The forward pass that everybody writes: transformers' own model, fp32, windows padded to the longest."""

    lanes = 1
    batch_rows = tile = 1024

    def __init__(self, hub_folder: Path, deciding: ModelFolder, device: torch.device) -> None:
        """Load a Hugging Face folder; its classifier is replaced by the heads of ``deciding``, one after another."""
        from transformers import BertForTokenClassification
        from transformers.utils import logging

        logging.disable_progress_bar()
        weights = load_weights(deciding.path)
        heads = deciding.deciding_heads
        self._model = BertForTokenClassification.from_pretrained(hub_folder).eval()
        head = torch.nn.Linear(deciding.shape.hidden, sum(len(one.tags) for one in heads))
        head.weight.data = torch.cat([weights[f"{one.prefix}.weight"] for one in heads])
        head.bias.data = torch.cat([weights[f"{one.prefix}.bias"] for one in heads])
        self._model.classifier = head
        self._model.to(device, torch.float32)
        self._device = device

    @torch.inference_mode()
    def logits(self, batch: PackedWindows) -> NDArray[np.float32]:
        """Return the logits of the wanted rows."""
        longest = int(batch.lengths.max())
        present = np.arange(longest) < batch.lengths[:, None]
        padded = np.zeros(present.shape, dtype=np.int64)
        padded[present] = batch.pieces
        logits = self._model(
            torch.from_numpy(padded).to(self._device), attention_mask=torch.from_numpy(present).long().to(self._device)
        ).logits
        rows: NDArray[np.float32] = logits.float().cpu().numpy()[present][batch.wanted]
        return rows
