"""The models and sentences of the annotation benchmark: the same weights for both sides, as Hugging Face folders."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from annotate.engine import BertAnnotator
from annotate.folder import CONFIG, TOKENIZER, BertShape, Head, ModelFolder, open_folder
from annotate.pieces import load_tokenizer, special_ids, word_starts
from annotate.precision import ComputeSettings
from annotate.weights import WEIGHTS, load_weights
from annotate.windows import PackedWindows

COMPACT = Path(__file__).parents[1] / "annotate" / "bundled" / "compact"
_RIDGE = 3.0
_LOGIT_SCALE = 12.0


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


def export_bert_base(out: Path, sentences: Sequence[str], settings: ComputeSettings) -> Path:
    """Write a model of BERT-base's shape with random weights and a head that tells spans about as often as ``compact``.

    A random head would give each word the same tag. So the head is fitted by ridge regression to what ``compact``
    finds in ``sentences``: decoding then has its usual amount of work.
    """
    from transformers import BertConfig, BertForTokenClassification

    compact = open_folder(COMPACT)
    head = compact.deciding_heads[0]
    shape = BertShape(
        vocabulary=compact.shape.vocabulary,
        hidden=768,
        layers=12,
        attention_heads=12,
        intermediate=3072,
        positions=512,
        token_types=2,
        norm_eps=1e-12,
    )
    torch.manual_seed(0)
    model = BertForTokenClassification(BertConfig(**shape.to_config(), num_labels=len(head.tags))).eval()
    tokenizer = load_tokenizer(COMPACT / TOKENIZER)
    starts = word_starts(tokenizer)
    cls, sep = special_ids(tokenizer)
    annotator = BertAnnotator(compact, settings, name="compact", model="bundled")
    states, tags = [], []
    for sentence, annotation in zip(sentences, annotator.annotate(sentences), strict=True):
        encoding = tokenizer.encode(sentence, add_special_tokens=False)
        with torch.inference_mode():
            hidden = model.bert(torch.tensor([[cls, *encoding.ids[:500], sep]])).last_hidden_state[0, 1:-1]
        for row, (piece, (start, _)) in enumerate(zip(encoding.ids[:500], encoding.offsets, strict=False)):
            if starts[piece]:
                found = next((m for m in annotation.mentions if m.start_char <= start < m.end_char), None)
                named = "O" if found is None else f"{'B' if found.start_char == start else 'I'}-{found.label}"
                states.append(hidden[row])
                tags.append(head.tags.index(named) if named in head.tags else 0)
    weight, bias = _fit(torch.stack(states), torch.tensor(tags), len(head.tags))
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    return _write_hub_folder(
        out, shape, {**weights, f"{head.prefix}.weight": weight, f"{head.prefix}.bias": bias}, head
    )


def _fit(states: Tensor, tags: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Fit tags to states by ridge regression, scaled to logits."""
    mean = states.mean(0)
    centred = states - mean
    wanted = torch.nn.functional.one_hot(tags, classes).float()
    share = wanted.mean(0)
    gram = centred.T @ centred + _RIDGE * torch.eye(centred.shape[1])
    weight = torch.linalg.solve(gram, centred.T @ (wanted - share)).T.contiguous()
    return _LOGIT_SCALE * weight, _LOGIT_SCALE * (share - weight @ mean)


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
