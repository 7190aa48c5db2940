"""Training by a recipe: from a base encoder and annotated corpora to a model folder.

The stages, each optional but the fitting itself:

1. the base's vocabulary is pruned to what the field uses;
2. ``lexicon``: the encoder learns the names of a terminology and their types from plain text;
3. the encoder, with one head for each annotation guideline, is fitted to the corpora; with ``distillation``, several times
   from different seeds, and
4. a fresh model is fitted to what those teachers say, on average, of the corpora and of plain texts.

Without distillation, stage 3 may be several runs, of which the mean of the weights is kept. A base of another architecture
than BERT has stage 3 alone. With ``refinement`` there is one stage of another kind: a finished model of ours is fitted
further to what larger models say of words.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from annotate.bases import WORD_EMBEDDINGS, Weights, check_heads, is_bert, load_base
from annotate.examples import Example, PackedExamples, build_examples, pack_examples, plain_examples
from annotate.fitting import Teaching, TrainingStep, fit, tag_probabilities
from annotate.folder import CONFIG, SPECIAL_PIECES, BertShape, Head, ModelFolder, head_tags, save_folder
from annotate.lexicon import NameFinder, load_typed_names
from annotate.model_card import TrainingReport, write_card
from annotate.recipe import FitRecipe, Recipe
from annotate.replacement import replace_entities
from annotate.trainable import TrainableTagger
from annotate.training_texts import TrainingTexts
from annotate.vocabulary import prune_vocabulary
from annotate.words import MarkedWords, Words, open_words
from comention.errors import AnnotatorError
from comention.types import Splitter

if TYPE_CHECKING:
    from annotate.any_tagger import AnyTagger
    from annotate.fitting import Tagger
    from annotate.teachers import Teacher

__all__ = ["TrainingStep", "train"]

OnStep = Callable[[TrainingStep], None]
_Stage = TypeVar("_Stage", bound=FitRecipe)


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
    teachers: Mapping[str, Path] | None = None,
    on_step: OnStep | None = None,
) -> TrainingReport:
    """Train by a recipe and write a model folder to ``out``, or, in the layout of Hugging Face, one for each of several heads
    to ``out/HEAD``.

    ``base`` is the folder of an encoder: BERT, or any that transformers runs where the recipe neither prunes, nor learns names,
    nor distils; for a ``refinement`` a folder of ours with the heads of the recipe. ``corpora`` is the folder that the
    recipe's paths start from. ``teachers`` gives a refinement the model folder that is asked under a head. Whatever shares a
    document or a sentence with the corpora ``held_out`` is left out of every stage. On a processor the same input and
    threads give the same weights; on a GPU they differ in the last bits from run to run, and from a processor's.

    Raises:
        AnnotatorError: the base, a teacher, a corpus or a text is missing or cannot be used, ``out`` cannot be made, or there
            is no such device.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnnotatorError(f"the folder {out} cannot be made: {error}") from error
    torch.set_num_threads(threads)
    heads = tuple(
        Head(name=head.name, tags=head_tags(head.labels), prefix=f"heads.{head.name}") for head in recipe.heads
    )
    asked = _open_teachers(recipe, heads, teachers or {})
    texts = TrainingTexts(recipe, corpora, splitter, held_out)
    run = _Run(texts, heads, base, _device(device), threads, on_step or (lambda _: None))
    model, losses = run.refine(asked) if recipe.refinement is not None else run.learn()
    report = TrainingReport(
        recipe=recipe.name,
        examples=run.counts,
        vocabulary=run.vocabulary,
        epoch_losses=tuple(losses),
        held_out=tuple(corpus.name for corpus in texts.held_out.corpora),
        left_out=texts.held_out.left_out,
    )
    run.save(model, out, write_card(recipe, report), version)
    return report


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise AnnotatorError(f"there is no device {name} here: torch sees no GPU; take cpu, or auto")
    return torch.device(name)


