"""Concepts and those that stand with them: what the pages of a drug, of a condition and of a pair are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Literal

from storage.queries import Filters
from storage.reading import Snapshot

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
class Ranking:
    """A page of partners. ``more``: others follow it. ``among``: the number of candidates, where not all were ranked."""

    rows: tuple[PairRow, ...]
    more: bool
    among: int | None


YearCounts = dict[int, int]
"""Citations by year; years without any are left out."""

SORTS: dict[str, str] = {
    "citations": "citation_count DESC, sentence_count DESC",
    "sentences": "sentence_count DESC, citation_count DESC",
    "ic": "information_component_low DESC NULLS LAST, citation_count DESC",
    "npmi": "npmi DESC NULLS LAST, citation_count DESC",
    "g2": "signed_log_likelihood_ratio DESC NULLS LAST, citation_count DESC",
    "prr": "proportional_reporting_ratio DESC NULLS LAST, citation_count DESC",
    "ror": "reporting_odds_ratio_low DESC NULLS LAST, citation_count DESC",
    "first": "first_year DESC NULLS LAST, citation_count DESC",
    "last": "last_year DESC NULLS LAST, citation_count DESC",
    "name": "partner",
}
"""What a ranking may go by: the order in SQL, highest first, or by name."""

_COLUMNS = ", ".join(field.name for field in fields(PairRow))
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
) -> Ranking:
    """Return a page of those that stand with a drug or a condition, in the order of a key of `SORTS`.

    By anything but citations, the `CANDIDATES` with the most citations are ranked, or as many as are wanted.

    Raises:
        KeyError: there is no such order.
    """
    order = SORTS[sort]
    by_citations = sort == "citations"
    fetched = offset + limit + 1 if by_citations else max(CANDIDATES, limit) + 1
    function = "top_conditions" if label == "Drug" else "top_drugs"
    partner = "condition" if label == "Drug" else "drug"
    rows = snapshot.rows(
        f"SELECT {_COLUMNS}, candidates FROM ("  # noqa: S608 - our own names
        f"SELECT *, {partner} AS partner, count(*) OVER () AS candidates "
        f"FROM analysis.{function}(:name, :fetched, :min_sentences, {_FILTERS})) ranked "
        f"ORDER BY {order}, partner LIMIT :limit OFFSET :offset",
        name=name,
        fetched=fetched,
        min_sentences=min_sentences,
        limit=limit + 1,
        offset=offset,
        **asdict(filters),
    )
    candidates = rows[0]["candidates"] if rows else 0
    among = fetched - 1 if not by_citations and candidates >= fetched else None
    for row in rows:
        del row["candidates"]
    return Ranking(rows=tuple(PairRow(**row) for row in rows[:limit]), more=len(rows) > limit, among=among)


def list_top_pairs(snapshot: Snapshot, limit: int) -> list[PairRow]:
    """Return the pairs with the most citations of all."""
    rows = snapshot.rows(f"SELECT {_COLUMNS} FROM analysis.top_pairs(:limit)", limit=limit)  # noqa: S608 - our own names
    return [PairRow(**row) for row in rows]


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
