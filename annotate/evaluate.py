"""Strict evaluation of an annotator on a corpus: by mentions on offsets, and by tags of words as seqeval counts them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from annotate.corpora import AnnotatedDocument, AnnotatedSentence, Corpus, Span, disjoint_spans, split_document
from annotate.scores import LEVEL, RESAMPLES, SEED, Interval, Score, Tally
from annotate.word_tags import sentence_words, strict_chunks, word_tags
from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, Annotator, Splitter

PROTOCOL = "strict: exact document offsets and label; each distinct gold mention once, overlapping ones included"

_SENTENCES_AT_ONCE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldCounts:
    """What of a corpus's gold cannot all be found, or cannot be told in tags.

    ``mentions`` are scored. ``discontinuous`` have gaps and are not; ``across_sentences`` are in no sentence and so are
    always missed; ``overlapping`` are what tags leave out because a longer mention overlaps them. ``unscored`` counts the
    mentions of labels that the annotator does not know, by label.
    """

    mentions: int
    discontinuous: int
    across_sentences: int
    overlapping: int
    unscored: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDocument:
    """A document with its sentences, its scored gold spans and the predicted ones, all in offsets of the document."""

    document: AnnotatedDocument
    sentences: tuple[AnnotatedSentence, ...]
    gold: frozenset[Span]
    predicted: frozenset[Span]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How an annotator does on a corpus. ``failed`` counts the sentences it could not annotate.

    ``mentions`` and ``tags`` hold the counts by article; ``head`` is the head of the model that was scored, empty where the
    annotator was taken as it comes.
    """

    corpus: str
    annotator: str
    head: str
    mentions: Tally
    tags: Tally
    gold: GoldCounts
    own_words: bool
    judged: tuple[JudgedDocument, ...] = field(repr=False)
    documents: int
    sentences: int
    failed: int

    @property
    def shown_as(self) -> str:
        """The annotator's name, with the head where one was chosen."""
        return f"{self.annotator}:{self.head}" if self.head else self.annotator

    @property
    def micro(self) -> Score:
        """The score over all labels, by mentions."""
        return self.mentions.score()

    @property
    def labels(self) -> dict[str, Score]:
        """The score of every label, by mentions."""
        return {label: self.mentions.score(label) for label in self.mentions.labels}

    def to_json(self) -> dict[str, object]:
        """Return the report as one JSON document."""
        return {
            "corpus": self.corpus,
            "annotator": self.annotator,
            "head": self.head or None,
            "protocol": PROTOCOL,
            "micro": self.micro.to_json(),
            "labels": {label: score.to_json() for label, score in self.labels.items()},
            "intervals": {
                "level": LEVEL,
                "resamples": RESAMPLES,
                "seed": SEED,
                "drawn": f"{self.mentions.articles} articles",
                **_intervals_to_json(*self.mentions.intervals()),
            },
            "seqeval": {
                "mode": "strict",
                "scheme": "IOB2",
                "words": "the corpus's own"
                if self.own_words
                else "runs of letters and digits, other characters singly",
                "micro": self.tags.score().to_json(),
                "labels": {label: self.tags.score(label).to_json() for label in self.tags.labels},
                "intervals": _intervals_to_json(*self.tags.intervals()),
            },
            "gold": {
                "mentions": self.gold.mentions,
                "discontinuous": self.gold.discontinuous,
                "across_sentences": self.gold.across_sentences,
                "overlapping": self.gold.overlapping,
                "unscored": dict(self.gold.unscored),
            },
            "documents": self.documents,
            "sentences": self.sentences,
            "failed": self.failed,
        }


def evaluate(
    annotator: Annotator,
    corpus: Corpus,
    splitter: Splitter,
    on_sentences: Callable[[int, int], None] | None = None,
    *,
    head: str = "",
    renamed: Mapping[str, str] | None = None,
) -> Evaluation:
    """Score an annotator on the labels that it and a corpus have in common.

    Mentions are compared in offsets of their document, so a gold mention that the splitter cuts counts as missed.
    ``on_sentences`` hears how many sentences are done, and of how many. ``renamed`` gives labels of the annotator the names
    that the corpus has for them; ``head`` is reported, the annotator having been loaded with it.

    Raises:
        AnnotatorError: annotator and corpus have no label in common.
    """
    renamed = renamed or {}
    labels = common_labels(annotator, corpus, renamed)
    cut = [split_document(document, splitter) for document in corpus.documents]
    total = sum(map(len, cut))
    predicted: list[list[Span]] = [[] for _ in cut]
    failed = 0
    for done, places, texts in _portions(cut):
        annotations = annotator.annotate(texts)
        for (number, start), annotation in zip(places, annotations, strict=True):
            failed += annotation.status is AnnotationStatus.FAILED
            for mention in annotation.mentions:
                label = renamed.get(mention.label, mention.label)
                if label in labels:
                    first, last = start + mention.start_char, start + mention.end_char
                    predicted[number].append(Span(start_char=first, end_char=last, label=label))
        if on_sentences is not None:
            on_sentences(done, total)
    judged = tuple(
        JudgedDocument(
            document=document,
            sentences=tuple(sentences),
            gold=frozenset(span for span in document.spans if span.label in labels),
            predicted=frozenset(found),
        )
        for document, sentences, found in zip(corpus.documents, cut, predicted, strict=True)
    )
    mentions, tags, gold = _tally(judged, labels)
    return Evaluation(
        corpus=corpus.name,
        annotator=annotator.info.name.removesuffix(f":{head}"),
        head=head,
        mentions=mentions,
        tags=tags,
        gold=gold,
        own_words=any(document.words for document in corpus.documents),
        judged=judged,
        documents=len(corpus.documents),
        sentences=total,
        failed=failed,
    )


