"""From tag scores of words to mentions: BIO decoding over arrays.

A word is what the tokenizer's pre-tokenizer gives, and its first piece decides for it. The tags of a sentence are the most
probable sequence in which every I follows a B or an I of its label (Viterbi with hard constraints, all allowed transitions
alike), so a stray I never starts a mention. Measured on CDR: letting it start one costs 0.5 points of F1; taking it for O
is as good, with 0.7 points more precision and 0.8 less recall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FORBIDDEN = -1e30


@dataclass(frozen=True, slots=True)
class WordSpan:
    """A mention in words: the first, the one after the last, its label, and its score."""

    first: int
    end: int
    label: str
    score: float


class BioDecoder:
    """Decodes the tags of one head. It holds arrays that are only read: threads may share it."""

    def __init__(self, tags: Sequence[str]) -> None:
        """Prepare the constraints of ``tags``: ``"O"``, ``"B-LABEL"`` and ``"I-LABEL"`` in any order."""
        self._outside = tags.index("O")
        self._inside = np.array([tag.startswith("I-") for tag in tags])
        self._labels = [tag[2:] for tag in tags]
        allowed = np.array(
            [[not after.startswith("I-") or before[2:] == after[2:] for after in tags] for before in tags]
        )
        self._allowed = allowed
        self._transitions = np.where(allowed, 0.0, _FORBIDDEN)

    def decode(self, logits: NDArray[np.float32], bounds: NDArray[np.int64]) -> list[list[WordSpan]]:
        """Return the mentions of every sentence, in order.

        ``logits`` is [words of all sentences, tags]; sentence i has the words ``bounds[i]`` to ``bounds[i + 1]``. A
        mention's score is the lowest probability that any of its words gives to its tag, rounded to four decimals.
        """
        sentences: list[list[WordSpan]] = [[] for _ in range(len(bounds) - 1)]
        if len(logits) == 0:
            return sentences
        tags = logits.argmax(axis=1)
        owner = np.repeat(np.arange(len(sentences)), np.diff(bounds))
        starts = np.zeros(len(tags), dtype=bool)
        starts[bounds[:-1][np.diff(bounds) > 0]] = True
        # The best sequence without constraints is also the best with them wherever it breaks none.
        before = np.where(starts, self._outside, np.roll(tags, 1))
        for sentence in np.unique(owner[~self._allowed[before, tags]]):
            words = slice(bounds[sentence], bounds[sentence + 1])
            tags[words] = self._viterbi(logits[words].astype(np.float64))
        for sentence in np.unique(owner[tags != self._outside]):
            words = slice(bounds[sentence], bounds[sentence + 1])
            sentences[sentence] = list(self._spans(tags[words], logits[words]))
        return sentences

    def _viterbi(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the best allowed sequence of tags for one sentence, [words] from [words, tags]."""
        scores = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        best = np.where(self._inside, _FORBIDDEN, scores[0])
        back = np.empty(scores.shape, dtype=np.int64)
        for word in range(1, len(scores)):
            paths = best[:, None] + self._transitions
            back[word] = paths.argmax(axis=0)
            best = paths.max(axis=0) + scores[word]
        tags = np.empty(len(scores), dtype=np.int64)
        tags[-1] = best.argmax()
        for word in range(len(scores) - 1, 0, -1):
            tags[word - 1] = back[word, tags[word]]
        return tags

    def _spans(self, tags: NDArray[np.int64], logits: NDArray[np.float32]) -> Iterator[WordSpan]:
        """Yield the mentions of one sentence whose tags break no constraint."""
        first = None
        for word, tag in enumerate([*tags.tolist(), self._outside]):
            if first is not None and not self._inside[tag]:
                yield WordSpan(first, word, self._labels[tags[first]], _score(logits[first:word], tags[first:word]))
                first = None
            if tag != self._outside and first is None:
                first = word


class HeadsDecoder:
    """Decodes the heads of one forward pass: each by all of its own tags, of which the decided labels are kept."""

    def __init__(self, tags: Sequence[Sequence[str]], decided: Sequence[Sequence[str]]) -> None:
        """Take the tags of each head, in the order of the logits' columns, and the labels that each head decides."""
        ends = np.cumsum([len(names) for names in tags]).tolist()
        self._heads = [
            (slice(end - len(names), end), BioDecoder(names), frozenset(labels))
            for end, names, labels in zip(ends, tags, decided, strict=True)
        ]

    def decode(self, logits: NDArray[np.float32], bounds: NDArray[np.int64]) -> list[list[WordSpan]]:
        """Return the mentions of every sentence, head by head; the arguments are those of :meth:`BioDecoder.decode`."""
        sentences: list[list[WordSpan]] = [[] for _ in range(len(bounds) - 1)]
        for columns, decoder, labels in self._heads:
            for spans, found in zip(sentences, decoder.decode(logits[:, columns], bounds), strict=True):
                spans += [span for span in found if span.label in labels]
        return sentences


def _score(logits: NDArray[np.float32], tags: NDArray[np.int64]) -> float:
    """Return the lowest probability among the decided tags. Computed in fp64, word by word."""
    exact = logits.astype(np.float64)
    exact -= exact.max(axis=1, keepdims=True)
    chosen = exact[np.arange(len(tags)), tags]
    return round(float(np.exp(chosen - np.log(np.exp(exact).sum(axis=1))).min()), 4)
