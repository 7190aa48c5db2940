"""Parts of a corpus to train on and to test on, chosen by a seed, the same on every machine.

A split is made over *groups* that must stay together. By PMID, all documents of one article are on one side: in ADE 94 % of
the rows share their PMID with another row, so a split by row or by sentence tests on articles that were trained on. The
protocols of published models are here too, where they are needed for a comparison.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from annotate.corpora import AnnotatedDocument, Corpus

ADE_CARD_SEED, ADE_CARD_SHARE = 42, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Two parts of a corpus, each in the corpus's order; together they are the corpus."""

    train: Corpus
    test: Corpus


def split_fold(corpus: Corpus, number: int, folds: int, seed: int = 0) -> Split:
    """Return fold ``number`` (from 0) of ``folds`` as the test part and the other folds as the training part.

    Groups are articles. They are dealt out in the order of a digest of seed and group, so the folds differ by one group
    at most.

    Raises:
        ValueError: there are fewer than two folds, no such fold, or more folds than groups.
    """
    groups = _ordered_groups(corpus, seed)
    if folds < 2 or not 0 <= number < folds:
        raise ValueError(f"there is no fold {number} of {folds}; folds count from 0, and there are two at least")
    if folds > len(groups):
        raise ValueError(f"{corpus.name} has {len(groups)} groups, too few for {folds} folds")
    return _split(corpus, set(groups[number::folds]), _article)


def split_share(corpus: Corpus, share: float, seed: int = 0) -> Split:
    """Return about ``share`` of the articles, at least one, as the test part; the rest is the training part.

    Raises:
        ValueError: the share is not between 0 and 1, or leaves one part empty.
    """
    groups = _ordered_groups(corpus, seed)
    if not 0 < share < 1:
        raise ValueError(f"a share of {share} leaves one part empty; give one between 0 and 1")
    if len(groups) < 2:
        raise ValueError(f"{corpus.name} has {len(groups)} groups, too few for two parts")
    count = min(max(1, round(share * len(groups))), len(groups) - 1)
    return _split(corpus, set(groups[:count]), _article)


def split_ade_card(corpus: Corpus) -> Split:
    """Return the split of the card of `HMHMlee/BioLinkBERT-base-finetuned-ner`: 75/25 of the unique sentences, seed 42.

    The sentences are taken in the order of the file and shuffled as ``datasets.Dataset.train_test_split(test_size=0.25,
    seed=42)`` does: a permutation by numpy's default generator, of which the first quarter, rounded up, is the test part.
    Sentences of one article stand on both sides, so this figure flatters; it is for comparison with the card.

    Raises:
        ValueError: there are fewer than two distinct sentences.
    """
    texts = list(dict.fromkeys(document.text for document in corpus.documents))
    if len(texts) < 2:
        raise ValueError(f"{corpus.name} has {len(texts)} sentences, too few for two parts")
    order = np.random.default_rng(ADE_CARD_SEED).permutation(len(texts))
    count = min(math.ceil(ADE_CARD_SHARE * len(texts)), len(texts) - 1)
    return _split(corpus, {texts[index] for index in order[:count]}, lambda document: document.text)


def _article(document: AnnotatedDocument) -> str:
    return document.group


def _ordered_groups(corpus: Corpus, seed: int) -> Sequence[str]:
    """Return the groups of a corpus in an order that depends on the seed and their names alone."""
    groups = {document.group for document in corpus.documents}
    return sorted(groups, key=lambda group: (hashlib.sha256(f"{seed}:{group}".encode()).digest(), group))


def _split(corpus: Corpus, tested: set[str], group: Callable[[AnnotatedDocument], str]) -> Split:
    return Split(
        train=replace(corpus, documents=tuple(one for one in corpus.documents if group(one) not in tested)),
        test=replace(corpus, documents=tuple(one for one in corpus.documents if group(one) in tested)),
    )
