from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import text

from comention.errors import AnnotatorError
from comention.types import AnnotationStatus, Mention, SentenceAnnotation
from pipeline.stages.annotate_stage import annotate_pending
from storage.annotations import AnnotationCounts, list_pending
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.cooccurrence import find_drift
from storage.database import Database
from storage.queries import list_pairs
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import CRASH, LexiconAnnotator


def store(database: Database, *texts: str) -> None:
    items = [citation(pmid, [sentence]) for pmid, sentence in enumerate(texts, start=1)]
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def test_all_that_is_owed_is_annotated_and_folded_and_then_nothing_is(database: Database) -> None:
    store(database, *["Clozapine caused agranulocytosis."] * 25)
    seen: list[AnnotationCounts] = []
    counts = annotate_pending(database, LexiconAnnotator(), batch_citations=4, on_progress=seen.append)
    assert counts == AnnotationCounts(done=25, sentences=50, mentions=50)
    assert sum(one.sentences for one in seen) == 50
    assert list_pairs(database)[0].citation_count == 25
    assert find_drift(database) == []
    assert annotate_pending(database, LexiconAnnotator(), batch_citations=4) == AnnotationCounts()


def test_a_citation_that_crashes_the_annotator_fails_alone(database: Database) -> None:
    store(database, "Lithium caused tremor.", f"This is {CRASH}.", "Lithium caused rash.")
    counts = annotate_pending(database, LexiconAnnotator())
    assert (counts.done, counts.failed, counts.mentions) == (2, 1, 4)
    annotator_id = register_annotator(database, LexiconAnnotator().info)
    assert [item.pmid for item in list_pending(database, annotator_id)] == [2]


LONG = "x" * 600


@pytest.mark.parametrize(
    ("mentions", "status", "said"),
    [
        ([(0, 10**6, 1.0)], "done", "does not lie in its"),
        ([(-1, 3, 1.0)], "done", "does not lie in its"),
        ([(3, 3, 1.0)], "done", "does not lie in its"),
        ([(0, 501, 1.0)], "done", "longer than 500"),
        ([(0, 3, 1.0000001)], "done", "between 0 and 1"),
        ([(0, 3, float("nan"))], "done", "between 0 and 1"),
        ([(0, 3, 0.5), (0, 3, 0.6)], "done", "is there twice"),
        ([(0, 3, 0.5)], "failed", "has mentions all the same"),
    ],
)
def test_an_answer_that_cannot_be_stored_fails_its_sentence_alone(
    database: Database, mentions: list[tuple[int, int, float]], status: str, said: str
) -> None:
    class Liar(LexiconAnnotator):
        def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
            wrong = SentenceAnnotation(
                mentions=tuple(Mention(start_char=a, end_char=b, label="Drug", score=s) for a, b, s in mentions),
                status=AnnotationStatus(status),
                detail=None if status == "done" else "it is ill",
            )
            honest = super().annotate(sentences)
            return [wrong if LONG in text else result for text, result in zip(sentences, honest, strict=True)]

    store(database, "Lithium caused tremor.", LONG)
    counts = annotate_pending(database, Liar())
    assert (counts.done, counts.failed, counts.mentions) == (1, 1, 2)
    with database.transaction() as connection:
        detail = connection.execute(text("SELECT detail FROM comention.annotation_exception")).scalar_one()
    assert said in detail


def test_the_wrong_number_of_results_is_refused(database: Database) -> None:
    class Short(LexiconAnnotator):
        def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
            return super().annotate(sentences)[:-1]

    store(database, "Lithium caused tremor.")
    with pytest.raises(AnnotatorError, match="one for each"):
        annotate_pending(database, Short())
