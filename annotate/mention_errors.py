"""The errors of an evaluation, one by one: what was missed, what is spurious, and what is nearly right."""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from annotate.corpora import Span
from annotate.evaluate import Evaluation, JudgedDocument


class ErrorKind(enum.StrEnum):
    """What is wrong. A gold mention and a predicted one that overlap are one error, not two."""

    MISSED = "missed"
    SPURIOUS = "spurious"
    BOUNDARY = "boundary"
    LABEL = "label"
    BOUNDARY_AND_LABEL = "boundary and label"


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionError:
    """One error, in offsets of ``sentence``; a mention that crosses sentences stands in the text from one to the other."""

    document: str
    kind: ErrorKind
    gold: Span | None
    predicted: Span | None
    sentence: str


COLUMNS = (
    "annotator",
    "corpus",
    "document",
    "error",
    "gold_label",
    "gold_text",
    "gold_start",
    "gold_end",
    "predicted_label",
    "predicted_text",
    "predicted_start",
    "predicted_end",
    "sentence",
)


def list_errors(evaluation: Evaluation) -> Iterator[MentionError]:
    """Yield the errors of an evaluation in the order of the texts."""
    for judged in evaluation.judged:
        missed, spurious = judged.gold - judged.predicted, judged.predicted - judged.gold
        for kind, gold, predicted in sorted(
            _pair(sorted(missed), sorted(spurious)), key=lambda row: min(span for span in row[1:] if span is not None)
        ):
            yield _located(judged, kind, gold, predicted)


def _pair(missed: list[Span], spurious: list[Span]) -> Iterator[tuple[ErrorKind, Span | None, Span | None]]:
    """Match missed and spurious mentions that overlap, each with one other at most, the best pairs first."""
    pairs = sorted(
        (-_closeness(gold, found), gold, found) for gold in missed for found in spurious if _overlap(gold, found) > 0
    )
    taken_gold: set[Span] = set()
    taken_found: set[Span] = set()
    for _, gold, found in pairs:
        if gold in taken_gold or found in taken_found:
            continue
        taken_gold.add(gold)
        taken_found.add(found)
        same_place = (gold.start_char, gold.end_char) == (found.start_char, found.end_char)
        if same_place:
            yield ErrorKind.LABEL, gold, found
        else:
            same_label = gold.label == found.label
            yield ErrorKind.BOUNDARY if same_label else ErrorKind.BOUNDARY_AND_LABEL, gold, found
    yield from ((ErrorKind.MISSED, gold, None) for gold in missed if gold not in taken_gold)
    yield from ((ErrorKind.SPURIOUS, None, found) for found in spurious if found not in taken_found)


def _overlap(first: Span, second: Span) -> int:
    return min(first.end_char, second.end_char) - max(first.start_char, second.start_char)


def _closeness(first: Span, second: Span) -> float:
    """Return the shared characters as a share of all, and one more where the labels agree."""
    union = max(first.end_char, second.end_char) - min(first.start_char, second.start_char)
    return _overlap(first, second) / union + (first.label == second.label)


def _located(judged: JudgedDocument, kind: ErrorKind, gold: Span | None, predicted: Span | None) -> MentionError:
    spans = [span for span in (gold, predicted) if span is not None]
    first, last = min(span.start_char for span in spans), max(span.end_char for span in spans)
    starts = [sentence.start_char for sentence in judged.sentences]
    opening = bisect.bisect_right(starts, first) - 1
    closing = judged.sentences[bisect.bisect_left(starts, last) - 1]
    start = starts[opening] if opening >= 0 else first
    end = max(closing.start_char + len(closing.text), last)
    return MentionError(
        document=judged.document.group,
        kind=kind,
        gold=_moved(gold, start),
        predicted=_moved(predicted, start),
        sentence=judged.document.text[start:end],
    )


def _moved(span: Span | None, by: int) -> Span | None:
    if span is None:
        return None
    return Span(start_char=span.start_char - by, end_char=span.end_char - by, label=span.label)


def error_rows(evaluation: Evaluation, errors: Iterable[MentionError]) -> Iterator[list[str]]:
    """Yield the cells of each error under ``COLUMNS``. Tabs and line ends become blanks, so offsets still fit."""
    for error in errors:
        cells = [evaluation.shown_as, evaluation.corpus, error.document, error.kind]
        for span in (error.gold, error.predicted):
            if span is None:
                cells += ["", "", "", ""]
            else:
                text = error.sentence[span.start_char : span.end_char]
                cells += [span.label, text, str(span.start_char), str(span.end_char)]
        yield [cell.translate(_BLANKS) for cell in (*cells, error.sentence)]


_BLANKS = {ord(character): " " for character in "\t\n\r"}
