"""The statistics in SQL are what scipy, statsmodels and the publications say, and never an error, infinite or NaN."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.stats.contingency import odds_ratio
from sqlalchemy import text
from statsmodels.stats.contingency_tables import Table2x2

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.conftest import ROOT

Table = tuple[int | None, int | None, int | None, int | None]

PREDICATES = ["is_two_by_two", "has_comparison"]
RATIOS = [
    "odds_ratio",
    "odds_ratio_low",
    "odds_ratio_high",
    "log_odds_ratio_error",
    "reporting_odds_ratio",
    "reporting_odds_ratio_low",
    "reporting_odds_ratio_high",
    "proportional_reporting_ratio",
    "proportional_reporting_ratio_low",
    "proportional_reporting_ratio_high",
    "log_proportional_reporting_ratio_error",
]
MEASURES = [
    "expected_count",
    "pmi",
    "npmi",
    "log_likelihood_ratio",
    "signed_log_likelihood_ratio",
    "chi_square_yates",
    *RATIOS,
    "information_component",
    "information_component_low",
    "information_component_high",
]
PAGE = ROOT / "docs" / "statistics.md"


@pytest.fixture(scope="module")
def statistics(postgres: EmbeddedPostgres, template: str) -> Iterator[Database]:
    """A migrated database; the functions are loaded from their file where no migration has done so."""
    database = Database(parse_url(postgres.create_database("statistics_sql", template=template), connect_timeout=10))
    with database.transaction() as connection:
        there = connection.execute(
            text("SELECT count(*) FROM pg_proc WHERE oid = to_regproc('analysis.information_component')")
        ).scalar_one()
        if not there:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute((ROOT / "migrations" / "sql" / "0003" / "statistics.sql").read_text(encoding="utf-8"))
    yield database
    database.close()
    postgres.drop_database("statistics_sql")


def compute(database: Database, tables: Sequence[Table], names: Sequence[str] = MEASURES) -> list[dict[str, Any]]:
    """Compute functions of every table in one query, in the order of the tables."""
    calls = ", ".join(f"analysis.{name}(p, d, c, n) AS {name}" for name in names)
    arrays = zip("pdcn", zip(*tables, strict=True), strict=True)
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                f"SELECT {calls} FROM unnest(CAST(:p AS bigint[]), CAST(:d AS bigint[]), CAST(:c AS bigint[]), "
                "CAST(:n AS bigint[])) WITH ORDINALITY AS t (p, d, c, n, i) ORDER BY i"
            ),
            {name: list(column) for name, column in arrays},
        ).mappings()
        return [dict(row) for row in rows]


def one(database: Database, *table: int | None) -> dict[str, Any]:
    n_pair, n_drug, n_condition, n = table
    return compute(database, [(n_pair, n_drug, n_condition, n)])[0]


def measured(
    database: Database, tables: Sequence[Table], names: Sequence[str] = MEASURES
) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Yield tables with their measures; a failure names the table last."""
    for table, found in zip(tables, compute(database, tables, names), strict=True):
        note(f"n_pair, n_drug, n_condition, n = {table}")
        yield table, found


