from __future__ import annotations

import datetime as dt

import pytest
from sqlalchemy import text

from comention.types import Correction, DeletedCitation, Journal, Term
from storage.citations import delete_citations, save_citations
from storage.database import Database
from storage.precedence import ReadCitation
from storage.removal import remove_citations
from storage.runs import IngestCounts, open_run
from tests.builders import citation


@pytest.fixture
def run_id(database: Database) -> int:
    with open_run(database, kind="file", source="test", source_key="test") as run:
        return run.run_id


def save(database: Database, run_id: int, *items: ReadCitation) -> IngestCounts:
    with database.transaction() as connection:
        return save_citations(connection, run_id, items)


def delete(database: Database, source: str, *pmids: int, version: int = 1) -> IngestCounts:
    with database.transaction() as connection:
        return delete_citations(connection, source, [DeletedCitation(pmid=pmid, version=version) for pmid in pmids])


def texts(database: Database) -> list[tuple[int, str]]:
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT pmid, text FROM analysis.sentence ORDER BY pmid, ordinal"))
        return [(row.pmid, row.text) for row in rows]


def test_a_citation_and_its_sentences_are_stored_as_they_are(database: Database, run_id: int) -> None:
    counts = save(
        database, run_id, citation(7, ["α-Blockers and 𝛽-blockers differ.", "So what?"], title="Naïve\u0301 title.")
    )
    assert counts.new == counts.read == 1
    assert texts(database) == [
        (7, "Naïve\u0301 title."),
        (7, "α-Blockers and 𝛽-blockers differ."),
        (7, "So what?"),
    ]
    with database.transaction() as connection:
        row = connection.execute(text("SELECT title, abstract, year FROM analysis.citation")).one()
    assert tuple(row) == ("Naïve\u0301 title.", "α-Blockers and 𝛽-blockers differ. So what?", 2020)


def test_a_citation_without_abstract_has_an_empty_one(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7, []))
    with database.transaction() as connection:
        assert tuple(connection.execute(text("SELECT title, abstract FROM analysis.citation")).one()) == ("A case.", "")


def test_every_field_reaches_the_view(database: Database, run_id: int) -> None:
    from dataclasses import replace

    item = citation(7)
    rich = replace(
        item.citation,
        journal=Journal(title="The Journal", volume="3"),
        publication_types=(Term(name="Review", ui="D016454"),),
        mesh=(Term(name="Lithium", ui="D008094", major=True, qualifiers=("adverse effects",)),),
        substances=(Term(name="Lithium", ui="D008094", registry_number="9FN79X2M3F"),),
        keywords=("tremor",),
        languages=("eng", "fre"),
        corrections=(Correction(kind="ErratumIn", pmid=8, source="The Journal. 2021"),),
        other_abstracts={"fre": "Le résumé."},
        vernacular_title="Le titre",
        doi="10.1/x",
        pmc="PMC1",
    )
    save(database, run_id, replace(item, citation=rich))
    with database.transaction() as connection:
        row = connection.execute(text("SELECT * FROM analysis.citation")).mappings().one()
    assert row["journal"] == "The Journal"
    assert row["publication_types"] == ["Review"]
    assert row["mesh"] == [{"name": "Lithium", "ui": "D008094", "major": True, "qualifiers": ["adverse effects"]}]
    assert row["substances"] == [{"name": "Lithium", "ui": "D008094", "registry_number": "9FN79X2M3F"}]
    assert row["corrections"] == [{"kind": "ErratumIn", "pmid": 8, "source": "The Journal. 2021"}]
    assert (row["languages"], row["keywords"], row["doi"], row["pmc"]) == (["eng", "fre"], ["tremor"], "10.1/x", "PMC1")


def test_the_same_record_again_changes_nothing(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7))
    assert save(database, run_id, citation(7)).unchanged == 1
    assert len(texts(database)) == 2


def test_a_later_revision_replaces_the_text(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7, ["Old."]))
    counts = save(database, run_id, citation(7, ["New.", "Newer."], revised_on=dt.date(2021, 1, 1)))
    assert counts.revised == 1
    assert [line for _, line in texts(database)] == ["A case.", "New.", "Newer."]