def _open_teachers(recipe: Recipe, heads: Sequence[Head], folders: Mapping[str, Path]) -> list[Teacher]:
    """Look at the teachers of a refinement, before anything takes time."""
    if recipe.refinement is None:
        if folders:
            raise AnnotatorError(
                f"the recipe {recipe.name} has no [refinement], so nobody asks a teacher: leave it out"
            )
        return []
    if not folders:
        raise AnnotatorError(f"the recipe {recipe.name} refines a model after teachers: name one or more (HEAD=FOLDER)")
    from annotate.teachers import Teacher

    by_name = {head.name: head for head in heads}
    unknown = [name for name in folders if name not in by_name]
    if unknown:
        raise AnnotatorError(
            f"a teacher is named for head {unknown[0]}, but the heads of the recipe {recipe.name} are {', '.join(by_name)}"
        )
    return [Teacher(path, by_name[name], recipe.refinement.share_of(name)) for name, path in folders.items()]


class _Run:
    """One training run: what is loaded once and used by every stage."""

    def __init__(
        self,
        texts: TrainingTexts,
        heads: tuple[Head, ...],
        base: Path,
        device: torch.device,
        threads: int,
        on_step: OnStep,
    ) -> None:
        self.recipe = recipe = texts.recipe
        self.heads = heads
        self._texts = texts
        self._device = device
        self._threads = threads
        self._on_step = on_step
        self._base = base
        self._large: AnyTagger | None = None
        self._shape: BertShape | None = None
        self._weights: Weights = {}
        if is_bert(base) or recipe.refinement is not None or recipe.of_bert_alone:
            self._open_bert()
        else:
            self._open_other()
        by_name = {head.name: head for head in self.heads}
        built = [
            build_examples(
                self._words, gold.taken(recipe.seed + number), by_name[gold.head], gold.labels, self._max_pieces
            )
            for number, gold in enumerate(texts.gold)
        ]
        if not any(built):
            raise AnnotatorError("nothing is left to train on: the corpora are empty, or all of them is held out")
        self.counts = {f"{gold.head}: {gold.corpus}": len(one) for gold, one in zip(texts.gold, built, strict=True)}
        self._examples = [example for one in built for example in one]

    def _open_bert(self) -> None:
        """Load a base that our own encoder computes, and prune its vocabulary where the recipe says so."""
        recipe = self.recipe
        if recipe.refinement is not None:
            check_heads(self._base, self.heads)
        tokenizer, shape, self._weights = load_base(self._base)
        if recipe.vocabulary is not None:
            least_count = recipe.vocabulary.least_count
            tokenizer, kept = prune_vocabulary(tokenizer, self._texts.vocabulary(), least_count)
            self._weights[WORD_EMBEDDINGS] = self._weights[WORD_EMBEDDINGS][kept]
            shape = BertShape.from_config({**shape.to_config(), "vocab_size": len(kept)}, self._base / CONFIG)
        self._shape = shape
        self._words: Words = MarkedWords(tokenizer)
        self._max_pieces = min(recipe.max_pieces, shape.positions)
        self.vocabulary = shape.vocabulary

    def _open_other(self) -> None:
        """Load a base that transformers computes."""
        recipe, base = self.recipe, self._base
        if recipe.stored != "fp32":
            raise AnnotatorError(f'the base {base} is no BERT, so what comes of it cannot be int8: set stored = "fp32"')
        from annotate.any_tagger import AnyTagger  # transformers: only where it is needed

        counts = {head.name: len(head.tags) for head in self.heads}
        self._large = AnyTagger(base, counts, recipe.dropout, recipe.seed)
        self._words = open_words(base)
        if (len(self._words.before), len(self._words.behind)) != (1, SPECIAL_PIECES - 1):
            raise AnnotatorError(
                f"the tokenizer of the base {base} puts {len(self._words.before)} pieces before a text and "
                f"{len(self._words.behind)} behind it; only one each is known"
            )
        self.vocabulary = self._large.vocabulary
        pieces = max(self._words.tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        if pieces > self.vocabulary:
            raise AnnotatorError(
                f"the tokenizer of the base {base} has {pieces} pieces, but its weights only {self.vocabulary}"
            )
        self._max_pieces = min(recipe.max_pieces, self._large.most_positions or recipe.max_pieces)

    def learn(self) -> tuple[Tagger, list[float]]:
        """Take a base through the stages of the recipe; return the model and its losses."""
        if self._large is not None:
            return self._large, self._fit_runs(self._large)
        encoder = self.learn_names() if self.recipe.lexicon is not None else self._weights
        if self.recipe.distillation is not None:
            return self.distil(encoder)
        model = self._model(self.heads, encoder, [self.recipe.seed])
        return model, self._fit_runs(model)

    def _fit_runs(self, model: Tagger) -> list[float]:
        """Fit a model to the corpora; where the recipe says so several times from where it is, to end with the mean of the
        weights. Return the mean loss of each epoch.
        """
        recipe, examples = self.recipe, self.gold_examples
        if recipe.runs == 1:
            return self._fit(model, examples, recipe, [recipe.seed], "corpora")
        learnt = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        start = {name: parameter.detach().clone() for name, parameter in learnt.items()}
        total = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
        losses = []
        for run in range(recipe.runs):
            stage = f"corpora, run {run + 1} of {recipe.runs}"
            losses.append(self._fit(model, examples, recipe, [recipe.seed + run], stage))
            with torch.no_grad():
                for name, parameter in learnt.items():
                    total[name] += parameter.to(total[name].device)
                    parameter.copy_(start[name] if run + 1 < recipe.runs else total[name] / recipe.runs)
        return [statistics.fmean(epoch) for epoch in zip(*losses, strict=True)]

    def learn_names(self) -> Weights:
        """Fit the encoder to the names of a terminology in plain text, and return its weights."""
        head, packed = self.name_examples
        model = self._model([head], self._weights, [self.recipe.seed])
        self._fit(model, packed, _given(self.recipe.lexicon), [self.recipe.seed], "names")
        return {name: tensor.cpu() for name, tensor in model.weights().items() if name.startswith("bert.")}

    @cached_property
    def name_examples(self) -> tuple[Head, PackedExamples]:
        """The plain texts in which names stand, and the head that their types make."""
        recipe = _given(self.recipe.lexicon)
        folder = self._texts.corpora
        names = load_typed_names(folder / recipe.names, folder / recipe.trees, recipe.types, recipe.sources)
        head = Head(name="lexicon", tags=head_tags(tuple(names)), prefix="heads.lexicon")
        found = NameFinder(names).annotate(self._texts.plain(recipe.texts))
        sentences = [
            sentence
            for copy in range(recipe.copies)
            for sentence in replace_entities(found, names, share=recipe.replaced, seed=self.recipe.seed + copy)
        ]
        examples = build_examples(self._words, sentences, head, tuple(names), self._max_pieces)
        return head, pack_examples(examples, [head])

    def fit_corpora(self, encoder: Weights, seeds: Sequence[int], stage: str) -> tuple[TrainableTagger, list[float]]:
        """Fit one member for each seed to the corpora; return them and the mean loss of each epoch."""
        model = self._model(self.heads, encoder, seeds)
        return model, self._fit(model, self.gold_examples, self.recipe, seeds, stage)

    def distil(self, encoder: Weights) -> tuple[TrainableTagger, list[float]]:
        """Fit teachers from different seeds, and one model to what they say; return it and its losses."""
        recipe = _given(self.recipe.distillation)
        seed = self.recipe.seed
        teachers, _ = self.fit_corpora(encoder, range(seed, seed + recipe.teachers), "teachers")
        examples = pack_examples(self._with_plain(list(self._texts.plain(recipe.texts))), self.heads)
        probabilities = tag_probabilities(teachers, examples, self._device)
        teachers.cpu()
        seed += recipe.teachers
        model = self._model(self.heads, encoder, [seed])
        teaching = Teaching(probabilities=probabilities, gold=recipe.gold)
        return model, self._fit(model, examples, recipe, [seed], "student", teaching)

    def refine(self, teachers: Sequence[Teacher]) -> tuple[TrainableTagger, list[float]]:
        """Fit a finished model further to its own probabilities mixed with those of teachers; return it and its losses."""
        from annotate.teachers import mix_teachers

        recipe, seeds = _given(self.recipe.refinement), [self.recipe.seed]
        model = self._model(self.heads, self._weights, seeds, with_heads=True)
        examples = self._with_plain(self._texts.some_plain(recipe.texts, recipe.sentences))
        packed = pack_examples(examples, self.heads)
        probabilities = tag_probabilities(model, packed, self._device)
        mix_teachers(
            probabilities,
            packed,
            examples,
            words=self._words,
            heads=self.heads,
            teachers=teachers,
            device=str(self._device),
            threads=self._threads,
            on_portion=lambda done, of: self._on_step(TrainingStep(stage="teachers", step=done, steps=of, loss=None)),
        )
        torch.set_num_threads(self._threads)  # teachers compute in threads of their own, one core each
        teaching = Teaching(probabilities=probabilities, gold=recipe.gold)
        losses = self._fit(model, packed, recipe, seeds, "refinement", teaching)
        learnt = {name: tensor.cpu() for name, tensor in model.weights().items()}
        model.load({name: torch.lerp(tensor, self._weights[name], recipe.kept) for name, tensor in learnt.items()})
        return model, losses

    def save(self, model: Tagger, out: Path, card: str, version: str) -> None:
        """Write what has been trained: one folder, or one for each head."""
        tokenizer_json = self._words.tokenizer.to_str()
        apart = self.recipe.has_folder_for_each_head
        places = [(head, out / head.name if apart else out) for head in self.heads]
        if not isinstance(model, TrainableTagger):
            for head, path in places:
                model.save(path, head, tokenizer_json=tokenizer_json, card=card)
            return
        weights = {name: tensor.cpu() for name, tensor in model.weights().items()}
        for heads, path in [((head,), path) for head, path in places] if apart else [(self.heads, out)]:
            folder = ModelFolder(
                path=path,
                shape=_known(self._shape),
                heads=heads,
                decides=self.recipe.deciding,
                max_pieces=self._max_pieces,
                version=version,
                name=self.recipe.name,
            )
            save_folder(
                path,
                folder=folder,
                weights=weights,
                tokenizer_json=tokenizer_json,
                card=card,
                stored=self.recipe.stored,
            )

    def _fit(
        self,
        model: Tagger,
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

    def _with_plain(self, sentences: Sequence[str]) -> list[Example]:
        """Return the examples of the corpora and those of plain sentences, which only teachers annotate."""
        plain = plain_examples(self._words, sentences, self._max_pieces)
        if plain:
            self.counts["plain text"] = len(plain)
        return [*self._examples, *plain]

    def _model(
        self,
        heads: Sequence[Head],
        weights: Mapping[str, torch.Tensor],
        seeds: Sequence[int],
        *,
        with_heads: bool = False,
    ) -> TrainableTagger:
        """Return a model with the given encoder, one member for each seed; its heads are fresh, or given too."""
        counts = {head.name: len(head.tags) for head in heads}
        model = TrainableTagger(_known(self._shape), counts, self.recipe.dropout, seeds)
        wanted = [name for name in model.weights() if with_heads or name.startswith("bert.")]
        absent = sorted(set(wanted) - set(weights))
        if absent:
            raise AnnotatorError(f"the base {self._base} has no weights named {absent[0]} ({len(absent)} are missing)")
        model.load({name: weights[name] for name in wanted})
        return model


def _given(stage: _Stage | None) -> _Stage:
    """Return a stage of the recipe that is only asked for where there is one."""
    if stage is None:
        raise ValueError("the recipe has no such stage")
    return stage


def _known(shape: BertShape | None) -> BertShape:
    """Return the sizes of a BERT base, which are only asked for where the base is one."""
    if shape is None:
        raise ValueError("the base is no BERT")
    return shape
