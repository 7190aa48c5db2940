"""What analysts rely on: the views, their comments, their statistics and their rights."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from comention.errors import DatabaseError
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.names import NameTable
from storage.queries import get_status, list_evidence, list_pairs, suggest_names
from storage.runs import open_run
from tests.analyst_database import analyst_database
from tests.builders import citation
from tests.plugins.lexicon_annotator import LexiconAnnotator


@pytest.fixture
def filled(database: Database) -> Database:
    annotator = LexiconAnnotator()
    items = [
        citation(
            1, ["Clozapine caused agranulocytosis.", "Clozapine again, and clozapine: agranulocytosis."], year=2001
        ),
        citation(2, ["Lithium and clozapine, tremor."], year=2010),
        citation(3, ["After clozapine agranulocytosis."], year=None),
        citation(4, ["Clozapine caused agranulocytosis."], retracted=True),
    ]
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)
    annotator_id = register_annotator(database, annotator.info)
    done = [
        AnnotatedCitation(pending=item, results=tuple(annotator.annotate(item.sentences)))
        for item in list_pending(database, annotator_id)
    ]
    save_annotations(database, annotator_id, NameTable(database), done)
    return database


def test_every_view_column_and_function_carries_a_comment(database: Database) -> None:
    with database.transaction() as connection:
        silent = connection.execute(
            text(
                """
                SELECT c.relname || '.' || a.attname FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
                WHERE c.relnamespace = 'analysis'::regnamespace AND col_description(c.oid, a.attnum) IS NULL
                UNION ALL
                SELECT relname FROM pg_class
                WHERE relnamespace = 'analysis'::regnamespace AND obj_description(oid, 'pg_class') IS NULL
                UNION ALL
                SELECT proname FROM pg_proc
                WHERE pronamespace = 'analysis'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
                """
            )
        ).scalars()
        assert list(silent) == []


def test_the_pairs_of_a_drug_come_with_counts_and_years(filled: Database) -> None:
    pairs = list_pairs(filled, drug="CLOZAPINE")
    assert [(p.condition, p.sentence_count, p.citation_count, p.first_year, p.last_year) for p in pairs] == [
        ("agranulocytosis", 3, 2, 2001, 2001),
        ("tremor", 1, 1, 2010, 2010),
    ]
    assert [p.drug for p in list_pairs(filled, condition="tremors")] == ["clozapine", "lithium"]
    assert list_pairs(filled, drug="aspirin") == []


def test_association_counts_sentences_of_citations_that_are_not_retracted(filled: Database) -> None:
    pair = list_pairs(filled, drug="clozapine", condition="agranulocytosis")[0]
    # 7 sentences in three citations; clozapine in 4 of them, agranulocytosis in 3, both in 3.
    assert pair.expected_sentence_count == pytest.approx(4 * 3 / 7)
    assert pair.npmi == pytest.approx(math.log(3 * 7 / (4 * 3)) / -math.log(3 / 7))


def test_evidence_has_every_span_and_the_newest_first(filled: Database) -> None:
    evidence = list_evidence(filled, "clozapine", "agranulocytosis")
    assert [item.pmid for item in evidence] == [3, 1, 1]
    repeated = next(item for item in evidence if "again" in item.text)
    assert [repeated.text[a:b] for a, b in repeated.drug_spans] == ["Clozapine", "clozapine"]
    assert [repeated.text[a:b] for a, b in repeated.condition_spans] == ["agranulocytosis"]


def test_mention_text_is_the_slice_of_its_sentence_and_of_its_citation(filled: Database) -> None:
    with filled.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT count(*) AS mentions,
                       count(*) FILTER (WHERE m.text <> substr(s.text, m.start_char + 1, m.end_char - m.start_char)
                           OR m.text <> substr(c.title || E'\\n' || c.abstract, s.start_char + m.start_char + 1,
                                               m.end_char - m.start_char)) AS wrong
                FROM analysis.mention m
                JOIN analysis.sentence s USING (sentence_id)
                JOIN analysis.citation c ON c.pmid = m.pmid
                """
            )
        ).one()
    assert (rows.mentions, rows.wrong) == (12, 0)


def test_similar_names_are_suggested(filled: Database) -> None:
    assert suggest_names(filled, "Drug", "clozapin") == ["clozapine"]
    assert suggest_names(filled, "Condition", "clozapin") == []


def test_status_counts_what_is_there(filled: Database) -> None:
    status = get_status(filled)
    assert (status.citations, status.retracted, status.pairs) == (4, 1, 3)
    assert [(one.name, one.done, one.owed, one.mentions) for one in status.annotators] == [("lexicon", 4, 0, 12)]


