"""Concepts and those that stand with them: what the pages of a drug, of a condition and of a pair are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from storage.queries import Filters
from storage.reading import Row, Snapshot

Label = Literal["Drug", "Condition"]

CANDIDATES = 1_000
"""Partners with the most citations that a ranking by anything else chooses among."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concept:
    """A drug or a condition; ``names`` are up to 100 spellings. Counts are of citations that are not retracted."""

    label: Label
    concept: str
    preferred_name: str | None
    names: tuple[str, ...]
    sentence_count: int
    citation_count: int

    @property
    def title(self) -> str:
        """What a reader calls it."""
        return self.preferred_name or self.concept


@dataclass(frozen=True, slots=True, kw_only=True)
class PairRow:
    """A row of `analysis.cooccurrence`: a pair with its counts and measures, which are None where filters leave none."""

    drug: str
    condition: str
    sentence_count: int
    citation_count: int
    first_year: int | None
    last_year: int | None
    drug_sentence_count: int | None
    condition_sentence_count: int | None
    annotated_sentence_count: int | None
    expected_sentence_count: float | None
    npmi: float | None
    log_likelihood_ratio: float | None
    drug_citation_count: int | None
    condition_citation_count: int | None
    annotated_citation_count: int | None
    pmi: float | None
    signed_log_likelihood_ratio: float | None
    chi_square_yates: float | None
    odds_ratio: float | None
    odds_ratio_low: float | None
    odds_ratio_high: float | None
    proportional_reporting_ratio: float | None
    proportional_reporting_ratio_low: float | None
    proportional_reporting_ratio_high: float | None
    reporting_odds_ratio: float | None
    reporting_odds_ratio_low: float | None
    reporting_odds_ratio_high: float | None
    information_component: float | None
    information_component_low: float | None
    information_component_high: float | None
    cooccurrence_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RankKey:
    """The place of a row in an order: what it is ranked by, lowest first, then names; ``position`` rows lead up to it.

    The place stays where it is when rows before it come or go; ``position`` says only how many to ask for at first.
    """

    numbers: tuple[float, ...]
    names: tuple[str, ...]
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """A page of pairs. ``more``: others follow it, after ``next``. ``among``: the candidates, where not all were ranked."""

    rows: tuple[PairRow, ...]
    more: bool
    among: int | None
    next: RankKey | None


YearCounts = dict[int, int]
"""Citations by year; years without any are left out."""

SORTS: dict[str, tuple[str, ...]] = {
    "citations": ("citation_count", "sentence_count"),
    "sentences": ("sentence_count", "citation_count"),
    "ic": ("information_component_low", "citation_count"),
    "npmi": ("npmi", "citation_count"),
    "g2": ("signed_log_likelihood_ratio", "citation_count"),
    "prr": ("proportional_reporting_ratio", "citation_count"),
    "ror": ("reporting_odds_ratio_low", "citation_count"),
    "first": ("first_year", "citation_count"),
    "last": ("last_year", "citation_count"),
    "name": (),
}
"""What a ranking may go by: columns, highest first and null last; then by name."""

LISTED = 10_000
"""Rows of a ranking that can be paged through."""

_NAMES = tuple(field.name for field in fields(PairRow))
_COLUMNS = ", ".join(_NAMES)
_FILTERS = (
    "CAST(:from_year AS integer), CAST(:to_year AS integer), CAST(:section AS text), CAST(:publication_type AS text), "
    "CAST(:min_score AS real)"
)


def find_concepts(snapshot: Snapshot, label: Label, names: Sequence[str]) -> dict[str, Concept]:
    """Return the concepts that are meant, by what was asked for; names match in any spelling, CURIEs as they stand."""
    if not names:
        return {}
    rows = snapshot.rows(
        "SELECT asked, concept, preferred_name, names, sentence_count, citation_count "
        "FROM analysis.concepts(:label, CAST(:names AS text[]))",
        label=label,
        names=list(names),
    )
    return {row.pop("asked"): Concept(**{**row, "label": label, "names": tuple(row["names"])}) for row in rows}


def list_titles(snapshot: Snapshot, label: Label, concepts: Sequence[str]) -> dict[str, str]:
    """Return what readers call the concepts; only CURIEs are called otherwise than they are written."""
    found = find_concepts(snapshot, label, [one for one in concepts if ":" in one])
    return {one: found[one].title if one in found else one for one in concepts}


def rank_partners(
    snapshot: Snapshot,
    label: Label,
    name: str,
    *,
    filters: Filters,
    min_sentences: int,
    sort: str,
    offset: int,
    limit: int,
    after: RankKey | None = None,
) -> Ranking:
    """Return a page of those that stand with a drug or a condition, in the order of a key of `SORTS`.

    The page begins ``offset`` rows into the ranking, or behind the row at ``after``. By anything but citations, the
    `CANDIDATES` with the most citations are ranked, or as many as are wanted.

    Raises:
        KeyError: there is no such order.
    """
    function = "top_conditions" if label == "Drug" else "top_drugs"
    return _rank(
        snapshot,
        f"analysis.{function}(:name, :fetched, :min_sentences, {_FILTERS})",
        SORTS[sort],
        ("condition" if label == "Drug" else "drug",),
        candidates=None if sort == "citations" else max(CANDIDATES, limit),
        offset=offset,
        limit=limit,
        after=after,
        name=name,
        min_sentences=min_sentences,
        **asdict(filters),
    )


