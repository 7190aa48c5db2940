"""From tag scores of words to mentions: decoding over arrays, exact for each scheme of tags.

The tags of a sentence are the most probable sequence that the scheme allows (Viterbi with hard constraints, all allowed
transitions alike). Under BIO every I follows a B or an I of its label, so a stray I never starts a mention. Measured on CDR:
letting it start one costs 0.5 points of F1; taking it for O is as good, with 0.7 points more precision and 0.8 less recall.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from annotate.labels import OUTSIDE, Scheme, TagSet

_FORBIDDEN = -1e30


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A mention in words: the first, the one after the last, its label, and its score."""

    first: int
    end: int
    label: str
    score: float


class TagDecoder:
    """Decodes the tags of one head. It holds arrays that are only read: threads may share it."""

    def __init__(self, tags: TagSet) -> None:
        """Prepare the constraints of a head's tags."""
        names = tags.tags
        self._outside = np.array([tag == OUTSIDE for tag in names])
        self._none = names.index(OUTSIDE)
        self._labels = ["" if tag == OUTSIDE else tag[2:] for tag in names]
        self._may_follow = np.array([[_may_follow(tags.scheme, one, next_) for next_ in names] for one in names])
        self._may_start = self._may_follow[self._none]
        self._may_end = self._may_follow[:, self._none]
        self._begins = np.array([[_begins(tags.scheme, one, next_) for next_ in names] for one in names])
        self._transitions = np.where(self._may_follow, 0.0, _FORBIDDEN)

    def decode(self, logits: NDArray[np.float32], bounds: NDArray[np.int64]) -> list[list[WordSpan]]:
        """Return the mentions of every sentence, in order.

        ``logits`` is [words of all sentences, tags]; sentence i has the words ``bounds[i]`` to ``bounds[i + 1]``. A
        mention's score is the lowest probability that any of its words gives to its tag, rounded to four decimals.
        """
        sentences: list[list[WordSpan]] = [[] for _ in range(len(bounds) - 1)]
        if len(logits) == 0:
            return sentences
        tags = logits.argmax(axis=1)
        lengths = np.diff(bounds)
        owner = np.repeat(np.arange(len(sentences)), lengths)
        first, last = np.zeros((2, len(tags)), dtype=bool)
        first[bounds[:-1][lengths > 0]] = True
        last[bounds[1:][lengths > 0] - 1] = True
        # The best sequence without constraints is also the best with them wherever it breaks none.
        before = np.where(first, self._none, np.roll(tags, 1))
        broken = ~self._may_follow[before, tags] | (last & ~self._may_end[tags])
        for sentence in np.unique(owner[broken]):
            words = slice(bounds[sentence], bounds[sentence + 1])
            tags[words] = self._viterbi(logits[words].astype(np.float64))
        before = np.where(first, self._none, np.roll(tags, 1))
        begins = self._begins[before, tags]
        (starts,) = np.nonzero(begins)
        if len(starts) == 0:
            return sentences
        # A mention ends before the first word that does not continue it.
        (stops,) = np.nonzero(np.append(begins | self._outside[tags] | first, True))
        ends = stops[np.searchsorted(stops, starts, side="right")]
        scores = _least_probabilities(logits, tags, starts, ends)
        spans = (owner[starts], starts, ends, tags[starts], scores)
        for sentence, start, end, tag, score in zip(*(column.tolist() for column in spans), strict=True):
            at = int(bounds[sentence])
            sentences[sentence].append(WordSpan(start - at, end - at, self._labels[tag], round(score, 4)))
        return sentences

    def _viterbi(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the best allowed sequence of tags for one sentence, [words] from [words, tags]."""
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        best = np.where(self._may_start, scores[0], _FORBIDDEN)
        back = np.empty(scores.shape, dtype=np.int64)
        for word in range(1, len(scores)):
            paths = best[:, None] + self._transitions
            back[word] = paths.argmax(axis=0)
            best = paths.max(axis=0) + scores[word]
        tags = np.empty(len(scores), dtype=np.int64)
        tags[-1] = np.where(self._may_end, best, 2 * _FORBIDDEN).argmax()
        for word in range(len(scores) - 1, 0, -1):
            tags[word - 1] = back[word, tags[word]]
        return tags


class HeadsDecoder:
    """Decodes the heads of one forward pass: each by all of its own tags, of which the decided labels are kept."""

    def __init__(self, heads: Sequence[TagSet], names: Sequence[Mapping[str, str]]) -> None:
        """Take the tags of each head, in the order of the logits' columns, and what the labels it decides are called."""
        ends = np.cumsum([len(head.tags) for head in heads]).tolist()
        self._heads = [
            (slice(end - len(head.tags), end), TagDecoder(head), decided)
            for end, head, decided in zip(ends, heads, names, strict=True)
        ]

    def decode(self, logits: NDArray[np.float32], bounds: NDArray[np.int64]) -> list[list[WordSpan]]:
        """Return the mentions of every sentence, head by head; the arguments are those of :meth:`TagDecoder.decode`."""
        sentences: list[list[WordSpan]] = [[] for _ in range(len(bounds) - 1)]
        for columns, decoder, names in self._heads:
            for spans, found in zip(sentences, decoder.decode(logits[:, columns], bounds), strict=True):
                spans += [
                    WordSpan(span.first, span.end, names[span.label], span.score)
                    for span in found
                    if span.label in names
                ]
        return sentences


def _may_follow(scheme: Scheme, before: str, after: str) -> bool:
    """Tell whether a scheme allows the tag ``after`` behind ``before``; the ends of a sentence count as O."""
    if scheme is Scheme.BIO:
        return after[0] != "I" or (before[0] in "BI" and before[2:] == after[2:])
    if scheme is Scheme.BILOU:
        if before[0] in "BI":  # the mention is still open
            return after[0] in "IL" and before[2:] == after[2:]
        return after[0] in "OBU"
    return True


def _begins(scheme: Scheme, before: str, after: str) -> bool:
    """Tell whether a mention begins with the tag ``after`` behind ``before``, given that it may stand there."""
    if after[0] in "BU":
        return True
    return scheme in (Scheme.IO, Scheme.IOB1) and after[0] == "I" and before[2:] != after[2:]


def _least_probabilities(
    logits: NDArray[np.float32], tags: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the lowest probability of the decided tags over the words of each mention. Computed in fp64."""
    lengths = ends - starts
    offsets = np.cumsum(lengths) - lengths
    words = np.arange(lengths.sum()) + np.repeat(starts - offsets, lengths)
    exact = logits[words].astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    chosen = exact[np.arange(len(words)), tags[words]]
    return np.minimum.reduceat(np.exp(chosen - np.log(np.exp(exact).sum(axis=1))), offsets)