def cells(table: Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return [[a, b], [c, d]]."""
    n_pair, n_drug, n_condition, n = (int(count or 0) for count in table)
    return np.array(
        [[n_pair, n_drug - n_pair], [n_condition - n_pair, n - n_drug - n_condition + n_pair]], dtype=np.float64
    )


def of_cells(a: int, b: int, c: int, d: int) -> Table:
    return a, a + b, a + c, a + b + c + d


# Many tables a query, for speed. A batch that fails is not made smaller, which takes minutes: it notes its table.
many_tables = settings(phases=[Phase.explicit, Phase.reuse, Phase.generate], max_examples=60)

CELL = st.one_of(st.just(0), st.integers(0, 5), st.integers(0, 1000), st.integers(0, 10**7))
TABLES = st.builds(of_cells, CELL, CELL, CELL, CELL).filter(lambda table: bool(table[3]))
COMPARABLE = TABLES.filter(lambda table: bool(cells(table).sum(0).all() and cells(table).sum(1).all()))
BIGINT = st.one_of(st.integers(-3, 12), st.integers(-(2**63), 2**63 - 1))


def close(value: float, rel: float = 1e-9, least: float = 1e-9) -> Any:
    """Return what is equal up to a relative difference or, beside small values, the absolute one `least`."""
    return pytest.approx(value, rel=rel, abs=least)


@many_tables
@given(st.lists(COMPARABLE, min_size=1, max_size=40))
def test_tests_of_independence_agree_with_scipy(statistics: Database, tables: list[Table]) -> None:
    for table, found in measured(statistics, tables):
        observed = cells(table)
        yates = stats.chi2_contingency(observed, correction=True)
        g2 = stats.chi2_contingency(observed, correction=False, lambda_="log-likelihood")
        assert found["expected_count"] == close(yates.expected_freq[0, 0])
        assert found["chi_square_yates"] == close(yates.statistic, least=1e-6, rel=1e-6)
        assert found["log_likelihood_ratio"] == close(g2.statistic, least=1e-5)
        excess = observed[0, 0] - g2.expected_freq[0, 0]
        if abs(excess) > 1e-6:
            assert found["signed_log_likelihood_ratio"] == math.copysign(found["log_likelihood_ratio"], excess)


@many_tables
@given(st.lists(COMPARABLE, min_size=1, max_size=40))
def test_ratios_and_their_limits_agree_with_statsmodels(statistics: Database, tables: list[Table]) -> None:
    for table, found in measured(statistics, tables):
        observed = cells(table)
        # statsmodels's own correction is left out: it puts 0.5 in place of the zeros and adds it to no other cell.
        reference = Table2x2(observed if observed.all() else observed + 0.5, shift_zeros=False)
        low, high = reference.oddsratio_confint(0.05)
        assert found["odds_ratio"] == close(reference.oddsratio)
        assert (found["odds_ratio_low"], found["odds_ratio_high"]) == (close(low), close(high))
        assert found["log_odds_ratio_error"] == close(reference.log_oddsratio_se)
        if observed.all():
            assert found["odds_ratio"] == close(odds_ratio(observed.astype(int), kind="sample").statistic)
        for end in ("", "_low", "_high"):
            assert found[f"reporting_odds_ratio{end}"] == found[f"odds_ratio{end}"]
        corrected = observed if observed[:, 0].all() else observed + 0.5
        reference = Table2x2(corrected, shift_zeros=False)
        low, high = reference.riskratio_confint(0.05)
        assert found["proportional_reporting_ratio"] == close(reference.riskratio)
        # Where b and d are small beside a and c, statsmodels subtracts nearly equal numbers.
        assert found["proportional_reporting_ratio_low"] == close(low, rel=1e-6)
        assert found["proportional_reporting_ratio_high"] == close(high, rel=1e-6)
        assert found["log_proportional_reporting_ratio_error"] == close(reference.log_riskratio_se, least=1e-7)


@many_tables
@given(st.lists(TABLES, min_size=1, max_size=100))
def test_measures_of_information_are_their_formulas(statistics: Database, tables: list[Table]) -> None:
    for table, found in measured(statistics, tables):
        n_pair, n_drug, n_condition, n = (int(count or 0) for count in table)
        expected = n_drug * n_condition / n
        assert found["information_component"] == close(math.log2((n_pair + 0.5) / (expected + 0.5)))
        if n_pair == 0:
            assert (found["pmi"], found["npmi"]) == (None, -1)
            continue
        assert found["pmi"] == close(math.log2(n_pair / expected))
        assert -1 <= found["npmi"] <= 1 + 1e-9
        if n_pair < n:
            assert found["npmi"] == close(found["pmi"] / -math.log2(n_pair / n), rel=1e-6, least=1e-6)


@many_tables
@given(st.lists(COMPARABLE, min_size=1, max_size=100))
def test_an_estimate_lies_between_its_limits(statistics: Database, tables: list[Table]) -> None:
    for _, found in measured(statistics, tables):
        for measure in ("odds_ratio", "proportional_reporting_ratio", "information_component"):
            assert found[f"{measure}_low"] <= found[measure] <= found[f"{measure}_high"]
        assert found["odds_ratio_low"] > 0
        assert found["proportional_reporting_ratio_low"] > 0


def test_the_limits_of_the_information_component_are_as_near_the_exact_ones_as_their_comments_say(
    statistics: Database,
) -> None:
    counts = sorted({*range(5000), *np.logspace(3, 8, 2000).astype(int).tolist()})
    found = compute(statistics, [(n, n, n, 4 * n + 1) for n in counts])
    shape = np.array(counts) + 0.5
    expected = np.array([n * n / (4 * n + 1) for n in counts]) + 0.5
    low = np.array([row["information_component_low"] for row in found])
    high = np.array([row["information_component_high"] for row in found])
    too_low = low - np.log2(stats.gamma.ppf(0.025, shape) / expected)
    too_high = high - np.log2(stats.gamma.ppf(0.975, shape) / expected)
    assert -0.34 < too_low[0] < -0.33
    assert -0.35 < too_high[0] < -0.34
    assert 0.045 < np.abs(too_low[1:]).max() < 0.05
    assert 0.045 < np.abs(too_high[1:]).max() < 0.05
    assert too_low[2:].max() < 0


def test_published_examples_come_out_as_published(statistics: Database) -> None:
    # Evans, Waller and Davis 2001: rifabutin and uveitis. Their chi square of 22,740 is without Yates's correction.
    uveitis = of_cells(41, 14, 754, 591_958)
    found = one(statistics, *uveitis)
    assert round(found["proportional_reporting_ratio"]) == 586
    assert round(found["chi_square_yates"]) == 22_187
    assert round(stats.chi2_contingency(cells(uveitis), correction=False).statistic) == 22_740
    # Dunning 1993, table 2: "the swiss".
    assert one(statistics, *of_cells(110, 2442, 111, 29_114))["log_likelihood_ratio"] == pytest.approx(
        270.72, abs=0.005
    )
    # Bland and Altman 2000, BMJ 320:1468: eczema and hay fever.
    found = one(statistics, *of_cells(141, 420, 928, 13_525))
    assert found["odds_ratio"] == pytest.approx(4.89, abs=0.005)
    assert found["log_odds_ratio_error"] == pytest.approx(0.103, abs=0.0005)
    assert found["odds_ratio_low"] == pytest.approx(4.00, abs=0.005)
    assert found["odds_ratio_high"] == pytest.approx(5.99, abs=0.005)


EMPTY_MARGIN = dict.fromkeys(["chi_square_yates", *RATIOS])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        # Everything is the pair: there is nothing to compare with.
        ((7, 7, 7, 7), {"expected_count": 7, "pmi": 0, "npmi": 1, "log_likelihood_ratio": 0, **EMPTY_MARGIN}),
        ((1, 1, 1, 1), {"expected_count": 1, "information_component": 0, **EMPTY_MARGIN}),
        # The drug, or the condition, in no sentence or in all.
        ((0, 0, 5, 10), {"expected_count": 0, "pmi": None, "information_component": 0, **EMPTY_MARGIN}),
        ((0, 5, 0, 10), {"signed_log_likelihood_ratio": 0, **EMPTY_MARGIN}),
        ((5, 10, 5, 10), {"pmi": 0, "log_likelihood_ratio": 0, "information_component": 0, **EMPTY_MARGIN}),
        ((5, 5, 10, 10), {"pmi": 0, "log_likelihood_ratio": 0, "information_component": 0, **EMPTY_MARGIN}),
        # Never together: 0.5 is added to each of 0, 2, 3, 5.
        (
            (0, 2, 3, 10),
            {
                "pmi": None,
                "npmi": -1,
                "odds_ratio": (0.5 * 5.5) / (2.5 * 3.5),
                "log_odds_ratio_error": math.sqrt(1 / 0.5 + 1 / 2.5 + 1 / 3.5 + 1 / 5.5),
                "proportional_reporting_ratio": (0.5 / 3) / (3.5 / 9),
                "log_proportional_reporting_ratio_error": math.sqrt(1 / 0.5 - 1 / 3 + 1 / 3.5 - 1 / 9),
                "information_component": math.log2(0.5 / 1.1),
            },
        ),
        # The condition only with the drug, c = 0: both ratios would be infinite.
        (
            (3, 5, 3, 10),
            {"odds_ratio": (3.5 * 5.5) / (2.5 * 0.5), "proportional_reporting_ratio": (3.5 / 6) / (0.5 / 6)},
        ),
        # The drug only with the condition, b = 0: the odds ratio would be infinite, the ratio of proportions is not.
        ((2, 2, 6, 10), {"odds_ratio": (2.5 * 4.5) / (0.5 * 4.5), "proportional_reporting_ratio": (2 / 2) / (4 / 8)}),
        # No sentence without either, d = 0.
        ((2, 5, 7, 10), {"odds_ratio": (2.5 * 0.5) / (3.5 * 5.5), "proportional_reporting_ratio": (2 / 5) / (5 / 5)}),
        # Exactly independent: Yates's correction does not turn the difference round.
        ((2, 4, 5, 10), {"chi_square_yates": 0, "log_likelihood_ratio": 0, "odds_ratio": 1, "pmi": 0}),
        # Less than half a sentence from independence.
        ((2, 4, 6, 10), {"chi_square_yates": 0}),
    ],
)
def test_a_table_at_the_edge(statistics: Database, table: Table, expected: dict[str, float | None]) -> None:
    found = one(statistics, *table)
    for name, value in expected.items():
        assert found[name] == (None if value is None else close(value)), name


@pytest.mark.parametrize(
    "table",
    [
        (0, 0, 0, 0),
        (3, 2, 5, 10),
        (3, 5, 2, 10),
        (-1, 5, 5, 10),
        (1, -5, 5, 10),
        (1, 11, 5, 10),
        (1, 5, 11, 10),
        (1, 5, 5, -10),
        (2, 7, 6, 10),
        (None, 5, 5, 10),
        (1, None, 5, 10),
        (1, 5, None, 10),
        (1, 5, 5, None),
    ],
)
def test_counts_of_no_table_give_null(statistics: Database, table: Table) -> None:
    assert one(statistics, *table) == dict.fromkeys(MEASURES)
    # Given as constants, the planner computes them.
    constants = ", ".join("NULL::bigint" if count is None else f"({count})::bigint" for count in table)
    with statistics.transaction() as connection:
        calls = ", ".join(f"analysis.{name}({constants})" for name in MEASURES)
        assert set(connection.execute(text(f"SELECT {calls}")).one()) == {None}


@many_tables
@given(st.lists(st.tuples(BIGINT, BIGINT, BIGINT, BIGINT), min_size=1, max_size=50))
def test_any_four_numbers_give_a_finite_value_or_null(statistics: Database, tables: list[Table]) -> None:
    for table, found in measured(statistics, tables, [*MEASURES, *PREDICATES]):
        n_pair, n_drug, n_condition, n = (int(count or 0) for count in table)
        consistent = (
            n > 0 and min(n_pair, n_drug - n_pair, n_condition - n_pair, n - n_drug - n_condition + n_pair) >= 0
        )
        assert found["is_two_by_two"] is consistent
        for name in MEASURES:
            assert found[name] is None or (consistent and math.isfinite(found[name])), name
        if consistent:
            comparable = 0 < n_drug < n and 0 < n_condition < n
            assert found["has_comparison"] is comparable
            optional = {"pmi"} if n_pair == 0 else set()
            optional |= set() if comparable else {"chi_square_yates", *RATIOS}
            assert {name for name in MEASURES if found[name] is None} == optional


HUGE = st.integers(0, 2**61)


@many_tables
@given(st.lists(st.builds(of_cells, HUGE, HUGE, HUGE, st.integers(1, 2**61)), min_size=1, max_size=50))
def test_a_table_of_huge_counts_gives_finite_values(statistics: Database, tables: list[Table]) -> None:
    for _, found in measured(statistics, tables):
        assert all(math.isfinite(value) for value in found.values() if value is not None)


def test_a_pair_that_is_rarer_than_expected_is_no_signal(statistics: Database) -> None:
    # 1 sentence where 100 are expected: as unlikely as can be, and in the wrong direction.
    rarer = one(statistics, 1, 10_000, 10_000, 10**6)
    assert rarer["log_likelihood_ratio"] > 100
    assert rarer["signed_log_likelihood_ratio"] == -rarer["log_likelihood_ratio"]
    assert rarer["chi_square_yates"] > 90
    assert rarer["information_component_high"] < 0
    assert rarer["odds_ratio_high"] < 1
    assert rarer["proportional_reporting_ratio_high"] < 1
    # The levels that the comment names are those of a one-sided test.
    assert stats.chi2.ppf(1 - 2 * 0.05, 1) == pytest.approx(2.71, abs=0.005)
    assert stats.chi2.ppf(1 - 2 * 0.001, 1) == pytest.approx(9.55, abs=0.005)


def test_every_measure_becomes_part_of_the_query(statistics: Database) -> None:
    with statistics.transaction() as connection:
        connection.execute(text("CREATE TEMP TABLE pair (p bigint, d bigint, c bigint, n bigint) ON COMMIT DROP"))
        calls = [f"analysis.{name}(p, d, c, n)" for name in [*MEASURES, *PREDICATES]]
        calls += ["analysis.cooccurrence_weight(p, d)", "analysis.cooccurrence_score(p, d, c, n)"]
        plan = "\n".join(connection.execute(text(f"EXPLAIN VERBOSE SELECT {', '.join(calls)} FROM pair")).scalars())
    assert "Output: " in plan
    assert "analysis." not in plan


def test_no_function_of_the_file_is_without_a_test(statistics: Database) -> None:
    source = (ROOT / "migrations" / "sql" / "0003" / "statistics.sql").read_text(encoding="utf-8")
    written = re.findall(r"^CREATE OR REPLACE FUNCTION analysis\.(\w+)", source, re.MULTILINE)
    assert sorted(written) == sorted([*MEASURES, *PREDICATES, "cooccurrence_weight", "cooccurrence_score"])
    assert re.findall(r"^COMMENT ON FUNCTION analysis\.(\w+)", source, re.MULTILINE) == written


# STRING's score: a citation is a list of sentences, a sentence the drugs and the conditions that it mentions.
NAMES = st.tuples(st.frozensets(st.sampled_from("AB")), st.frozensets(st.sampled_from("xyz")))
CORPORA = st.lists(st.lists(NAMES, max_size=3), max_size=8)


@settings(max_examples=60)
@given(CORPORA)
def test_the_cooccurrence_score_is_that_of_a_count_by_hand(
    statistics: Database, corpus: list[list[tuple[frozenset[str], frozenset[str]]]]
) -> None:
    same_citation: Counter[tuple[str, str]] = Counter()
    same_sentence: Counter[tuple[str, str]] = Counter()
    for sentences in corpus:
        drugs = {drug for found, _ in sentences for drug in found}
        conditions = {condition for _, found in sentences for condition in found}
        same_citation.update((drug, condition) for drug in drugs for condition in conditions)
        same_sentence.update({(d, c) for drugs, conditions in sentences for d in drugs for c in conditions})
    weight = {pair: 3 * same_citation[pair] + 0.2 * same_sentence[pair] for pair in same_citation}
    with statistics.transaction() as connection:
        rows = connection.execute(
            text(
                """
                WITH pair AS (
                    SELECT drug, condition, analysis.cooccurrence_weight(n_citation, n_sentence) AS weight
                    FROM unnest(CAST(:drugs AS text[]), CAST(:conditions AS text[]), CAST(:n_citation AS bigint[]),
                                CAST(:n_sentence AS bigint[])) AS t (drug, condition, n_citation, n_sentence)
                ), total AS (
                    SELECT drug, condition, weight, sum(weight) OVER (PARTITION BY drug) AS of_drug,
                           sum(weight) OVER (PARTITION BY condition) AS of_condition, sum(weight) OVER () AS of_all
                    FROM pair
                )
                SELECT drug, condition, analysis.cooccurrence_score(weight, of_drug, of_condition, of_all) FROM total
                """
            ),
            {
                "drugs": [drug for drug, _ in weight],
                "conditions": [condition for _, condition in weight],
                "n_citation": [same_citation[pair] for pair in weight],
                "n_sentence": [same_sentence[pair] for pair in weight],
            },
        ).all()
    assert len(rows) == len(weight)
    total = sum(weight.values())
    for drug, condition, score in rows:
        of_drug = sum(value for (other, _), value in weight.items() if other == drug)
        of_condition = sum(value for (_, other), value in weight.items() if other == condition)
        pair = weight[drug, condition]
        assert score == close(pair**0.6 * (pair * total / (of_drug * of_condition)) ** 0.4)


@pytest.mark.parametrize(
    ("weights", "score"),
    [
        ((0, 5, 5, 10), 0),
        ((3.2, 3.2, 3.2, 3.2), 3.2**0.6),
        # Sums of fractions may fall short of their parts by a last digit.
        ((0.1 + 0.2, 0.3, 0.3, 1), 0.3**0.6 * (1 / 0.3) ** 0.4),
        ((0, 0, 5, 10), None),
        ((6, 5, 7, 10), None),
        ((1, 11, 7, 10), None),
        ((-1, 5, 5, 10), None),
        ((1, 5, 5, math.inf), None),
        ((math.nan, 5, 5, 10), None),
        ((1, math.nan, 5, 10), None),
        ((1, 5, 5, math.nan), None),
        ((None, 5, 5, 10), None),
        ((1, None, 5, 10), None),
        ((1, 5, None, 10), None),
        ((1, 5, 5, None), None),
    ],
)
def test_a_score_at_the_edge(statistics: Database, weights: tuple[float | None, ...], score: float | None) -> None:
    with statistics.transaction() as connection:
        found = connection.execute(
            text(
                "SELECT analysis.cooccurrence_score(CAST(:a AS double precision), CAST(:b AS double precision), "
                "CAST(:c AS double precision), CAST(:d AS double precision))"
            ),
            dict(zip("abcd", weights, strict=True)),
        ).scalar_one()
    assert found == (None if score is None else close(score))


@given(st.lists(st.floats(), min_size=4, max_size=4))
def test_any_four_weights_give_a_finite_score_or_null(statistics: Database, weights: list[float]) -> None:
    with statistics.transaction() as connection:
        found = connection.execute(
            text(
                "SELECT analysis.cooccurrence_score(CAST(:a AS double precision), CAST(:b AS double precision), "
                "CAST(:c AS double precision), CAST(:d AS double precision))"
            ),
            dict(zip("abcd", weights, strict=True)),
        ).scalar_one()
    assert found is None or math.isfinite(found)


def test_the_weight_of_counts_that_cannot_be_is_null(statistics: Database) -> None:
    with statistics.transaction() as connection:
        found = connection.execute(
            text(
                "SELECT analysis.cooccurrence_weight(10, 4), analysis.cooccurrence_weight(4, 4), "
                "analysis.cooccurrence_weight(0, 0), analysis.cooccurrence_weight(4, 5), "
                "analysis.cooccurrence_weight(4, -1), analysis.cooccurrence_weight(NULL, 4), "
                "analysis.cooccurrence_weight(4, NULL)"
            )
        ).one()
    assert tuple(found) == (close(30.8), close(12.8), 0, None, None, None, None)


def test_the_page_names_every_function_and_its_example_is_computed(statistics: Database) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name in [*MEASURES, *PREDICATES, "cooccurrence_weight", "cooccurrence_score"]:
        assert f"`{name}`" in page, name
    worked = page.split("## A worked example", 1)[1].split("\n## ", 1)[0]
    counts = re.search(r"`\((\d+), (\d+), (\d+), (\d+)\)`", worked)
    assert counts
    found = one(statistics, *(int(count) for count in counts.groups()))
    shown = re.findall(r"^\| `(\w+)` \| (-?[\d.,]+) \|", worked, re.MULTILINE)
    assert [name for name, _ in shown] == MEASURES
    for name, value in shown:
        decimals = len(value.partition(".")[2])
        assert f"{found[name]:,.{decimals}f}" == value, name
    p_value = re.search(r"one-sided p of about ([\d.]+) · 10⁻([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", worked)
    assert p_value
    stated = float(p_value[1]) * 10.0 ** -int(p_value[2].translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
    assert special.erfc(math.sqrt(found["log_likelihood_ratio"] / 2)) / 2 == pytest.approx(stated, rel=0.05)


def page_queries(database: Database) -> list[str]:
    queries = re.findall(r"```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    with database.transaction() as connection:
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    # erfc() came with Postgres 16.
    return [query for query in queries if version >= 160000 or "erfc" not in query]


def test_the_queries_of_the_page_run_on_the_view(statistics: Database) -> None:
    queries = page_queries(statistics)
    assert len(queries) > 1
    with statistics.transaction() as connection:
        for query in queries:
            assert connection.exec_driver_sql(query).all() == []


def test_the_pages_false_discovery_rate_is_that_of_scipy(statistics: Database) -> None:
    query = next((query for query in page_queries(statistics) if "false_discovery_rate" in query), None)
    if query is None:
        pytest.skip("erfc() needs Postgres 16")
    random = np.random.default_rng(7)
    tables = [of_cells(int(a), int(b), int(c), 10_000) for a, b, c in random.integers(0, [9, 99, 999], (98, 3))]
    # One beyond doubt, two that are equal, and one that is rarer than expected.
    tables += [of_cells(500, 1, 1, 10_000), tables[0], of_cells(0, 300, 900, 3000)]
    with statistics.transaction() as connection:
        connection.execute(
            text(
                "CREATE TEMP TABLE pair_of_page (drug text, condition text, citation_count bigint, sentence_count bigint, "
                "drug_sentence_count bigint, condition_sentence_count bigint, annotated_sentence_count bigint) "
                "ON COMMIT DROP"
            )
        )
        connection.execute(
            text("INSERT INTO pair_of_page VALUES (:i, 'x', 1, :p, :d, :c, :n)"),
            [{"i": str(i), **dict(zip("pdcn", table, strict=True))} for i, table in enumerate(tables)],
        )
        rows = connection.exec_driver_sql(query.replace("analysis.cooccurrence\n", "pair_of_page\n")).all()
    found = compute(statistics, tables)
    p = stats.norm.sf(
        [
            math.copysign(math.sqrt(abs(row["signed_log_likelihood_ratio"])), row["signed_log_likelihood_ratio"])
            for row in found
        ]
    )
    expected = stats.false_discovery_control(p, method="bh")
    assert len(rows) == 100
    for row in rows:
        assert (row.p, row.false_discovery_rate) == (close(p[int(row.drug)]), close(expected[int(row.drug)]))
