from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from annotate.corpora import AnnotatedDocument, Corpus, Span
from annotate.evaluate import evaluate
from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, AnnotatorInfo, Mention, SentenceAnnotation


class Halves:
    """Cuts a text at its full stop."""

    name = "halves"

    def split(self, text: str) -> list[tuple[int, int]]:
        cut = text.index(".") + 1
        return [(0, cut), (cut + 1, len(text))]


class Words:
    """Finds the words it is given, with their labels; fails on sentences that say so."""

    info = AnnotatorInfo(name="words", version="1", model="", revision="", labels=(), config_hash="")

    def __init__(self, knows: tuple[str, ...] = (), /, **words: str) -> None:
        self.words = words
        self.info = replace(self.info, labels=knows)

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        return [
            SentenceAnnotation(status=AnnotationStatus.FAILED, detail="it says so")
            if "fail" in sentence
            else SentenceAnnotation(
                mentions=tuple(
                    Mention(start_char=at, end_char=at + len(word), label=label, score=1.0)
                    for word, label in self.words.items()
                    if (at := sentence.find(word)) >= 0
                )
            )
            for sentence in sentences
        ]


def document(text: str, **labels: str) -> AnnotatedDocument:
    spans = tuple(
        Span(start_char=text.index(word), end_char=text.index(word) + len(word), label=label)
        for word, label in labels.items()
    )
    return AnnotatedDocument(pmid=1, text=text, spans=spans, parts=((0, len(text)),))


def corpus(*documents: AnnotatedDocument, labels: tuple[str, ...] = ("Drug", "Condition")) -> Corpus:
    return Corpus(name="made-up", labels=labels, documents=documents)


def test_only_exact_offsets_with_the_right_label_count():
    gold = corpus(document("zolast and quinine. A rash and fever", zolast="Drug", quinine="Drug", rash="Condition"))
    found = evaluate(Words(zolast="Drug", quin="Drug", rash="Drug", fever="Condition"), gold, Halves())
    drug, condition = found.labels["Drug"], found.labels["Condition"]
    assert (drug.correct, drug.predicted, drug.support) == (1, 3, 2)
    assert (condition.correct, condition.predicted, condition.support) == (0, 1, 1)
    assert (found.micro.precision, found.micro.recall, found.micro.f1) == (1 / 4, 1 / 3, 2 / 7)
    assert (found.documents, found.sentences, found.failed) == (1, 2, 0)


def test_mentions_are_compared_in_their_own_document_only():
    gold = corpus(document("zolast. of", zolast="Drug"), document("of of o. zolast"))
    found = evaluate(Words(zolast="Drug"), gold, Halves())
    assert (found.micro.correct, found.micro.predicted, found.micro.support) == (1, 2, 1)


def test_labels_that_the_corpus_does_not_annotate_do_not_count():
    gold = corpus(document("zolast. rash", rash="Condition"), labels=("Condition",))
    assert evaluate(Words(zolast="Drug", rash="Condition"), gold, Halves()).micro.f1 == 1.0


def test_a_gold_mention_that_the_splitter_cuts_is_missed():
    gold = corpus(document("vitamin B. 12 rash", **{"B. 12": "Drug", "rash": "Condition"}))
    found = evaluate(Words(rash="Condition"), gold, Halves())
    assert (found.labels["Drug"].recall, found.labels["Condition"].recall) == (0.0, 1.0)


def test_failed_sentences_are_counted():
    assert evaluate(Words(), corpus(document("will fail. of")), Halves()).failed == 1


def test_the_report_has_the_fields_that_scripts_read():
    gold = corpus(document("zolast. rash", zolast="Drug", rash="Condition"))
    report = evaluate(Words(zolast="Drug"), gold, Halves()).to_json()
    assert report["micro"] == {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}
    assert report["labels"] == {
        "Drug": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        "Condition": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1},
    }
    assert (report["corpus"], report["annotator"]) == ("made-up", "words")
    assert "strict" in str(report["protocol"])


