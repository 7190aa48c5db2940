"""What analysts ask on the command line: filters, full-text search, a sample of the counts, maintenance."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from storage.citations import save_citations
from storage.cooccurrence import find_drift
from storage.database import Database
from storage.embedded import EmbeddedPostgres
from storage.queries import Filters, list_evidence, list_pairs, search_sentences
from storage.runs import open_run
from storage.search import index_sentences
from tests.analyst_database import RETRACTED, analyst_database
from tests.builders import citation
from tests.conftest import Comention, Outcome, run_command


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, template: str) -> Iterator[tuple[str, Database]]:
    with analyst_database(postgres, template, "questions") as found:
        yield found


@pytest.fixture
def ask(filled: tuple[str, Database]) -> Comention:
    def run(*arguments: str, **options: str) -> Outcome:
        return run_command(*arguments, COMENTION_DATABASE__URL=filled[0], **options)

    return run


@pytest.mark.parametrize(
    ("filters", "sentences"),
    [
        (Filters(), 4),
        (Filters(from_year=2003), 3),
        (Filters(to_year=2003), 3),
        (Filters(from_year=2003, to_year=2003), 2),
        (Filters(section="results"), 2),
        (Filters(publication_type="Case Reports"), 2),
        (Filters(publication_type="Case Reports", from_year=2005), 1),
        (Filters(min_score=0.5), 4),
    ],
)
def test_pairs_and_evidence_are_what_the_filters_leave(
    filled: tuple[str, Database], filters: Filters, sentences: int
) -> None:
    for names in (
        {"drug": "Clozapine"},
        {"condition": "agranulocytosis"},
        {"drug": "clozapine", "condition": "agranulocytosis"},
    ):
        first = list_pairs(filled[1], **names, filters=filters)[0]
        assert (first.drug, first.condition, first.citation_count, first.sentence_count) == (
            "clozapine", "agranulocytosis", sentences, sentences,
        )  # fmt: skip
    assert len(list_evidence(filled[1], "clozapine", "agranulocytosis", filters=filters)) == sentences


def test_measures_are_of_the_years_and_none_under_another_filter(filled: tuple[str, Database]) -> None:
    [years] = list_pairs(filled[1], drug="clozapine", condition="agranulocytosis", filters=Filters(to_year=2003))
    # Up to 2003: 10 sentences in 101, 102, 103 and 130; clozapine in 4 of them, agranulocytosis in 3.
    assert years.expected_sentence_count == pytest.approx(4 * 3 / 10)
    [section] = list_pairs(filled[1], drug="clozapine", condition="agranulocytosis", filters=Filters(section="RESULTS"))
    assert (section.npmi, section.expected_sentence_count) == (None, None)


def test_top_and_evidence_take_every_filter(ask: Comention) -> None:
    filters = ("--since", "2000", "--until", "2002", "--section", "results", "--publication-type", "Case Reports")
    top = ask("top", "--drug", "clozapine", *filters, "--min-score", "0.5", "--json").document
    assert [(one["condition"], one["citation_count"], one["npmi"]) for one in top] == [("agranulocytosis", 1, None)]
    evidence = ask("evidence", "clozapine", "agranulocytosis", *filters, "--min-score", "0.5", "--json").document
    assert (evidence["pair"]["sentence_count"], [one["pmid"] for one in evidence["evidence"]]) == (1, [101])
    assert "–" in ask("top", "--drug", "clozapine", "--section", "RESULTS").stdout


def test_filters_that_leave_nothing_say_so(ask: Comention) -> None:
    outcome = ask("top", "--drug", "clozapine", "--until", "1990")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert "no pair with 'clozapine' was found under these filters" in outcome.stderr
    outcome = ask("evidence", "clozapine", "agranulocytosis", "--min-score", "0.95", COLUMNS="300")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert "no pair with both 'clozapine' and 'agranulocytosis' was found under these filters" in outcome.stderr


def test_filters_need_a_drug_or_a_condition(ask: Comention, filled: tuple[str, Database]) -> None:
    outcome = ask("top", "--since", "2000")
    assert outcome.status == 2
    assert "filters need a drug or a condition: give --drug NAME" in outcome.stderr
    with pytest.raises(ValueError, match="pairs are filtered of a drug or a condition"):
        list_pairs(filled[1], filters=Filters(from_year=2000))


def test_a_filter_that_cannot_be_is_a_usage_error(ask: Comention) -> None:
    assert ask("top", "--drug", "clozapine", "--since", "soon").status == 2


def test_search_finds_words_in_any_form_and_marks_them(ask: Comention) -> None:
    found = ask("search", "lithium stopping", "--json").document
    [one] = found["sentences"]
    assert (one["pmid"], one["section"], one["year"], found["unindexed"]) == (110, "", 2004, 0)
    assert [one["text"][start:end] for start, end in one["spans"]] == ["lithium", "stopped"]
    shown = ask("search", '"caused tremor" or pneumonitis -rare')
    assert re.findall(r"^ +([0-9]{3}) ", shown.stdout, re.MULTILINE) == ["133", "132", str(RETRACTED), "110"]
    assert shown.stdout.count("(retracted)") == 1


def test_search_takes_filters_and_says_what_finds_nothing(ask: Comention, filled: tuple[str, Database]) -> None:
    def pmids(limit: int = 20, **filters: object) -> list[int]:
        return [one.pmid for one in search_sentences(filled[1], "clozapine", limit=limit, filters=Filters(**filters))]

    assert pmids() == [105, 104, 103, 102, 102, 101]
    assert pmids(limit=2) == [105, 104]
    assert pmids(from_year=2003, to_year=2010) == [104, 103, 102, 102]
    assert pmids(section="methods") == [103]
    assert pmids(publication_type="Case Reports") == [104, 101]
    outcome = ask("search", "aspirin", "--since", "2000")
    assert (outcome.status, outcome.stdout) == (0, "")
    assert "no sentence matches 'aspirin' under these filters" in outcome.stderr


def test_a_query_without_a_word_is_a_usage_error(ask: Comention, filled: tuple[str, Database]) -> None:
    outcome = ask("search", "the of")
    assert outcome.status == 2
    assert "no word of 'the of' can be searched for" in outcome.stderr
    with pytest.raises(ValueError, match="can be searched for"):
        search_sentences(filled[1], "")


def test_marks_hold_in_sentences_that_look_like_markup(database: Database) -> None:

    sentence = "At p < 0.05 & TNF-α<b>clozapine</b>-induced 😀 nausea > rash, see https://a.org/clozapine."
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, [citation(1, [sentence])])
    index_sentences(database)
    [found] = search_sentences(database, "nausea clozapine")
    assert found.text == sentence
    assert [found.text[start:end] for start, end in found.spans] == ["clozapine", "nausea"]


def test_what_search_does_not_find_yet_is_said_and_maintained(comention: Comention, database: Database) -> None:

    assert "the database is empty" in comention("search", "clozapine").stderr
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, [citation(1), citation(2)])
    assert comention("status", "--json").document["unindexed"] == 2
    assert "2 citations are not found by full-text search yet" in comention("status").stdout
    outcome = comention("search", "clozapine")
    assert "no sentence matches 'clozapine'" in outcome.stderr
    assert "2 citations are not searched yet: run `comention db maintain`" in outcome.stderr
    assert comention("db", "maintain", "--json").document == {"folded": 0, "indexed": 2, "unindexed": 0}
    assert "full-text search finds every citation" in comention("status").stdout
    assert len(comention("search", "clozapine", "--json").document["sentences"]) == 2


def test_maintenance_folds_what_stands_beside_the_counts(ask: Comention, filled: tuple[str, Database]) -> None:
    before = ask("top", "--json").document
    with filled[1].transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO comention.cooccurrence_delta "
                "(annotator_id, drug_id, condition_id, first_year, last_year, sentence_count, citation_count) "
                "SELECT annotator_id, drug_id, condition_id, first_year, first_year, sign, sign "
                "FROM comention.cooccurrence_total "
                "CROSS JOIN (VALUES (1), (-1)) v (sign) WHERE drug_id > 0 AND condition_id > 0"
            )
        )
        waiting = connection.execute(text("SELECT count(*) FROM comention.cooccurrence_delta")).scalar_one()
    outcome = ask("db", "maintain")
    assert outcome.stdout == (
        f"{waiting:,} changes folded into the counts, 0 citations made known to full-text search, none left\n"
    )
    assert ask("top", "--json").document == before


def test_a_sample_of_the_counts_is_verified(ask: Comention, filled: tuple[str, Database]) -> None:
    outcome = ask("verify", "--sample", "3")
    assert (outcome.status, outcome.stdout) == (0, "every count of the sample agrees with a recount\n")
    change = "UPDATE comention.cooccurrence_total SET citation_count = citation_count {} 1 WHERE drug_id > 0"
    with filled[1].transaction() as connection:
        connection.execute(text(change.format("+")))
    try:
        outcome = ask("verify", "--sample", "1")
        assert outcome.status == 1
        assert "counts differ" in outcome.stdout
        assert len({cell.drug_id for cell in find_drift(filled[1], sample=1)}) == 1
    finally:
        with filled[1].transaction() as connection:
            connection.execute(text(change.format("-")))
