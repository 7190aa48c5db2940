"""What a recipe learns from, as sentences: its corpora under their heads, and plain texts; what is held out is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from annotate.corpora import AnnotatedSentence, load_corpus
from annotate.held_out import HeldOut
from annotate.name_lists import load_name_lists
from annotate.recipe import Recipe, ReplacementRecipe
from annotate.replacement import replace_entities
from annotate.vocabulary import text_lines
from comention.errors import AnnotatorError
from comention.types import Splitter


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldSentences:
    """The sentences of one corpus under one head, and which labels that corpus annotates.

    An epoch takes each sentence ``passes`` times.
    """

    head: str
    corpus: str
    labels: tuple[str, ...]
    sentences: Sequence[AnnotatedSentence]
    passes: float = 1.0

    def taken(self, seed: int) -> list[AnnotatedSentence]:
        """Return the sentences as often as an epoch takes them: whole passes first, then those that the seed chooses."""
        whole, rest = divmod(self.passes, 1)
        count = round(rest * len(self.sentences))
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.sentences))[:count])
        return [*self.sentences] * int(whole) + [self.sentences[index] for index in chosen]


class TrainingTexts:
    """The sentences of one run, without those that are held out."""

    def __init__(self, recipe: Recipe, corpora: Path, splitter: Splitter, held_out: Sequence[str]) -> None:
        """Load the corpora of a recipe, whose paths start from the folder ``corpora``.

        Raises:
            AnnotatorError: a corpus is missing, cannot be read, or annotates labels that its head lacks.
        """
        self.recipe = recipe
        self.corpora = corpora
        self.held_out = HeldOut(held_out, splitter)
        self._splitter = splitter
        self.gold = list(self._load_gold())
        if recipe.replacement is not None:
            self.gold += list(self._with_other_names(recipe.replacement))

    def plain(self, patterns: Iterable[str]) -> Iterator[str]:
        """Yield the sentences of text files, each once, those that are held out or empty left out.

        Raises:
            AnnotatorError: no file matches, or one cannot be read.
        """
        seen: set[str] = set()
        for text in self._texts(patterns):
            for start, end in self._splitter.split(text):
                sentence = text[start:end]
                if sentence not in seen and not self.held_out.has_sentence(sentence):
                    seen.add(sentence)
                    yield sentence

    def some_plain(self, patterns: Iterable[str], most: int) -> list[str]:
        """Return at most so many sentences of text files, chosen by the seed, in their order."""
        sentences = list(self.plain(patterns))
        chosen = np.random.default_rng(self.recipe.seed).permutation(len(sentences))[:most]
        return [sentences[index] for index in np.sort(chosen)]

    def vocabulary(self) -> Iterator[str]:
        """Yield the texts whose pieces are kept: the recipe's files, and the corpora themselves."""
        if self.recipe.vocabulary is not None:
            yield from self._texts(self.recipe.vocabulary.texts)
        for gold in self.gold:
            yield from (sentence.text for sentence in gold.sentences)

    def _load_gold(self) -> Iterator[GoldSentences]:
        for head in self.recipe.heads:
            for path in head.corpora:
                corpus = load_corpus(self.corpora / path)
                unknown = sorted(set(corpus.labels) - set(head.labels))
                if unknown:
                    raise AnnotatorError(
                        f"the corpus {path} annotates {', '.join(unknown)}, which head {head.name} lacks; "
                        f"name the labels to take: {path.partition('?')[0]}?labels={','.join(head.labels)}"
                    )
                yield GoldSentences(
                    head=head.name,
                    corpus=path,
                    labels=corpus.labels,
                    sentences=list(self.held_out.sentences(corpus)),
                    passes=head.passes,
                )

    def _with_other_names(self, recipe: ReplacementRecipe) -> Iterator[GoldSentences]:
        """Yield a copy of every corpus in which some entities have other names."""
        sentences = [sentence for gold in self.gold for sentence in gold.sentences]
        names = load_name_lists(self.corpora, recipe.names, sentences)
        for gold in self.gold:
            yield GoldSentences(
                head=gold.head,
                corpus=f"{gold.corpus}, names replaced",
                labels=gold.labels,
                sentences=replace_entities(gold.sentences, names, recipe.share, self.recipe.seed),
                passes=gold.passes,
            )

    def _texts(self, patterns: Iterable[str]) -> Iterator[str]:
        for pattern in patterns:
            paths = sorted(self.corpora.glob(pattern))
            if not paths:
                raise AnnotatorError(f"no text matches {self.corpora / pattern}")
            for path in paths:
                yield from text_lines(path)