def test_progress_ends_with_all_sentences():
    heard: list[tuple[int, int]] = []
    evaluate(Words(), corpus(document("a. b")), Halves(), on_sentences=lambda done, total: heard.append((done, total)))
    assert heard == [(2, 2)]


def test_labels_that_the_annotator_does_not_know_are_left_out_and_counted():
    gold = corpus(document("zolast. rash and rash", zolast="Drug", rash="Condition"))
    found = evaluate(Words(("Drug",), zolast="Drug"), gold, Halves())
    assert (found.micro.f1, found.labels.keys()) == (1.0, {"Drug"})
    assert found.gold.unscored == {"Condition": 1}


def test_labels_are_renamed_to_the_corpus_s():
    gold = corpus(document("Pax6. of", Pax6="Protein"), labels=("Protein",))
    with pytest.raises(AnnotatorError, match=r"words finds Gene and made-up annotates Protein.*--map FROM=TO"):
        evaluate(Words(("Gene",), Pax6="Gene"), gold, Halves())
    assert evaluate(Words(("Gene",), Pax6="Gene"), gold, Halves(), renamed={"Gene": "Protein"}).micro.f1 == 1.0


def test_what_tags_cannot_hold_is_counted():
    text = "zolast rash. B. 12 x"
    spans = (
        Span(start_char=0, end_char=6, label="Drug"),
        Span(start_char=0, end_char=11, label="Condition"),
        Span(start_char=10, end_char=14, label="Condition"),
    )
    gold = corpus(AnnotatedDocument(pmid=1, text=text, spans=spans, parts=((0, len(text)),), discontinuous=4))
    found = evaluate(Words(zolast="Drug", **{"zolast rash": "Condition"}), gold, Halves())
    assert (found.gold.mentions, found.gold.discontinuous) == (3, 4)
    assert (found.gold.across_sentences, found.gold.overlapping) == (1, 1)
    assert (found.micro.correct, found.micro.support) == (2, 3)
    # Of two that overlap, tags hold the longer: of the gold as of what was found.
    assert (found.tags.score().correct, found.tags.score().support) == (1, 1)


def test_tags_forgive_what_lies_within_a_word():
    gold = corpus(document("zolast-induced. x", zolast="Drug"))
    words = AnnotatedDocument(pmid=1, text="zolast-induced", spans=gold.documents[0].spans, words=((0, 14),))
    found = evaluate(Words(**{"zolast-induced": "Drug"}), corpus(words), Halves())
    assert (found.micro.f1, found.tags.score().f1, found.own_words) == (0.0, 1.0, True)
    found = evaluate(Words(**{"zolast-induced": "Drug"}), gold, Halves())
    assert (found.micro.f1, found.tags.score().f1, found.own_words) == (0.0, 0.0, False)


def test_the_report_says_how_sure_it_is():
    gold = corpus(document("zolast. rash", zolast="Drug", rash="Condition"))
    report = evaluate(Words(zolast="Drug"), gold, Halves(), head="cdr").to_json()
    assert report["head"] == "cdr"
    assert report["intervals"] == {
        "level": 0.95,
        "resamples": 1000,
        "seed": 13,
        "drawn": "1 articles",
        "micro": {"precision": [1.0, 1.0], "recall": [0.5, 0.5], "f1": [2 / 3, 2 / 3]},
        "labels": {
            "Drug": {"precision": [1.0, 1.0], "recall": [1.0, 1.0], "f1": [1.0, 1.0]},
            "Condition": {"precision": [0.0, 0.0], "recall": [0.0, 0.0], "f1": [0.0, 0.0]},
        },
    }
    assert report["seqeval"]["micro"]["f1"] == 2 / 3  # type: ignore[index]
    assert report["gold"]["mentions"] == 2  # type: ignore[index]
