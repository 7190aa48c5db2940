"""Strict mention-level evaluation: a mention counts when its start, its end and its label are exactly the gold's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from annotate.corpora import Corpus, split_document
from comention.types import AnnotationStatus, Annotator, Splitter

PROTOCOL = "strict: exact document offsets and label; each distinct gold mention once, overlapping ones included"

_SENTENCES_AT_ONCE = 2048


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
class Evaluation:
    """How an annotator does on a corpus. ``failed`` counts the sentences it could not annotate."""

    corpus: str
    annotator: str
    micro: Score
    labels: Mapping[str, Score]
    documents: int
    sentences: int
    failed: int

    def to_json(self) -> dict[str, object]:
        """Return the report as one JSON document."""
        return {
            "corpus": self.corpus,
            "annotator": self.annotator,
            "protocol": PROTOCOL,
            "micro": self.micro.to_json(),
            "labels": {label: score.to_json() for label, score in self.labels.items()},
            "documents": self.documents,
            "sentences": self.sentences,
            "failed": self.failed,
        }


def evaluate(
    annotator: Annotator, corpus: Corpus, splitter: Splitter, on_sentences: Callable[[int, int], None] | None = None
) -> Evaluation:
    """Score an annotator on the labels that a corpus annotates; ``on_sentences`` hears how many are done, and of how
    many.

    Mentions are compared in offsets of their document, so a gold mention that the splitter cuts counts as missed.
    """
    sentences = [
        (number, sentence)
        for number, document in enumerate(corpus.documents)
        for sentence in split_document(document, splitter)
    ]
    gold = {
        (number, span.start_char, span.end_char, span.label)
        for number, document in enumerate(corpus.documents)
        for span in document.spans
    }
    predicted: set[tuple[int, int, int, str]] = set()
    failed = 0
    for start in range(0, len(sentences), _SENTENCES_AT_ONCE):
        portion = sentences[start : start + _SENTENCES_AT_ONCE]
        annotations = annotator.annotate([sentence.text for _, sentence in portion])
        for (number, sentence), annotation in zip(portion, annotations, strict=True):
            failed += annotation.status is AnnotationStatus.FAILED
            predicted.update(
                (
                    number,
                    sentence.start_char + mention.start_char,
                    sentence.start_char + mention.end_char,
                    mention.label,
                )
                for mention in annotation.mentions
                if mention.label in corpus.labels
            )
        if on_sentences is not None:
            on_sentences(start + len(portion), len(sentences))
    labels = {
        label: Score(
            correct=sum(1 for mention in gold & predicted if mention[3] == label),
            predicted=sum(1 for mention in predicted if mention[3] == label),
            support=sum(1 for mention in gold if mention[3] == label),
        )
        for label in corpus.labels
    }
    micro = Score(correct=len(gold & predicted), predicted=len(predicted), support=len(gold))
    return Evaluation(
        corpus=corpus.name,
        annotator=annotator.info.name,
        micro=micro,
        labels=labels,
        documents=len(corpus.documents),
        sentences=len(sentences),
        failed=failed,
    )
