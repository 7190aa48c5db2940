from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from comention.types import AnnotationStatus, SentenceAnnotation
from storage.annotations import (
    MAX_ATTEMPTS,
    AnnotatedCitation,
    AnnotationCounts,
    PendingCitation,
    count_pending,
    list_pending,
    save_annotations,
)
from storage.annotators import list_registered, promote_annotator, register_annotator
from storage.citations import save_citations
from storage.database import Database
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import LexiconAnnotator


def store(database: Database, *items: ReadCitation) -> None:
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def annotated(pending: list[PendingCitation]) -> list[AnnotatedCitation]:
    annotator = LexiconAnnotator()
    return [AnnotatedCitation(pending=item, results=tuple(annotator.annotate(item.sentences))) for item in pending]


@pytest.fixture
def lexicon(database: Database) -> int:
    return register_annotator(database, LexiconAnnotator().info)


def save(database: Database, lexicon: int, items: list[AnnotatedCitation]) -> AnnotationCounts:
    return save_annotations(database, lexicon, NameTable(database), items)


def test_what_is_not_annotated_is_owed_in_order_of_pmid(database: Database, lexicon: int) -> None:
    store(database, citation(9), citation(3, ["One.", "Two."]), citation(5, []))
    assert count_pending(database, lexicon) == (3, 6)
    pending = list_pending(database, lexicon)
    assert [(item.pmid, item.ordinals) for item in pending] == [(3, (0, 1, 2)), (5, (0,)), (9, (0, 1))]
    assert pending[0].sentences == ("A case.", "One.", "Two.")
    assert [item.pmid for item in list_pending(database, lexicon, after_pmid=3, limit=1)] == [5]


def test_mentions_ledger_and_counts_come_together(database: Database, lexicon: int) -> None:
    store(database, citation(3), citation(5, ["Nothing here."]))
    counts = save(database, lexicon, annotated(list_pending(database, lexicon)))
    assert counts == AnnotationCounts(done=2, sentences=4, mentions=2)
    assert list_pending(database, lexicon) == []
    with database.transaction() as connection:
        mentions = connection.execute(
            text("SELECT label, text, name, concept FROM analysis.mention ORDER BY start_char")
        )
        assert [tuple(row) for row in mentions] == [
            ("Drug", "Clozapine", "clozapine", "clozapine"),
            ("Condition", "agranulocytosis", "agranulocytosis", "agranulocytosis"),
        ]
        ledger = connection.execute(text("SELECT pmid, status, mention_count FROM comention.annotation ORDER BY pmid"))
        assert [tuple(row) for row in ledger] == [(3, "done", 2), (5, "done", 0)]
        pair = connection.execute(
            text("SELECT drug, condition, sentence_count, citation_count FROM analysis.cooccurrence")
        )
        assert [tuple(row) for row in pair] == [("clozapine", "agranulocytosis", 1, 1)]


def test_writing_a_batch_twice_changes_nothing(database: Database, lexicon: int) -> None:
    store(database, citation(3), citation(4))
    items = annotated(list_pending(database, lexicon))
    save(database, lexicon, items)
    assert save(database, lexicon, items) == AnnotationCounts(skipped=2)
    with database.transaction() as connection:
        assert (
            connection.execute(
                text("SELECT coalesce(sum(cardinality(name_ids)), 0) FROM comention.citation_mentions")
            ).scalar_one()
            == 4
        )
        assert connection.execute(text("SELECT sentence_count FROM analysis.cooccurrence")).scalar_one() == 2


def test_a_citation_that_changed_meanwhile_stays_owed(database: Database, lexicon: int) -> None:
    store(database, citation(3))
    items = annotated(list_pending(database, lexicon))
    store(database, citation(3, ["Lithium caused tremor."], revised_on=dt.date(2021, 1, 1)))
    assert save(database, lexicon, items) == AnnotationCounts(skipped=1)
    assert [item.pmid for item in list_pending(database, lexicon)] == [3]


def test_a_citation_deleted_meanwhile_is_skipped(database: Database, lexicon: int) -> None:
    store(database, citation(3))
    items = annotated(list_pending(database, lexicon))
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM comention.citation"))
    assert save(database, lexicon, items) == AnnotationCounts(skipped=1)


def test_one_sentence_that_fails_does_not_take_the_others_along(database: Database, lexicon: int) -> None:
    store(database, citation(3, ["a sentence that no annotator can read", "Lithium caused tremor."]))
    counts = save(database, lexicon, annotated(list_pending(database, lexicon)))
    assert (counts.failed, counts.mentions) == (1, 2)
    with database.transaction() as connection:
        row = connection.execute(text("SELECT status, detail, sentence_count FROM comention.annotation")).one()
        assert tuple(row) == ("failed", "1 of 3 sentences: it is poison", 2)
        exception = connection.execute(
            text("SELECT sentence_ordinal, status, detail FROM comention.annotation_exception")
        )
        assert [tuple(one) for one in exception] == [(1, "failed", "it is poison")]
        assert connection.execute(text("SELECT count(*) FROM analysis.cooccurrence")).scalar_one() == 1


def test_a_failed_citation_is_tried_three_times_and_then_left(database: Database, lexicon: int) -> None:
    store(database, citation(3, ["a sentence that no annotator can read"]))
    for _ in range(MAX_ATTEMPTS):
        pending = list_pending(database, lexicon)
        assert [item.pmid for item in pending] == [3]
        save(database, lexicon, annotated(pending))
    assert list_pending(database, lexicon) == []
    store(database, citation(3, ["Better."], revised_on=dt.date(2021, 1, 1)))
    assert len(list_pending(database, lexicon)) == 1


def test_a_sentence_read_in_part_is_in_the_ledger(database: Database, lexicon: int) -> None:
    store(database, citation(3, []))
    pending = list_pending(database, lexicon)
    partly = SentenceAnnotation(status=AnnotationStatus.TRUNCATED, detail="too long")
    counts = save(database, lexicon, [AnnotatedCitation(pending=pending[0], results=(partly,))])
    assert counts.truncated == 1
    assert list_pending(database, lexicon) == []


def test_two_annotators_stand_side_by_side_and_the_views_follow_the_promoted_one(
    database: Database, lexicon: int
) -> None:
    store(database, citation(3))
    other = register_annotator(database, LexiconAnnotator(name="other").info)
    save(database, lexicon, annotated(list_pending(database, lexicon)))
    assert [item.pmid for item in list_pending(database, other)] == [3]
    with database.transaction() as connection:
        assert connection.execute(text("SELECT DISTINCT annotator FROM analysis.mention")).scalars().all() == [
            "lexicon"
        ]
    promote_annotator(database, other)
    assert [one.info.name for one in list_registered(database) if one.promoted] == ["other"]
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM analysis.mention")).scalar_one() == 0
        assert connection.execute(text("SELECT count(*) FROM analysis.cooccurrence")).scalar_one() == 0


def test_an_annotator_that_differs_in_anything_is_another_one(database: Database, lexicon: int) -> None:
    assert register_annotator(database, LexiconAnnotator().info) == lexicon
    assert register_annotator(database, LexiconAnnotator(version="2").info) != lexicon


def test_spellings_meet_in_one_name(database: Database, lexicon: int) -> None:
    store(database, citation(3, ["CLOZAPINE and clozapine."]))
    save(database, lexicon, annotated(list_pending(database, lexicon)))
    with database.transaction() as connection:
        assert connection.execute(text("SELECT text FROM comention.name")).scalars().all() == ["clozapine"]
