"""The list of errors."""

from __future__ import annotations

from annotate.corpora import AnnotatedDocument, Span
from annotate.evaluate import evaluate
from annotate.mention_errors import COLUMNS, ErrorKind, error_rows, list_errors
from tests.annotate.test_evaluate import Halves, Words, corpus, document


def kinds(gold: AnnotatedDocument, **found: str) -> list[tuple[ErrorKind, str, str]]:
    evaluation = evaluate(Words(**found), corpus(gold), Halves())
    return [
        (
            error.kind,
            *(
                error.sentence[span.start_char : span.end_char] if span is not None else ""
                for span in (error.gold, error.predicted)
            ),
        )
        for error in list_errors(evaluation)
    ]


def test_every_error_has_its_kind():
    gold = document(
        "zolast acid, quinine, fever. A rash now", **{"zolast acid": "Drug", "quinine": "Drug", "rash": "Condition"}
    )
    found = {"zolast": "Drug", "quinine": "Condition", "fever": "Condition"}
    assert kinds(gold, **found) == [
        (ErrorKind.BOUNDARY, "zolast acid", "zolast"),
        (ErrorKind.LABEL, "quinine", "quinine"),
        (ErrorKind.SPURIOUS, "", "fever"),
        (ErrorKind.MISSED, "rash", ""),
    ]
    assert kinds(document("zolast rash. x", **{"zolast rash": "Condition"}), zolast="Drug") == [
        (ErrorKind.BOUNDARY_AND_LABEL, "zolast rash", "zolast")
    ]


def test_a_mention_is_in_one_error_only_and_goes_with_the_closest():
    gold = document("zolast acid rash. x", **{"zolast acid": "Drug"})
    assert kinds(gold, **{"zolast": "Drug", "acid rash": "Drug"}) == [
        (ErrorKind.BOUNDARY, "zolast acid", "zolast"),
        (ErrorKind.SPURIOUS, "", "acid rash"),
    ]


def test_a_gold_mention_that_is_cut_stands_in_both_sentences():
    evaluation = evaluate(Words(), corpus(document("vitamin B. 12 rash", **{"B. 12": "Drug"})), Halves())
    [error] = list_errors(evaluation)
    assert error.sentence == "vitamin B. 12 rash"
    assert error.gold == Span(start_char=8, end_char=13, label="Drug")


def test_correct_mentions_are_no_errors_and_rows_have_no_tabs():
    assert kinds(document("zolast. x", zolast="Drug"), zolast="Drug") == []
    gold = document("a\tzolast\nb. x", zolast="Drug")
    evaluation = evaluate(Words(), corpus(gold), Halves())
    [row] = error_rows(evaluation, list_errors(evaluation))
    assert dict(zip(COLUMNS, row, strict=True)) == {
        "annotator": "words",
        "corpus": "made-up",
        "document": "1",
        "error": "missed",
        "gold_label": "Drug",
        "gold_text": "zolast",
        "gold_start": "2",
        "gold_end": "8",
        "predicted_label": "",
        "predicted_text": "",
        "predicted_start": "",
        "predicted_end": "",
        "sentence": "a zolast b.",
    }
