from __future__ import annotations

import pytest
from sqlalchemy import text

from comention.errors import DatabaseError
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.database import Database
from storage.names import NameTable
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import LexiconAnnotator


@pytest.fixture
def annotated(database: Database) -> Database:
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, [citation(7)])
    annotator = LexiconAnnotator()
    annotator_id = register_annotator(database, annotator.info)
    pending = list_pending(database, annotator_id)
    done = [AnnotatedCitation(pending=item, results=tuple(annotator.annotate(item.sentences))) for item in pending]
    save_annotations(database, annotator_id, NameTable(database), done)
    return database


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 8)", "ck_sentence_span"),
        ("INSERT INTO comention.sentence VALUES (7, 9, 1, -1, 8)", "ck_sentence_span"),
        ("INSERT INTO comention.sentence VALUES (7, 9, 1, 9000, 9008)", "a sentence of PMID 7 ends at 9008, beyond"),
        ("UPDATE comention.sentence SET start_char = start_char + 1", "sentence 0 of PMID 7 cannot change"),
        ("DELETE FROM comention.sentence", "the sentences of PMID 7 cannot go while mentions stand in them"),
        ("UPDATE comention.citation_mentions SET ends[1] = 1000", "it does not lie inside its sentence"),
        ("UPDATE comention.citation_mentions SET starts[1] = -1", "it does not lie inside its sentence"),
        ("UPDATE comention.citation_mentions SET ends[1] = starts[1]", "it does not lie inside its sentence"),
        ("UPDATE comention.citation_mentions SET starts[1] = NULL", "it does not lie inside its sentence"),
        ("UPDATE comention.citation_mentions SET scores[1] = 1.5", "its score does not lie between 0 and 1"),
        ("UPDATE comention.citation_mentions SET scores[1] = 'NaN'", "its score does not lie between 0 and 1"),
        ("UPDATE comention.citation_mentions SET sentence_ordinals[1] = 77", "there is no such sentence"),
        ("UPDATE comention.citation_mentions SET sentence_ordinals[1] = NULL", "there is no such sentence"),
        ("UPDATE comention.citation_mentions SET name_ids[1] = 1234567", "there is no name 1234567"),
        ("UPDATE comention.citation_mentions SET ends = ends || 9", "ck_citation_mentions_in_step"),
        ("UPDATE comention.citation_mentions SET starts = '[0:1]={1,2}'", "ck_citation_mentions_in_step"),
        (
            "UPDATE comention.citation_mentions SET name_ids = '{}', starts = '{}', ends = '{}', scores = '{}', "
            "sentence_ordinals = '{}'",
            "ck_citation_mentions_in_step",
        ),
        (
            "UPDATE comention.citation_mentions SET starts = starts || starts, ends = ends || ends, "
            "scores = scores || scores, name_ids = name_ids || name_ids, "
            "sentence_ordinals = sentence_ordinals || sentence_ordinals",
            "the mentions are not in order, or one is there twice",
        ),
        ("DELETE FROM comention.name", 'the name ".*" cannot go while mentions have it'),
        ("INSERT INTO comention.sentence_text VALUES (7, 77)", "document"),
        ("UPDATE comention.citation SET text = 'x' || text", "cannot change while it has sentences"),
    ],
)
def test_postgres_refuses_wrong_offsets_whoever_writes(annotated: Database, statement: str, reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason), annotated.transaction() as connection:
        connection.execute(text(statement))


def test_right_offsets_are_accepted(annotated: Database) -> None:
    with annotated.transaction() as connection:
        connection.execute(text("INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 16)"))
        connection.execute(text("UPDATE comention.citation SET text = text"))
        connection.execute(text("UPDATE comention.citation_mentions SET starts = starts"))


def test_wrong_offsets_are_refused_where_numbers_of_sentences_are_left_out(annotated: Database) -> None:
    with annotated.transaction() as connection:
        connection.execute(text("INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 16)"))
    for ordinal, reason in ((8, "there is no such sentence"), (9, "it does not lie inside its sentence")):
        with pytest.raises(DatabaseError, match=reason), annotated.transaction() as connection:
            connection.execute(
                text(
                    "UPDATE comention.citation_mentions SET sentence_ordinals = sentence_ordinals || :ordinal, "
                    "starts = starts || 0, ends = ends || 9, scores = scores || 1::real, name_ids = name_ids || name_ids[1]"
                ),
                {"ordinal": ordinal},
            )


def test_whatever_takes_a_citation_out_takes_everything_along(annotated: Database) -> None:
    with annotated.transaction() as connection:
        connection.execute(text("DELETE FROM comention.citation"))
        left = connection.execute(
            text(
                "SELECT (SELECT count(*) FROM comention.citation_mentions) + (SELECT count(*) FROM comention.sentence)"
            )
        )
        assert left.scalar_one() == 0
