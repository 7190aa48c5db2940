"""Writers side by side: no deadlock, no double effect, no drift."""

from __future__ import annotations

import datetime as dt
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from comention.errors import SourceBusyError
from comention.types import DeletedCitation
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import delete_citations, save_citations
from storage.cooccurrence import find_drift, fold_counts
from storage.database import Database
from storage.names import NameTable
from storage.runs import open_run
from tests.builders import citation
from tests.plugins.lexicon_annotator import CONDITIONS, DRUGS, LexiconAnnotator

PMIDS = range(1, 41)


def write(database: Database, seed: int) -> None:
    """Store, delete and annotate overlapping batches in a random order."""
    chance = random.Random(seed)
    annotator = LexiconAnnotator()
    annotator_id = register_annotator(database, annotator.info)
    names = NameTable(database)
    with open_run(database, kind="file", source=f"writer {seed}", source_key=f"writer {seed}") as run:
        for day in range(1, 13):
            batch = [
                citation(
                    pmid,
                    [f"{chance.choice(DRUGS)} caused {chance.choice(CONDITIONS)}."],
                    revised_on=dt.date(2020, 1, day),
                )
                for pmid in chance.sample(PMIDS, 15)
            ]
            with database.transaction() as connection:
                save_citations(connection, run.run_id, batch)
            if chance.random() < 0.3:
                with database.transaction() as connection:
                    doomed = [DeletedCitation(pmid=pmid) for pmid in chance.sample(PMIDS, 5)]
                    delete_citations(connection, run.source_key, doomed)
            pending = list_pending(database, annotator_id, limit=20)
            done = [AnnotatedCitation(pending=p, results=tuple(annotator.annotate(p.sentences))) for p in pending]
            save_annotations(database, annotator_id, names, done)
            if chance.random() < 0.3:
                fold_counts(database)


def test_four_writers_over_the_same_citations_neither_deadlock_nor_drift(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        for writer in [pool.submit(write, database, seed) for seed in range(4)]:
            writer.result()
    assert find_drift(database) == []
    with database.transaction() as connection:
        wrong = connection.execute(
            text(
                "SELECT count(*) FROM comention.annotation a JOIN comention.citation c USING (pmid) "
                "WHERE a.content_hash <> c.content_hash"
            )
        ).scalar_one()
        # Every record here has version 1, so a withdrawn PMID that is stored must be newer than what was withdrawn.
        risen = connection.execute(
            text(
                "SELECT count(*) FROM comention.citation c JOIN comention.deleted_citation d USING (pmid) "
                "WHERE d.revised_on IS NULL OR c.revised_on <= d.revised_on"
            )
        ).scalar_one()
    assert (wrong, risen) == (0, 0)


def test_a_deletion_waits_for_those_who_store_and_finds_what_they_stored(database: Database) -> None:
    with open_run(database, kind="file", source="t", source_key="t") as run:
        with ThreadPoolExecutor(1) as pool:
            with database.transaction() as connection:
                save_citations(connection, run.run_id, [citation(7)])
                deleting = pool.submit(delete_in_its_own_transaction, database, 7)
                assert not deleting.done()
            deleting.result()
        with database.transaction() as connection:
            assert connection.execute(text("SELECT count(*) FROM comention.citation")).scalar_one() == 0
            assert save_citations(connection, run.run_id, [citation(7)]).withdrawn == 1


def delete_in_its_own_transaction(database: Database, pmid: int) -> None:
    with database.transaction() as connection:
        delete_citations(connection, "another", [DeletedCitation(pmid=pmid)])


def test_two_processes_do_not_bring_in_one_source_together(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.locks.LOCK_WAIT", "100ms")
    with open_run(database, kind="file", source="one.xml", source_key="one"):
        with (
            pytest.raises(SourceBusyError, match=r"another process is bringing in one\.xml"),
            open_run(database, kind="file", source="one.xml", source_key="one"),
        ):
            pass
        with open_run(database, kind="file", source="two.xml", source_key="two"):
            pass
    with open_run(database, kind="file", source="one.xml", source_key="one"):
        pass
