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
        (
            "INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 16, 'Clozapin?')",
            "ck_sentence_span",
        ),
        ("INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 16, 'clozapin')", "is not the slice"),
        ("INSERT INTO comention.sentence VALUES (7, 9, 1, 9000, 9008, 'Clozapin')", "is not the slice"),
        ("UPDATE comention.sentence SET start_char = start_char + 1, end_char = end_char + 1", "is not the slice"),
        ("UPDATE comention.mention SET end_char = 1000", "does not lie inside sentence 1 of PMID 7"),
        ("UPDATE comention.mention SET start_char = -1", "ck_mention_span"),
        ("UPDATE comention.mention SET end_char = start_char", "ck_mention_span"),
        ("UPDATE comention.mention SET score = 1.5", "ck_mention_score"),
        (
            "INSERT INTO comention.mention SELECT pmid, sentence_ordinal, annotator_id, 0, 99, name_id, 1 "
            "FROM comention.mention LIMIT 1",
            "does not lie inside",
        ),
        ("UPDATE comention.citation SET text = 'x' || text", "cannot change while it has sentences"),
    ],
)
def test_postgres_refuses_wrong_offsets_whoever_writes(annotated: Database, statement: str, reason: str) -> None:
    with pytest.raises(DatabaseError, match=reason), annotated.transaction() as connection:
        connection.execute(text(statement))


def test_right_offsets_are_accepted(annotated: Database) -> None:
    with annotated.transaction() as connection:
        connection.execute(text("INSERT INTO comention.sentence VALUES (7, 9, 1, 8, 16, 'Clozapin')"))
        connection.execute(text("UPDATE comention.citation SET text = text"))