def common_labels(annotator: Annotator, corpus: Corpus, renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels to score: those of the corpus that the annotator knows; all of them where it does not say.

    Raises:
        AnnotatorError: there are none.
    """
    known = {renamed.get(label, label) for label in annotator.info.labels}
    labels = tuple(label for label in corpus.labels if not known or label in known)
    if not labels:
        raise AnnotatorError(
            f"{annotator.info.name} finds {', '.join(sorted(known)) or 'no label'} and {corpus.name} annotates "
            f"{', '.join(corpus.labels) or 'nothing'}: there is nothing to score; rename labels with --map FROM=TO"
        )
    return labels


def _portions(
    cut: Sequence[Sequence[AnnotatedSentence]],
) -> Iterator[tuple[int, list[tuple[int, int]], list[str]]]:
    """Yield portions of all sentences: how many are done after it, (document, offset) of each sentence, and its text."""
    flat = [
        ((number, sentence.start_char), sentence.text) for number, sentences in enumerate(cut) for sentence in sentences
    ]
    for start in range(0, len(flat), _SENTENCES_AT_ONCE):
        portion = flat[start : start + _SENTENCES_AT_ONCE]
        yield start + len(portion), [place for place, _ in portion], [text for _, text in portion]


def _tally(judged: Sequence[JudgedDocument], labels: Sequence[str]) -> tuple[Tally, Tally, GoldCounts]:
    groups = [one.document.group for one in judged]
    mentions, tags = Tally(labels, groups), Tally(labels, groups)
    across = overlapping = 0
    unscored: Counter[str] = Counter()
    for one in judged:
        group = one.document.group
        mentions.add(group, _placed(one.gold), _placed(one.predicted))
        unscored.update(span.label for span in one.document.spans if span.label not in labels)
        within = 0
        found: dict[int, list[Span]] = defaultdict(list)
        for number, span in _in_sentences(one.sentences, sorted(one.predicted)):
            found[number].append(span)
        for number, sentence in enumerate(one.sentences):
            gold = [span for span in sentence.spans if span.label in labels]
            within += len(gold)
            overlapping += len(gold) - len(disjoint_spans(gold))
            words = sentence_words(sentence)
            tags.add(
                group,
                [((first, end), label) for first, end, label in strict_chunks(word_tags(words, gold))],
                [((first, end), label) for first, end, label in strict_chunks(word_tags(words, found[number]))],
            )
        across += len(one.gold) - within
    counts = GoldCounts(
        mentions=sum(len(one.gold) for one in judged),
        discontinuous=sum(one.document.discontinuous for one in judged),
        across_sentences=across,
        overlapping=overlapping,
        unscored=dict(unscored),
    )
    return mentions, tags, counts


def _placed(spans: frozenset[Span]) -> list[tuple[tuple[int, int], str]]:
    return [((span.start_char, span.end_char), span.label) for span in spans]


def _in_sentences(sentences: Sequence[AnnotatedSentence], spans: Sequence[Span]) -> Iterator[tuple[int, Span]]:
    """Yield the number of the sentence that each span begins in, and the span in offsets of that sentence."""
    number = 0
    for span in spans:
        while number + 1 < len(sentences) and sentences[number + 1].start_char <= span.start_char:
            number += 1
        start = sentences[number].start_char
        yield number, Span(start_char=span.start_char - start, end_char=span.end_char - start, label=span.label)


def _intervals_to_json(labels: Mapping[str, Interval], micro: Interval) -> dict[str, object]:
    return {
        "micro": micro.to_json(),
        "labels": {label: interval.to_json() for label, interval in labels.items()},
    }
