"""The functions of the analyst schema agree with the views, at whatever mixture of folded counts and deltas."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from comention.types import DeletedCitation
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import promote_annotator, register_annotator
from storage.citations import delete_citations, save_citations
from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.linking import Link, LinkCounts, link_names
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.runs import open_run
from storage.search import count_unindexed, index_sentences
from tests.builders import citation
from tests.plugins.lexicon_annotator import CONDITIONS, DRUGS, LexiconAnnotator

FREQUENT = 400
"""Citations of one pair: so many that its evidence is read block by block."""


def store(database: Database, items: list[ReadCitation]) -> None:
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def annotate(database: Database, annotator: LexiconAnnotator) -> None:
    number, names = register_annotator(database, annotator.info), NameTable(database)
    while pending := list_pending(database, number, limit=500):
        done = [AnnotatedCitation(pending=p, results=tuple(annotator.annotate(p.sentences))) for p in pending]
        save_annotations(database, number, names, done)


def made_corpus() -> list[ReadCitation]:
    """Citations over the whole range of PMIDs: a frequent pair, and pairs by chance."""
    chance = random.Random(7)
    pmids = chance.sample(range(1, 42_000_000), FREQUENT + 300)
    items = [
        citation(
            pmid, ["Clozapine caused agranulocytosis.", "It was given."], year=chance.choice([None, 1990, 2005, 2021])
        )
        for pmid in pmids[:FREQUENT]
    ]
    for pmid in pmids[FREQUENT:]:
        sentences = [
            f"After {chance.choice(DRUGS)} and {chance.choice(DRUGS)}, {chance.choice(CONDITIONS)} in {chance.randint(2, 90)}."
            for _ in range(chance.randint(1, 3))
        ]
        items.append(
            citation(pmid, sentences, year=chance.choice([None, 1990, 2005, 2021]), retracted=chance.random() < 0.1)
        )
    chance.shuffle(items)
    return items


@pytest.fixture(scope="module")
def corpus(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """Half of the counts folded, half as deltas, and some moved since."""
    database = Database(parse_url(postgres.create_database("functions", template=template), connect_timeout=10))
    items = made_corpus()
    store(database, items[: len(items) // 2])
    annotate(database, LexiconAnnotator())
    fold_counts(database)
    store(database, items[len(items) // 2 :])
    annotate(database, LexiconAnnotator())
    index_sentences(database)
    yield database
    database.close()
    postgres.drop_database("functions")


def rows(database: Database, statement: str, /, **values: object) -> list[Any]:
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE analyst"))
        return list(connection.execute(text(statement), values).all())


@pytest.mark.parametrize("drug", DRUGS)
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_the_conditions_of_a_drug_are_the_first_of_all(corpus: Database, drug: str, limit: int) -> None:
    found = rows(corpus, "SELECT * FROM analysis.top_conditions(:drug, :limit)", drug=drug.upper(), limit=limit)
    every = rows(corpus, "SELECT * FROM analysis.cooccurrence WHERE drug = :drug", drug=drug)
    assert set(found) <= set(every)
    assert [row.citation_count for row in found] == sorted((row.citation_count for row in every), reverse=True)[:limit]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_drugs_of_a_condition_and_each_pair_are_those_of_the_view(corpus: Database, condition: str) -> None:
    found = rows(corpus, "SELECT * FROM analysis.top_drugs(:condition, 100)", condition=condition)
    every = rows(corpus, "SELECT * FROM analysis.cooccurrence WHERE condition = :condition", condition=condition)
    assert set(found) == set(every)
    for row in every:
        pair = rows(corpus, "SELECT * FROM analysis.pair(:drug, :condition)", drug=row.drug, condition=condition)
        assert pair == [row]


def test_the_pairs_of_all_are_ranked_over_folded_counts_and_deltas(corpus: Database) -> None:
    every = rows(corpus, "SELECT * FROM analysis.cooccurrence")
    assert set(rows(corpus, "SELECT * FROM analysis.top_pairs(1000)")) == set(every)
    best = sorted((row.citation_count for row in every), reverse=True)
    assert [row.citation_count for row in rows(corpus, "SELECT * FROM analysis.top_pairs(5)")] == best[:5]


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "deltas"])
def test_among_equals_names_decide_wherever_a_ranking_is_cut(database: Database, folded: bool) -> None:
    pairs = list(itertools.product(DRUGS, CONDITIONS))
    random.Random(3).shuffle(pairs)
    store(
        database,
        [citation(pmid, [f"After {drug}, {condition}."], year=2001) for pmid, (drug, condition) in enumerate(pairs, 1)],
    )
    annotate(database, LexiconAnnotator())
    if folded:
        fold_counts(database)
    for ranking, names in (
        (f"analysis.top_conditions('{DRUGS[0]}', :n)", sorted(CONDITIONS)),
        (f"analysis.top_drugs('{CONDITIONS[0]}', :n)", sorted(DRUGS)),
        (f"analysis.top_conditions('{DRUGS[0]}', :n, from_year => 2000)", sorted(CONDITIONS)),
        (f"analysis.top_drugs('{CONDITIONS[0]}', :n, min_score => 0)", sorted(DRUGS)),
        ("analysis.top_pairs(:n)", [f"{drug} {condition}" for drug, condition in sorted(pairs)]),
    ):
        for number in (None, *range(1, len(names) + 1)):
            found = [f"{row.drug} {row.condition}" for row in rows(database, f"SELECT * FROM {ranking}", n=number)]
            wanted = names[:number]
            assert [name for one, name in zip(found, wanted, strict=True) if name not in one] == [], ranking


def test_years_narrow_the_counts_and_what_they_are_compared_with(corpus: Database) -> None:
    found = rows(corpus, "SELECT * FROM analysis.top_conditions('clozapine', 100, from_year => 2000, to_year => 2010)")
    by_year = rows(corpus, "SELECT * FROM analysis.cooccurrence_year WHERE drug = 'clozapine' AND year = 2005")
    assert {(row.condition, row.sentence_count, row.citation_count) for row in found} == {
        (row.condition, row.sentence_count, row.citation_count) for row in by_year
    }
    mentioned = rows(
        corpus,
        "SELECT count(DISTINCT m.sentence_id) FROM analysis.mention m JOIN analysis.citation c USING (pmid) "
        "WHERE m.concept = 'clozapine' AND c.year = 2005 AND NOT c.retracted",
    )
    assert {row.drug_sentence_count for row in found} == {mentioned[0][0]}
    assert all(row.first_year == row.last_year == 2005 for row in found)
    pair = rows(corpus, "SELECT * FROM analysis.pair('clozapine', 'agranulocytosis', 2000, 2010)")
    assert pair == [row for row in found if row.condition == "agranulocytosis"]
    drugs = rows(corpus, "SELECT * FROM analysis.top_drugs('agranulocytosis', 100, from_year => 2000, to_year => 2010)")
    assert pair[0] in drugs


@pytest.mark.parametrize(
    ("label", "concepts", "partners"), [("Drug", DRUGS, CONDITIONS), ("Condition", CONDITIONS, DRUGS)]
)
def test_the_years_of_partners_are_those_of_the_view(
    corpus: Database, label: str, concepts: tuple[str, ...], partners: tuple[str, ...]
) -> None:
    of, other = ("drug", "condition") if label == "Drug" else ("condition", "drug")
    for concept in concepts:
        found = rows(
            corpus,
            "SELECT * FROM analysis.partner_years(:label, :concept, CAST(:partners AS text[]))",
            label=label,
            concept=concept.upper(),
            partners=list(partners[:5]),
        )
        every = rows(
            corpus,
            f"SELECT {other}, year, sentence_count, citation_count FROM analysis.cooccurrence_year "
            f"WHERE {of} = :concept AND {other} = ANY (CAST(:partners AS text[]))",
            concept=concept,
            partners=list(partners[:5]),
        )
        assert set(found) == set(every)
        assert every


@pytest.mark.parametrize("filters", ["section => 'TITLE'", "publication_type => 'Nothing'", "min_score => 1.1"])
def test_filters_that_nothing_passes_give_nothing(corpus: Database, filters: str) -> None:
    assert rows(corpus, f"SELECT * FROM analysis.top_conditions('clozapine', {filters})") == []
    assert rows(corpus, f"SELECT * FROM analysis.evidence('clozapine', 'agranulocytosis', {filters})") == []


def test_a_filter_of_mentions_counts_as_the_totals_do_where_all_pass(corpus: Database) -> None:
    found = rows(corpus, "SELECT * FROM analysis.top_conditions('clozapine', 100, min_score => 0)")
    every = rows(corpus, "SELECT * FROM analysis.top_conditions('clozapine', 100)")
    assert [row[:4] for row in found] == [row[:4] for row in every]
    assert all(row.npmi is None for row in found)


@pytest.fixture
def many_names(request: pytest.FixtureRequest, corpus: Database) -> Iterator[None]:
    """So many more spellings of clozapine that the index cannot be asked for all pairs of them."""
    if not request.param:
        yield
        return
    with corpus.transaction() as connection:
        added = connection.exec_driver_sql(
            "INSERT INTO comention.name (label_id, text, concept_id) SELECT c.label_id, 'spelling ' || n, c.id "
            "FROM comention.concept c, generate_series(1, 300) n WHERE c.key = 'clozapine'"
        )
        assert added.rowcount == 300
    yield
    with corpus.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM comention.name WHERE text LIKE 'spelling %%'")


@pytest.mark.parametrize("many_names", [False, True], indirect=True)
@pytest.mark.parametrize(("drug", "condition"), [("clozapine", "agranulocytosis"), (DRUGS[1], CONDITIONS[2])])
def test_evidence_comes_in_pages_highest_first_and_is_all_that_there_is(
    corpus: Database, many_names: None, drug: str, condition: str
) -> None:
    every = rows(
        corpus,
        "SELECT sentence_id, pmid, text, array_agg(DISTINCT drug_start_char ORDER BY drug_start_char) AS drug_starts, "
        "array_agg(DISTINCT condition_end_char ORDER BY condition_end_char) AS condition_ends FROM analysis.evidence "
        "WHERE drug = :drug AND condition = :condition GROUP BY 1, 2, 3 ORDER BY 1 DESC",
        drug=drug,
        condition=condition,
    )
    assert every
    pages: list[Any] = []
    before = None
    while page := rows(
        corpus,
        "SELECT sentence_id, pmid, text, drug_starts, condition_ends FROM "
        "analysis.evidence(:drug, :condition, 37, before_sentence_id => :before)",
        drug=drug,
        condition=condition,
        before=before,
    ):
        pages += page
        before = page[-1].sentence_id
    assert pages == every


def test_evidence_of_some_years_is_that_of_the_view(corpus: Database) -> None:
    found = rows(corpus, "SELECT * FROM analysis.evidence('clozapine', 'agranulocytosis', 1000, 2000, 2010)")
    every = rows(
        corpus,
        "SELECT DISTINCT sentence_id FROM analysis.evidence "
        "WHERE drug = 'clozapine' AND condition = 'agranulocytosis' AND year = 2005",
    )
    assert {row.sentence_id for row in found} == {row.sentence_id for row in every}
    assert all(row.text[row.drug_starts[0] : row.drug_ends[0]] == "Clozapine" for row in found if row.text[0] == "C")


@pytest.mark.parametrize(
    "query", ["agranulocytosis", "clozapine agranulocytosis", '"was given"', "given -clozapine", "lithium or zzz"]
)
def test_search_finds_what_a_scan_of_all_sentences_finds(corpus: Database, query: str) -> None:
    every = rows(
        corpus,
        "SELECT sentence_id FROM analysis.sentence "
        "WHERE to_tsvector('english', text) @@ websearch_to_tsquery('english', :query) ORDER BY sentence_id DESC",
        query=query,
    )
    assert every
    assert [
        row.sentence_id for row in rows(corpus, "SELECT * FROM analysis.search_sentences(:query, 20)", query=query)
    ] == [row.sentence_id for row in every[:20]]
    after = every[min(25, len(every) - 1)].sentence_id
    rest = rows(
        corpus,
        "SELECT * FROM analysis.search_sentences(:query, 1000, before_sentence_id => :after)",
        query=query,
        after=after,
    )
    assert [row.sentence_id for row in rest] == [row.sentence_id for row in every if row.sentence_id < after]


@pytest.mark.parametrize("query", ["", "the", "  ", "''", "&|!", "a:*b"])
def test_search_takes_whatever_is_typed(corpus: Database, query: str) -> None:
    rows(corpus, "SELECT * FROM analysis.search_sentences(:query)", query=query)


def test_search_follows_revisions_and_says_what_waits(database: Database) -> None:
    store(database, [citation(1), citation(2)])
    assert count_unindexed(database) == 2
    assert index_sentences(database, at_most=1) == 1
    assert [row.pmid for row in rows(database, "SELECT * FROM analysis.search_sentences('clozapine')")] == [2]
    assert index_sentences(database) == 1
    store(database, [citation(2, ["Lithium was given."], revised_on=dt.date(2030, 1, 1))])
    assert [row.pmid for row in rows(database, "SELECT * FROM analysis.search_sentences('clozapine')")] == [1]
    index_sentences(database)
    assert [row.pmid for row in rows(database, "SELECT * FROM analysis.search_sentences('lithium')")] == [2]
    assert count_unindexed(database) == 0


@pytest.mark.parametrize(
    "typed", ["c", "cl", "CLOZ", "clozapine", "clozapin", "Clozapinne", "%", "_", "\\", "zzzz", ""]
)
def test_suggestions_begin_with_what_was_typed_or_resemble_it(corpus: Database, typed: str) -> None:
    found = rows(corpus, "SELECT * FROM analysis.suggest(:typed, 5)", typed=typed)
    if typed.lower().startswith("cl"):
        assert (found[0].label, found[0].concept) == ("Drug", "clozapine")
        assert found[0].citation_count >= FREQUENT
    if len(typed) > 1 and typed.lower() in "clozapine":
        assert all(row.name.startswith(typed.lower()) for row in found[:1])
    if typed in ("%", "_", "\\", "zzzz", ""):
        assert found == []
    assert len({(row.label, row.concept) for row in found}) == len(found)


def test_names_that_a_terminology_knows_meet_in_its_concept(database: Database) -> None:
    store(database, [citation(1, ["Clozapine caused rash."]), citation(2, ["Lithium caused rash."])])
    annotate(database, LexiconAnnotator())
    links = [
        Link(name="Clozapine", curie="mesh:D1", preferred_name="Clozapine"),
        Link(name="lithium", curie="mesh:D1"),
        Link(name="Leponex", curie="mesh:D1"),
    ]
    assert link_names(database, "Drug", links) == LinkCounts(new=1, linked=2)
    assert link_names(database, "Drug", links) == LinkCounts(unchanged=3)
    for name in ("LEPONEX", "mesh:D1", "lithium"):
        found = rows(database, "SELECT * FROM analysis.top_conditions(:name)", name=name)
        assert [(row.drug, row.condition, row.citation_count) for row in found] == [("mesh:D1", "rash", 2)]
    assert [row.pmid for row in rows(database, "SELECT * FROM analysis.evidence('leponex', 'rash')")] == [2, 1]
    assert rows(database, "SELECT concept, preferred_name, names, citation_count FROM analysis.drug") == [
        ("mesh:D1", "Clozapine", ["clozapine", "leponex", "lithium"], 2)
    ]
    assert rows(database, "SELECT concept, preferred_name FROM analysis.suggest('lepo')") == [("mesh:D1", "Clozapine")]
    changes = rows(database, "SELECT reason, citation_delta FROM analysis.cooccurrence_changes('mesh:D1', 'rash')")
    assert changes == [("re-linking", 1), ("re-linking", 1)]


class Hasty(LexiconAnnotator):
    """Finds drugs only."""

    def annotate(self, sentences: Any) -> Any:
        """Leave the conditions out."""
        return [
            replace(result, mentions=tuple(m for m in result.mentions if m.label == "Drug"))
            for result in super().annotate(sentences)
        ]


def test_two_annotators_are_compared_and_a_promotion_is_noted(database: Database) -> None:
    store(database, [citation(1, ["Clozapine caused rash."]), citation(2, ["Lithium caused rash and tremor."])])
    annotate(database, LexiconAnnotator())
    hasty = Hasty(name="hasty")
    annotate(database, hasty)
    agreement = "SELECT annotator_a, annotator_b, label, agreeing, only_a, only_b FROM analysis.annotator_agreement"
    assert set(rows(database, agreement)) == {
        ("lexicon", "hasty", "Condition", 0, 3, 0),
        ("lexicon", "hasty", "Drug", 2, 0, 0),
    }
    assert {row.annotator for row in rows(database, "SELECT * FROM analysis.annotator_mention")} == {"lexicon", "hasty"}
    promote_annotator(database, register_annotator(database, hasty.info))
    assert [row.annotator for row in rows(database, "SELECT * FROM analysis.promotion ORDER BY promoted_at")] == [
        "lexicon",
        "hasty",
    ]
    assert rows(database, "SELECT * FROM analysis.cooccurrence") == []


def test_coverage_and_retractions_say_what_became_of_every_citation(database: Database) -> None:
    store(
        database,
        [citation(1, ["Clozapine caused rash."]), citation(2, ["Clozapine caused rash."]), citation(3), citation(4)],
    )
    annotate(database, LexiconAnnotator())
    store(
        database,
        [
            citation(2, ["Clozapine caused rash."], retracted=True, revised_on=dt.date(2030, 1, 1)),
            citation(3, ["Something else."], revised_on=dt.date(2030, 1, 1)),
            citation(5),
        ],
    )
    with open_run(database, kind="file", source="d", source_key="d") as run, database.transaction() as connection:
        delete_citations(connection, run.source_key, [DeletedCitation(pmid=4)])
    assert [row[:3] for row in rows(database, "SELECT pmid, state, reason FROM analysis.coverage ORDER BY pmid")] == [
        (1, "annotated", None),
        (2, "annotated", None),
        (3, "stored", "not annotated yet"),
        (4, "withdrawn", "PubMed has withdrawn it (DeleteCitation)"),
        (5, "stored", "not annotated yet"),
    ]
    impact = rows(
        database,
        "SELECT drug, condition, pmid, lost_sentence_count, sentence_count, citation_count, counted_until IS NOT NULL "
        "FROM analysis.retraction_impact",
    )
    assert impact == [("clozapine", "rash", 2, 1, 1, 1, True)]
    changes = rows(
        database, "SELECT pmid, reason, citation_delta FROM analysis.cooccurrence_changes('clozapine', 'rash')"
    )
    assert [tuple(row) for row in changes] == [(2, "retraction", -1), (1, "new citation", 1), (2, "new citation", 1)]


def test_what_runs_as_its_owner_has_a_path_of_its_own(corpus: Database) -> None:
    """A function with its owner's rights that looks names up on the caller's path does what the caller likes."""
    with corpus.transaction() as connection:
        loose = connection.execute(
            text(
                "SELECT p.proname FROM pg_proc p WHERE p.prosecdef "
                "AND p.pronamespace::regnamespace::text IN ('analysis', 'comention') "
                "AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%')"
            )
        ).scalars()
        assert list(loose) == []


def test_evidence_reads_no_deltas_but_its_own(database: Database) -> None:
    """One session keeps its plans: made while there are no deltas, they must do while others write thousands."""
    store(database, [citation(1)])
    annotate(database, LexiconAnnotator())
    fold_counts(database)
    with database.autocommit() as connection:
        connection.execute(text("VACUUM (ANALYZE) comention.cooccurrence_delta"))
    asked = text("SELECT pmid FROM analysis.evidence('clozapine', 'agranulocytosis')")
    read = text(
        "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_xact_user_tables "
        "WHERE relid = 'comention.cooccurrence_delta'::regclass"
    )
    with database.transaction() as connection:
        assert connection.execute(asked).scalar_one() == 1
        connection.execute(
            text(
                "INSERT INTO comention.cooccurrence_delta "
                "(annotator_id, drug_id, condition_id, sentence_count, citation_count) SELECT a.id, 1000 + n, 9000 + n, 1, 1 "
                "FROM comention.annotator a, generate_series(1, 5000) n WHERE a.promoted"
            )
        )
        before = connection.execute(read).scalar_one()
        assert connection.execute(asked).scalar_one() == 1
        assert connection.execute(read).scalar_one() - before < 100
        connection.rollback()