def test_a_revision_that_leaves_the_text_alone_keeps_the_annotations(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7))
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO comention.annotator (name, version, model, revision, labels, config_hash) "
                "VALUES ('a', '1', 'm', 'r', '{}', 'h')"
            )
        )
        connection.execute(
            text(
                "INSERT INTO comention.annotation (pmid, annotator_id, content_hash, status, sentence_count, mention_count) "
                "SELECT pmid, (SELECT id FROM comention.annotator), content_hash, 'done', 2, 0 FROM comention.citation"
            )
        )
    save(database, run_id, citation(7, journal_title="Another Journal", revised_on=dt.date(2021, 1, 1)))
    with database.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM comention.annotation")).scalar_one() == 1
        assert connection.execute(text("SELECT journal FROM analysis.citation")).scalar_one() == "Another Journal"


@pytest.mark.parametrize("older", [{"revised_on": dt.date(2019, 1, 1)}, {"revised_on": None}])
def test_an_older_revision_is_listed_and_not_stored(
    database: Database, run_id: int, older: dict[str, dt.date | None]
) -> None:
    save(database, run_id, citation(7, ["New."]))
    counts = save(database, run_id, citation(7, ["Old."], revised_on=older["revised_on"]))
    assert counts.superseded == 1
    assert "is stored; this is" in counts.exceptions[0].reason
    assert texts(database)[1] == (7, "New.")


def test_a_higher_version_goes_before_a_later_date(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7, ["Two."], version=2, revised_on=dt.date(2019, 1, 1)))
    assert save(database, run_id, citation(7, ["One."], revised_on=dt.date(2022, 1, 1))).superseded == 1
    assert texts(database)[1] == (7, "Two.")


def test_of_two_records_in_one_batch_the_later_one_stays(database: Database, run_id: int) -> None:
    later = citation(7, ["Later."], revised_on=dt.date(2021, 1, 1))
    counts = save(database, run_id, later, citation(7, ["Earlier."]), citation(8))
    assert (counts.new, counts.superseded, counts.read) == (2, 1, 3)
    assert (7, "Later.") in texts(database)


def test_a_deletion_takes_everything_along_and_keeps_the_pmid_out(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7), citation(8))
    assert delete(database, "a file", 7, 9).deleted == 2
    assert {pmid for pmid, _ in texts(database)} == {8}
    counts = save(database, run_id, citation(7), citation(9))
    assert counts.withdrawn == 2
    assert "DeleteCitation" in counts.exceptions[0].reason


def test_a_record_newer_than_its_deletion_comes_back(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7))
    delete(database, "a file", 7)
    assert save(database, run_id, citation(7, revised_on=dt.date(2021, 1, 1))).new == 1
    delete(database, "another file", 7)
    assert save(database, run_id, citation(7, revised_on=dt.date(2021, 1, 1))).withdrawn == 1
    assert save(database, run_id, citation(7, version=2)).new == 1


def test_reading_a_deletion_again_leaves_what_came_back_after_it(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7))
    delete(database, "a file", 7)
    save(database, run_id, citation(7, revised_on=dt.date(2021, 1, 1)))
    assert delete(database, "a file", 7).deleted == 1
    assert {pmid for pmid, _ in texts(database)} == {7}


def test_the_deletion_of_a_lower_version_leaves_a_higher_one(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7, version=2))
    delete(database, "a file", 7, version=1)
    assert {pmid for pmid, _ in texts(database)} == {7}
    delete(database, "a file", 7, version=2)
    assert texts(database) == []


def test_another_splitter_cuts_the_sentences_anew(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7, ["One. Two."]))
    counts = save(database, run_id, citation(7, ["One.", "Two."], splitter="better"))
    assert counts.revised == 1
    assert [line for _, line in texts(database)] == ["A case.", "One.", "Two."]


def test_removal_leaves_no_trace_that_would_keep_a_pmid_out(database: Database, run_id: int) -> None:
    save(database, run_id, citation(7), citation(8), citation(9))
    delete(database, "a file", 8)
    assert remove_citations(database, first_pmid=7, last_pmid=8, source_keys=["test"]) == 1
    with open_run(database, kind="file", source="again", source_key="again") as run:
        assert save(database, run.run_id, citation(7), citation(8)).new == 2


def test_a_record_with_a_quote_a_tab_and_a_backslash_survives_copy(database: Database, run_id: int) -> None:
    line = "A 'quote', a \"quote\", a\ttab, a \\N and a \\ backslash, {braces} and $1 %s."
    save(database, run_id, citation(7, [line]))
    assert texts(database)[1] == (7, line)
