"""Full-text search finds what a scan of all sentences finds, in every order of blocks, pages and filters."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from storage.citations import save_citations
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.precedence import ReadCitation
from storage.runs import open_run
from storage.search import index_sentences
from tests.builders import citation

WORDS = [
    "clozapine", "the", "of", "patients", "patient", "treated", "treatment", "with", "rash", "rashes", "lithium", "dose",
    "dose-related", "0.5", "mg", "cancer", "history", "not", "or", "β-blocker", "naïve", "IL-2", "it's", "COVID-19",
    "#7", "a:b", "x&y", "http://example.org/a", "NEJM", "nausea",
]  # fmt: skip
"""The first are frequent; stop words, inflections of one stem and what the parser takes apart are among them."""

YEARS = (None, 1990, 2005, 2021)
HIGHEST = 42_000_000


def draw_sentence(chance: random.Random) -> str:
    size = chance.randint(1, 12)
    return " ".join(WORDS[int(len(WORDS) ** chance.random()) - 1] for _ in range(size)) + "."


def made_citations() -> list[ReadCitation]:
    """Some side by side, some over the whole range of PMIDs, so that blocks of all sizes are read."""
    chance = random.Random(3)
    pmids = {*chance.sample(range(3_000_000, 3_040_000), 500), *chance.sample(range(1, HIGHEST), 500)}
    return [
        citation(
            pmid,
            [draw_sentence(chance) for _ in range(chance.randint(1, 4))],
            year=chance.choice(YEARS),
            retracted=chance.random() < 0.1,
        )
        for pmid in sorted(pmids, key=lambda _: chance.random())
    ]


def save(database: Database, items: list[ReadCitation]) -> None:
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


@pytest.fixture(scope="module")
def corpus(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    database = Database(parse_url(postgres.create_database("search", template=template), connect_timeout=10))
    save(database, made_citations())
    index_sentences(database)
    yield database
    database.close()
    postgres.drop_database("search")


def rows(database: Database, statement: str, /, **values: object) -> list[Any]:
    with database.transaction() as connection:
        return list(connection.execute(text(statement), values).all())


words = st.sampled_from(WORDS)
phrases = st.lists(words, min_size=1, max_size=3).map(lambda some: f'"{" ".join(some)}"')
terms = st.one_of(words, phrases, words.map("-{}".format), phrases.map("-{}".format), st.just("or"))
queries = st.lists(terms, min_size=1, max_size=4).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(
    query=queries,
    limit=st.sampled_from([1, 3, 20, 500]),
    before=st.one_of(st.none(), st.integers(3_000_000, 3_040_000), st.integers(1, HIGHEST)),
    ordinal=st.integers(0, 4),
    years=st.one_of(st.just((None, None)), st.tuples(st.sampled_from(YEARS), st.sampled_from(YEARS))),
    section=st.sampled_from([None, None, "title", "results"]),
    kind=st.sampled_from([None, None, "Review"]),
)
def test_search_finds_what_a_scan_finds(
    corpus: Database,
    query: str,
    limit: int,
    before: int | None,
    ordinal: int,
    years: tuple[int | None, int | None],
    section: str | None,
    kind: str | None,
) -> None:
    values = {
        "query": query,
        "limit": limit,
        "before": None if before is None else before * 100_000 + ordinal,
        "first": years[0],
        "last": years[1],
        "section": section,
        "kind": kind,
    }
    expected = rows(
        corpus,
        "SELECT s.sentence_id, s.pmid, s.text, s.section, extract(year FROM c.published_on)::integer, c.retracted "
        "FROM analysis.sentence s JOIN comention.citation c USING (pmid) "
        "WHERE to_tsvector('english', s.text) @@ websearch_to_tsquery('english', :query) "
        "AND numnode(websearch_to_tsquery('english', :query)) > 0 "
        "AND (CAST(:before AS bigint) IS NULL OR s.sentence_id < :before) "
        "AND (CAST(:first AS integer) IS NULL OR extract(year FROM c.published_on) >= :first) "
        "AND (CAST(:last AS integer) IS NULL OR extract(year FROM c.published_on) <= :last) "
        "AND (CAST(:section AS text) IS NULL OR upper(:section) IN (upper(s.section), s.section_category)) "
        "AND (CAST(:kind AS text) IS NULL OR :kind = ANY (c.publication_types)) "
        "ORDER BY s.sentence_id DESC LIMIT :limit",
        **values,
    )
    found = rows(
        corpus,
        "SELECT sentence_id, pmid, text, section_label, year, retracted FROM analysis.search_sentences("
        ":query, :limit, CAST(:first AS integer), CAST(:last AS integer), :section, :kind, CAST(:before AS bigint))",
        **values,
    )
    assert found == expected


@settings(max_examples=200, deadline=None)
@given(
    said=st.lists(
        st.sampled_from([*WORDS, "O'Brien", "'", "''", "a\\b", "\\", "rock'n'roll", "x|y", "!z", "(p)"]), max_size=12
    ),
    first=st.integers(0, 11),
    size=st.integers(1, 6),
)
def test_what_the_index_tells_of_a_phrase_is_true_of_every_match(
    corpus: Database, said: list[str], first: int, size: int
) -> None:
    (row,) = rows(
        corpus,
        "SELECT d @@ w AS found, p.pairs, p.words IS NULL OR d @@ p.words AS words, "
        "comention.word_pairs(d) @> p.pairs AS beside "
        "FROM to_tsvector('english', :text) d, websearch_to_tsquery('english', :query) w, comention.read_phrases(w) p",
        text=" ".join(said),
        query=f'"{" ".join(said[first : first + size])}"',
    )
    assert row.pairs is None or not row.found or (row.words and row.beside)


@pytest.mark.parametrize(
    ("query", "pairs", "words"),
    [
        ('"treated patients"', [("treat", "patient")], None),
        ('nausea "lithium dose" "dose-related rash"',
         [("lithium", "dose"), ("dose-rel", "dose"), ("dose", "relat"), ("relat", "rash")], "'nausea'"),
        ('"a\\b O\'Brien lithium" rash', [("b", "o"), ("o", "brien"), ("brien", "lithium")], "'rash'"),
        ('"history of lithium dose"', [("lithium", "dose")], "'histori'"),
        ('"history of cancer"', None, None),  # with a stop word between them, they do not stand side by side
        ("lithium dose", None, None),
        ('"lithium dose" or rash', None, None),
        ('"lithium dose" -rash', None, None),
        ('-"lithium dose"', None, None),
        ("", None, None),
    ],
)  # fmt: skip
def test_phrases_are_read_as_pairs_of_words_and_the_other_words(
    database: Database, query: str, pairs: list[tuple[str, str]] | None, words: str | None
) -> None:
    ((numbers, plain),) = rows(
        database,
        "SELECT p.pairs, p.words::text FROM comention.read_phrases(websearch_to_tsquery('english', :query)) p",
        query=query,
    )
    expected = pairs and {
        rows(database, "SELECT comention.word_pair(:one, :two)", one=one, two=two)[0][0] for one, two in pairs
    }
    assert (numbers and set(numbers), plain) == (expected, words)


def test_pages_of_search_lie_side_by_side(corpus: Database) -> None:
    every = rows(
        corpus,
        "SELECT sentence_id FROM analysis.sentence WHERE to_tsvector('english', text) @@ to_tsquery('english', 'nausea') "
        "ORDER BY 1 DESC",
    )
    before, pages = None, []
    while page := rows(
        corpus,
        "SELECT sentence_id FROM analysis.search_sentences('nausea', 2, before_sentence_id => :before)",
        before=before,
    ):
        pages += page
        before = page[-1].sentence_id
    assert pages == every


def test_search_knows_the_words_that_stand_in_the_citation_whoever_writes(database: Database) -> None:
    save(database, [citation(7, ["Lithium was given."])])
    rows(database, "DELETE FROM comention.unindexed_citation RETURNING pmid")
    rows(
        database,
        "INSERT INTO comention.sentence_text VALUES (7, 1, to_tsvector('english', 'Something else.')) RETURNING pmid",
    )
    rows(database, "UPDATE comention.sentence_text SET document = to_tsvector('english', 'Other.') RETURNING pmid")
    assert rows(database, "SELECT document::text FROM comention.sentence_text") == [("'given':3 'lithium':1",)]


def test_revised_sentences_are_found_by_their_new_words_only(database: Database) -> None:
    save(database, [citation(7, ["Lithium was given."])])
    index_sentences(database)
    save(database, [citation(7, ["Clozapine was given."], revised_on=dt.date(2030, 1, 1))])
    index_sentences(database)
    assert rows(database, "SELECT pmid FROM analysis.search_sentences('lithium')") == []
    assert rows(database, "SELECT pmid FROM analysis.search_sentences('\"clozapine was given\"')") == [(7,)]