def list_top_pairs(snapshot: Snapshot, limit: int, *, min_sentences: int = 1, after: RankKey | None = None) -> Ranking:
    """Return a page of the pairs with the most citations of all, from the first on or behind the one at ``after``."""
    return _rank(
        snapshot,
        "analysis.top_pairs(:fetched, :min_sentences)",
        SORTS["citations"],
        ("drug", "condition"),
        candidates=None,
        offset=0,
        limit=limit,
        after=after,
        min_sentences=min_sentences,
    )


def _rank(
    snapshot: Snapshot,
    source: str,
    columns: tuple[str, ...],
    names: tuple[str, ...],
    *,
    candidates: int | None,
    offset: int,
    limit: int,
    after: RankKey | None,
    **values: object,
) -> Ranking:
    """Return a page of a function of the schema that gives its ``:fetched`` most cited rows, in an order of our own.

    Among as many ``candidates`` as are given; where it is None, among all, and ``columns`` have to be the function's own order.
    Where rows have come before the place ``after``, more are fetched until the page is full.
    """
    before = offset if after is None else after.position
    fetched = before + limit + 1 if candidates is None else candidates + 1
    query = _ranked(source, columns, names, after)
    while True:
        rows = snapshot.rows(
            query, fetched=fetched, limit=limit + 1, offset=0 if after else offset, **_place(after), **values
        )
        known = rows[0]["candidates"] if rows else None
        if candidates is not None or len(rows) > limit or fetched > LISTED or after is None:
            break
        if known is not None and known < fetched:
            break
        fetched = min(4 * fetched, LISTED + 1)
    shown = rows[:limit]
    more = len(rows) > limit and before + limit < LISTED
    key = (
        RankKey(
            numbers=_numbers(shown[-1], columns),
            names=tuple(shown[-1][one] for one in names),
            position=before + limit,
        )
        if more
        else None
    )
    among = candidates if candidates is not None and known is not None and known > candidates else None
    return Ranking(rows=tuple(map(_pair_row, shown)), more=more, among=among, next=key)


def _ranked(source: str, columns: tuple[str, ...], names: tuple[str, ...], after: RankKey | None) -> str:
    """Return the query of a page: ascending by the negatives of the columns, null last, then by the names, byte by byte."""
    numbers = [f"coalesce(-CAST({one} AS float8), 'Infinity')" for one in columns]
    order = ", ".join([*numbers, *(f'{one} COLLATE "C"' for one in names)])
    places = [f"CAST(:number_{number} AS float8)" for number in range(len(columns))]
    places += [f"CAST(:name_{number} AS text)" for number in range(len(names))]
    behind = f"WHERE ({order}) > ({', '.join(places)}) " if after else ""
    return (
        f"SELECT {_COLUMNS}, candidates FROM "  # noqa: S608 - our own names
        f"(SELECT *, count(*) OVER () AS candidates FROM {source}) ranked "
        f"{behind}ORDER BY {order} LIMIT :limit OFFSET :offset"
    )


def _place(after: RankKey | None) -> dict[str, object]:
    """Return what fills the place in a query of `_ranked`."""
    if after is None:
        return {}
    numbers = {f"number_{number}": value for number, value in enumerate(after.numbers)}
    return {**numbers, **{f"name_{number}": value for number, value in enumerate(after.names)}}


def _numbers(row: Row, columns: tuple[str, ...]) -> tuple[float, ...]:
    """Return what a row is ranked by, as `_ranked` has it."""
    return tuple(math.inf if row[one] is None else -float(row[one]) for one in columns)


def _pair_row(row: Row) -> PairRow:
    return PairRow(**{one: row[one] for one in _NAMES})


def get_pair(snapshot: Snapshot, drug: str, condition: str, filters: Filters) -> PairRow | None:
    """Return a pair with its counts and measures, or None where the two never stand together under the filters."""
    rows = snapshot.rows(
        f"SELECT {_COLUMNS} FROM analysis.pair(:drug, :condition, {_FILTERS})",  # noqa: S608 - our own names
        drug=drug,
        condition=condition,
        **asdict(filters),
    )
    return PairRow(**rows[0]) if rows else None


def count_years(
    snapshot: Snapshot, label: Label, concept: str, partners: Sequence[str], filters: Filters
) -> dict[str, YearCounts]:
    """Return the citations by year of a concept with each of its partners, between the years of the filters."""
    found: dict[str, YearCounts] = {one: {} for one in partners}
    if not partners:
        return found
    for row in snapshot.rows(
        "SELECT partner, array_agg(year) AS years, array_agg(citation_count) AS counts "
        "FROM analysis.partner_years(:label, :concept, CAST(:partners AS text[])) "
        "WHERE year BETWEEN :first AND :last AND citation_count > 0 GROUP BY partner",
        label=label,
        concept=concept,
        partners=list(partners),
        first=1 if filters.from_year is None else filters.from_year,
        last=32_767 if filters.to_year is None else filters.to_year,
    ):
        found[row["partner"]] = dict(zip(row["years"], row["counts"], strict=True))
    return found