@pytest.fixture(scope="module")
def statistics(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    database = Database(parse_url(postgres.create_database("statistics", template=template), connect_timeout=10))
    yield database
    database.close()
    postgres.drop_database("statistics")


def tables(n_pair: int, drug_only: int, condition_only: int, neither: int) -> dict[str, int]:
    return {
        "pair": n_pair,
        "drug": n_pair + drug_only,
        "condition": n_pair + condition_only,
        "n": n_pair + drug_only + condition_only + neither,
    }


@given(st.builds(tables, st.integers(0, 10**4), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(1, 10**7)))
def test_statistics_agree_with_their_formulas(statistics: Database, table: dict[str, int]) -> None:
    with statistics.transaction() as connection:
        npmi, g2 = connection.execute(
            text(
                "SELECT analysis.npmi(:pair, :drug, :condition, :n), "
                "analysis.log_likelihood_ratio(:pair, :drug, :condition, :n)"
            ),
            table,
        ).one()
    pair, drug, condition, n = table["pair"], table["drug"], table["condition"], table["n"]
    if pair == 0:
        assert npmi == -1
    else:
        joint = pair / n
        assert npmi == pytest.approx(math.log(joint / (drug / n * condition / n)) / -math.log(joint), abs=1e-9)
    observed = [[pair, drug - pair], [condition - pair, n - drug - condition + pair]]
    rows, columns = [drug, n - drug], [condition, n - condition]
    expected_g2 = 2 * sum(
        observed[i][j] * math.log(observed[i][j] * n / (rows[i] * columns[j]))
        for i in (0, 1)
        for j in (0, 1)
        if observed[i][j]
    )
    assert g2 == pytest.approx(max(0, expected_g2), abs=1e-4, rel=1e-6)


def test_statistics_of_nothing_are_null(statistics: Database) -> None:
    with statistics.transaction() as connection:
        row = connection.execute(
            text(
                "SELECT analysis.npmi(NULL, 1, 1, 1), analysis.npmi(1, 1, 1, 0), analysis.log_likelihood_ratio(1, 1, 1, NULL)"
            )
        ).one()
    assert tuple(row) == (None, None, None)


@pytest.fixture(scope="module")
def asked(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A filled database, for questions that change nothing."""
    with analyst_database(postgres, template, "rights") as (_, database):
        yield database


def as_analyst(database: Database, statement: str) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL ROLE analyst"))
        return [tuple(row) for row in connection.execute(text(statement))]


def list_names(database: Database, statement: str) -> list[str]:
    with database.transaction() as connection:
        return list(connection.execute(text(statement)).scalars())


def refusal(database: Database, statement: str) -> str:
    """What Postgres says to an analyst who tries it, or that it was allowed."""
    try:
        as_analyst(database, statement)
    except DatabaseError as error:
        return str(error)
    return "allowed"


RELATIONS = (
    "SELECT c.relname FROM pg_class c WHERE c.relnamespace = '{}'::regnamespace AND c.relkind IN ({}) ORDER BY 1"
)


def test_an_analyst_reads_every_view(asked: Database) -> None:
    views = list_names(asked, RELATIONS.format("analysis", "'r', 'v', 'm', 'p'"))
    assert len(views) >= 17
    empty = [view for view in views if not as_analyst(asked, f"SELECT * FROM analysis.{view}")]
    # No run has left a record out, no worker works here, nobody has reported anything; ticks and runs there are.
    assert empty == ["ingest_exception", "job", "mention_report", "quarantine", "worker"]


ARGUMENTS = {
    "top_conditions": "'lithium'",
    "top_drugs": "'tremor'",
    "top_pairs": "",
    "pair": "'lithium', 'tremor'",
    "evidence": "'lithium', 'tremor'",
    "search_sentences": "'lithium'",
    "search_backlog": "",
    "suggest": "'lith'",
    "concepts": "'Drug', '{lithium}'",
    "cooccurrence_asof": "now()",
    "cooccurrence_changes": "'lithium', 'tremor'",
    "normalise_name": "'Tremors'",
    "partner_years": "'Drug', 'lithium', '{tremor}'",
    "promoted_annotator": "",
    "cooccurrence_weight": "1, 1",
    "cooccurrence_score": "1, 1, 1, 1",
    "agreement": "1, 2",
    "differing_sentences": "1, 2",
    "lowest_read_by_both": "1, 2, 1",
    "report_mention": "0, 1, 'Drug', 0, 1, 'not a mention'",
}
"""Statistics take four counts; these functions take other arguments."""


def test_an_analyst_calls_every_function(asked: Database) -> None:
    functions = list_names(
        asked, "SELECT proname FROM pg_proc WHERE pronamespace = 'analysis'::regnamespace ORDER BY 1"
    )
    assert set(ARGUMENTS) <= set(functions)
    answers = {
        name: as_analyst(asked, f"SELECT * FROM analysis.{name}({ARGUMENTS.get(name, '2, 3, 4, 50')})")
        for name in functions
    }
    assert [name for name, rows in answers.items() if not rows] == []


def test_filtered_questions_are_an_analysts_too(asked: Database) -> None:
    assert as_analyst(asked, "SELECT * FROM analysis.top_conditions('lithium', from_year => 2000, to_year => 2010)")
    assert as_analyst(asked, "SELECT * FROM analysis.top_drugs('tremor', section => 'RESULTS')")
    assert as_analyst(asked, "SELECT * FROM analysis.cooccurrence_asof(now() - interval '7 days', 'lithium')")


def test_an_analyst_writes_to_no_view(asked: Database) -> None:
    for view in list_names(asked, RELATIONS.format("analysis", "'r', 'v', 'm', 'p'")):
        for statement in (
            f"INSERT INTO analysis.{view} DEFAULT VALUES",
            f"DELETE FROM analysis.{view}",
            f"TRUNCATE analysis.{view}",
            f"DROP VIEW analysis.{view}",
            f"COMMENT ON VIEW analysis.{view} IS 'mine'",
        ):
            said = refusal(asked, statement)
            assert "does not allow" in said or "cannot" in said or "not a table" in said, f"{statement}: {said}"
    allowed = list_names(
        asked,
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'analysis'::regnamespace AND ("
        "has_table_privilege('analyst', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') "
        "OR has_any_column_privilege('analyst', c.oid, 'INSERT, UPDATE, REFERENCES'))",
    )
    assert allowed == []


def test_an_analyst_sees_and_calls_nothing_private(asked: Database) -> None:
    private = list_names(asked, RELATIONS.format("comention", "'r', 'v', 'm', 'p', 'S'"))
    assert {"citation", "citation_mentions", "cooccurrence_total_part", "schema_version"} <= set(private)
    statements = [f"SELECT * FROM comention.{name}" for name in private]
    statements += [f"DELETE FROM comention.{name}" for name in private]
    functions = list_names(
        asked,
        "SELECT format('comention.%I(%s)', proname, (SELECT string_agg(format('NULL::%s', format_type(t, NULL)), ', ') "
        "FROM unnest(proargtypes) t)) FROM pg_proc WHERE pronamespace = 'comention'::regnamespace ORDER BY 1",
    )
    assert len(functions) > 20
    statements += [f"SELECT {call}" for call in functions]
    assert [one for one in statements if "does not allow" not in refusal(asked, one)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE analysis.mine (a integer)",
        "CREATE VIEW analysis.mine AS SELECT 1",
        "CREATE FUNCTION analysis.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE comention.mine (a integer)",
        "CREATE TABLE public.mine (a integer)",
        "CREATE SCHEMA mine",
        "DROP SCHEMA analysis CASCADE",
        "GRANT SELECT ON ALL TABLES IN SCHEMA comention TO analyst",
        "COPY analysis.citation TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
    ],
)
def test_an_analyst_creates_nothing_and_takes_no_right(asked: Database, statement: str) -> None:
    said = refusal(asked, statement)
    assert "does not allow" in said, said


def test_what_is_computed_at_once_is_what_the_functions_give(statistics: Database) -> None:
    """Every small table with its impossible neighbours, and large ones by chance: to the last bit."""
    measures = {
        "expected_sentence_count": "expected_count",
        **{
            name: name
            for name in (
                "npmi", "log_likelihood_ratio", "pmi", "signed_log_likelihood_ratio", "chi_square_yates",
                "odds_ratio", "odds_ratio_low", "odds_ratio_high", "proportional_reporting_ratio",
                "proportional_reporting_ratio_low", "proportional_reporting_ratio_high", "reporting_odds_ratio",
                "reporting_odds_ratio_low", "reporting_odds_ratio_high", "information_component",
                "information_component_low", "information_component_high",
            )
        },
    }  # fmt: skip
    differ = ", ".join(
        f"count(*) FILTER (WHERE a.{column} IS DISTINCT FROM analysis.{function}(v.x, v.r, v.k, v.n)) AS {column}"
        for column, function in measures.items()
    )
    with statistics.transaction() as connection:
        row = (
            connection.execute(
                text(
                    f"""
                SELECT count(*) AS tables, {differ}
                FROM (
                    SELECT (random() * s)::bigint AS x, (random() * 2 * s)::bigint AS r, (random() * 2 * s)::bigint AS k,
                           (random() * 4 * s)::bigint AS n
                    FROM generate_series(1, 3000), unnest(ARRAY[2, 50, 1000000]) s
                    UNION ALL
                    SELECT x, r, k, n FROM generate_series(-1, 3) x, generate_series(-1, 3) r, generate_series(-1, 3) k,
                                           generate_series(-1, 4) n
                    UNION ALL SELECT NULL, 1, 1, 2 UNION ALL SELECT 1, 2, 3, NULL
                ) v
                CROSS JOIN LATERAL comention.associate(
                    'd', 'c', v.x, v.x, 1, 2, v.r, v.k, v.n, v.r, v.k, v.n, v.r, v.k, v.n) a
                """
                )
            )
            .mappings()
            .one()
        )
    assert row["tables"] > 9_000
    assert {name: count for name, count in row.items() if name != "tables" and count} == {}
