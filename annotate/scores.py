"""Precision, recall and F1, with intervals by resampling articles.

The sentences of an article are not independent, so the bootstrap draws whole articles. The interval says how far the figure
would move on other articles of the same kind; it knows nothing of another seed in training, nor of another kind of text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES, LEVEL, SEED = 1000, 0.95, 13
# Weights of this many articles are held at once: 80 MB.
_CELLS_AT_ONCE = 10_000_000

CORRECT, PREDICTED, SUPPORT = range(3)
MEASURES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Precision, recall and F1 over mentions; each is 0 where nothing was predicted or nothing is gold."""

    correct: int
    predicted: int
    support: int

    @property
    def precision(self) -> float:
        """Share of the predicted mentions that are gold."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold mentions that were predicted."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        return 2 * self.correct / (self.predicted + self.support) if self.predicted + self.support else 0.0

    def to_json(self) -> dict[str, float | int]:
        """Return the figures as they stand in reports."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "support": self.support}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """The bounds of precision, recall and F1, each (low, high)."""

    precision: tuple[float, float]
    recall: tuple[float, float]
    f1: tuple[float, float]

    def to_json(self) -> dict[str, list[float]]:
        """Return the bounds as they stand in reports."""
        return {"precision": list(self.precision), "recall": list(self.recall), "f1": list(self.f1)}


class Tally:
    """Counts by article and label: mentions that are correct, predicted and gold."""

    def __init__(self, labels: Sequence[str], groups: Iterable[str]) -> None:
        """Begin at zero. ``groups`` are the articles, those without any mention included."""
        self.labels = tuple(labels)
        self._rows = {group: row for row, group in enumerate(dict.fromkeys(groups))}
        self._columns = {label: column for column, label in enumerate(self.labels)}
        self.counts: NDArray[np.int64] = np.zeros((len(self._rows), len(self.labels), 3), dtype=np.int64)

    @property
    def articles(self) -> int:
        """How many articles are drawn from."""
        return len(self._rows)

    def add(self, group: str, gold: Iterable[tuple[object, str]], predicted: Iterable[tuple[object, str]]) -> None:
        """Count the mentions of a text, given as (place, label); each distinct one counts once."""
        wanted, found = set(gold), set(predicted)
        row = self.counts[self._rows[group]]
        for mentions, kind in ((wanted & found, CORRECT), (found, PREDICTED), (wanted, SUPPORT)):
            for _, label in mentions:
                row[self._columns[label], kind] += 1

    def score(self, label: str | None = None) -> Score:
        """Return the score of a label, or of all labels together."""
        counts = self.counts.sum(axis=0)
        correct, predicted, support = (counts.sum(axis=0) if label is None else counts[self._columns[label]]).tolist()
        return Score(correct=correct, predicted=predicted, support=support)

    def resampled(self) -> NDArray[np.float64]:
        """Return the figures of every resample: [resamples, labels and then all together, precision recall F1].

        Two tallies of the same articles are drawn alike, so that their difference can be taken resample by resample.
        """
        with_all = np.concatenate([self.counts, self.counts.sum(axis=1, keepdims=True)], axis=1)
        columns = with_all.reshape(self.articles, -1).astype(np.float64)
        summed = np.concatenate([weights @ columns for weights in _draws(self.articles)])
        return _measures(summed.reshape(RESAMPLES, len(self.labels) + 1, 3))

    def intervals(self) -> tuple[dict[str, Interval], Interval]:
        """Return the interval of every label, and that of all together."""
        tail = (1 - LEVEL) / 2
        bounds = np.quantile(self.resampled(), [tail, 1 - tail], axis=0)
        made = [
            Interval(**{name: (float(low), float(high)) for name, low, high in zip(MEASURES, *rows, strict=True)})
            for rows in zip(*bounds, strict=True)
        ]
        return dict(zip(self.labels, made[:-1], strict=True)), made[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much better one annotator's F1 is than another's on the same articles.

    ``p`` is two-sided: twice the share of resamples in which the difference has the other sign or none.
    """

    f1: float
    low: float
    high: float
    p: float


def compare(first: Tally, second: Tally) -> Difference:
    """Return the difference in F1 over all labels, first less second, by a paired bootstrap.

    Raises:
        ValueError: the tallies are not of the same articles.
    """
    if first.articles != second.articles:
        raise ValueError("only tallies of the same articles can be compared")
    observed = first.score().f1 - second.score().f1
    differences = first.resampled()[:, -1, 2] - second.resampled()[:, -1, 2]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    against = min(np.count_nonzero(differences <= 0), np.count_nonzero(differences >= 0))
    # One is added above and below: no finite number of resamples shows a probability of nothing.
    return Difference(f1=observed, low=float(low), high=float(high), p=min(1.0, 2 * (against + 1) / (RESAMPLES + 1)))


def _draws(articles: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each article is drawn: [some resamples, articles], every row summing to the number of articles."""
    generator = np.random.default_rng(SEED)
    at_once = max(1, _CELLS_AT_ONCE // max(articles, 1))
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        yield generator.multinomial(articles, np.full(articles, 1 / max(articles, 1)), size=rows).astype(np.float64)


def _measures(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn counts [.., correct predicted support] into [.., precision recall F1], 0 where a divisor is 0."""
    correct, predicted, support = (counts[..., index] for index in range(3))
    tops = np.stack([correct, correct, 2 * correct], axis=-1)
    divisors = np.stack([predicted, support, predicted + support], axis=-1)
    return np.divide(tops, divisors, out=np.zeros_like(tops), where=divisors > 0)
