"""The second stage: sentences that an annotator owes -> mentions, ledger and counts, a batch a transaction."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, Annotator, SentenceAnnotation
from storage.annotations import (
    AnnotatedCitation,
    AnnotationCounts,
    PendingCitation,
    list_pending,
    save_annotations,
)
from storage.annotators import register_annotator
from storage.cooccurrence import fold_counts
from storage.database import Database
from storage.names import NameTable
from storage.search import index_sentences

MAX_MENTION_CHARACTERS = 500
"""A longer span is no name of anything, and too long for the index of names."""

FOLD_AFTER = 1.0
"""Seconds after which the deltas are folded into the counts, so that readers have few of them to add."""

OnProgress = Callable[[AnnotationCounts], None]
"""Called with what a batch came to, once it is committed."""


def annotate_pending(
    database: Database,
    annotator: Annotator,
    *,
    batch_citations: int = 256,
    on_progress: OnProgress | None = None,
) -> AnnotationCounts:
    """Annotate whatever is owed to an annotator. The next batch is read and the last one written while one is annotated.

    What each sentence gets does not depend on the batch it comes in, so a run that was killed and repeated ends as one that
    was not.
    """
    annotator_id = register_annotator(database, annotator.info)
    names = NameTable(database)
    total = AnnotationCounts()
    with (
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as reader,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as writer,
    ):
        writing: Future[AnnotationCounts] | None = None
        folding: Future[int] | None = None
        reading = reader.submit(list_pending, database, annotator_id, limit=batch_citations)
        folded_at = time.monotonic()
        while True:
            pending = reading.result()
            if pending:
                reading = reader.submit(
                    list_pending, database, annotator_id, after_pmid=pending[-1].pmid, limit=batch_citations
                )
                annotated = annotate_citations(annotator, pending)
            if writing is not None:
                total = _settle(writing, total, on_progress)
            if not pending:
                break
            writing = writer.submit(save_annotations, database, annotator_id, names, annotated)
            if time.monotonic() - folded_at > FOLD_AFTER:
                _raise_failure(folding)
                folding = writer.submit(fold_in_turn, database)
                folded_at = time.monotonic()
        _raise_failure(folding)
    fold_counts(database)
    index_sentences(database)
    return total


def fold_in_turn(database: Database) -> int:
    """Fold, unless another process began to less than half of `FOLD_AFTER` ago; return how many deltas were folded."""
    return fold_counts(database, after=FOLD_AFTER / 2)


def _raise_failure(folding: Future[int] | None) -> None:
    """Wait for a folding that was begun before; raise what it failed by."""
    if folding is not None:
        folding.result()


def _settle(
    writing: Future[AnnotationCounts], total: AnnotationCounts, on_progress: OnProgress | None
) -> AnnotationCounts:
    counts = writing.result()
    if on_progress is not None:
        on_progress(counts)
    return total + counts


def annotate_citations(annotator: Annotator, pending: Sequence[PendingCitation]) -> list[AnnotatedCitation]:
    """Annotate a batch; where the annotator cannot, its citations one by one, so that only the one at fault fails.

    Raises:
        AnnotatorError: the annotator breaks its contract and returns the wrong number of results.
    """
    try:
        results = _checked(annotator, [sentence for item in pending for sentence in item.sentences])
    except AnnotatorError:
        raise
    except Exception as error:  # whatever a plugin raises: the batch is taken apart to find the citation at fault
        if len(pending) > 1:
            return [one for item in pending for one in annotate_citations(annotator, [item])]
        failure = SentenceAnnotation(
            status=AnnotationStatus.FAILED, detail=f"{type(error).__name__}: {error}".replace("\x00", "\ufffd")
        )
        results = [failure] * len(pending[0].sentences)
    remaining = iter(results)
    return [
        AnnotatedCitation(pending=item, results=tuple(itertools.islice(remaining, len(item.sentences))))
        for item in pending
    ]


def _checked(annotator: Annotator, sentences: list[str]) -> list[SentenceAnnotation]:
    results = annotator.annotate(sentences)
    name = annotator.info.name
    if len(results) != len(sentences):
        raise AnnotatorError(
            f"the annotator {name} returned {len(results)} results for {len(sentences)} sentences: "
            "it must return one for each, in order"
        )
    return [_acceptable(sentence, result) for sentence, result in zip(sentences, results, strict=True)]


def _acceptable(sentence: str, result: SentenceAnnotation) -> SentenceAnnotation:
    """Return the result, or a failure with the reason where the database would refuse it: the sentence fails alone."""
    seen: set[tuple[int, int, str]] = set()
    for found in result.mentions:
        span = (found.start_char, found.end_char, found.label)
        if not 0 <= found.start_char < found.end_char <= len(sentence):
            wrong = f"the span [{found.start_char}, {found.end_char}) does not lie in its {len(sentence)} characters"
        elif found.end_char - found.start_char > MAX_MENTION_CHARACTERS:
            wrong = (
                f"a mention of {found.end_char - found.start_char} characters is longer than {MAX_MENTION_CHARACTERS}"
            )
        elif not 0 <= found.score <= 1:  # NaN too
            wrong = f"the score {found.score} does not lie between 0 and 1"
        elif span in seen:
            wrong = f"the {found.label} [{found.start_char}, {found.end_char}) is there twice"
        elif result.status is AnnotationStatus.FAILED:
            wrong = f"it failed ({result.detail}) and has mentions all the same"
        else:
            seen.add(span)
            continue
        return SentenceAnnotation(
            status=AnnotationStatus.FAILED, detail=f"the annotator's answer cannot be used: {wrong}"
        )
    return result
