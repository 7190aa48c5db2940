"""What the analyst schema says of a pair over the years, and of two drugs side by side."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.database import Database
from storage.queries import find_concept


@dataclass(frozen=True, slots=True, kw_only=True)
class YearCount:
    """Citations of one year in which a pair stands together, and their sentences; ``year`` is None where none is stated."""

    year: int | None
    citation_count: int
    sentence_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A pair, by its concepts, with its years from the first to the last; years without are in it, with zeros."""

    drug: str
    condition: str
    years: tuple[YearCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCondition:
    """A condition with the counts and the association of each drug; zeros and None for a drug that never stands with it."""

    condition: str
    first_citation_count: int
    second_citation_count: int
    first_sentence_count: int
    second_sentence_count: int
    first_npmi: float | None
    second_npmi: float | None

    @property
    def in_first(self) -> bool:
        """Whether the first drug stands with it."""
        return self.first_sentence_count > 0

    @property
    def in_second(self) -> bool:
        """Whether the second drug stands with it."""
        return self.second_sentence_count > 0


def get_trend(database: Database, drug: str, condition: str) -> Trend | None:
    """Return the counts of a pair by year, those without a year last, or None where the two never stand together."""
    found = find_concept(database, "Drug", drug), find_concept(database, "Condition", condition)
    if found[0] is None or found[1] is None:
        return None
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                "SELECT nullif(year, 0) AS year, sum(citation_count)::bigint AS citation_count, "
                "sum(sentence_count)::bigint AS sentence_count FROM analysis.cooccurrence_year "
                "WHERE drug = :drug AND condition = :condition GROUP BY 1 HAVING sum(sentence_count) > 0"
            ),
            {"drug": found[0], "condition": found[1]},
        ).mappings()
        counts = {row["year"]: YearCount(**row) for row in rows}
    if not counts:
        return None
    stated = [year for year in counts if year is not None]
    years = list(range(min(stated), max(stated) + 1)) if stated else []
    empty = [YearCount(year=year, citation_count=0, sentence_count=0) for year in years]
    filled = [counts.get(none.year, none) for none in empty]
    return Trend(drug=found[0], condition=found[1], years=tuple(filled + ([counts[None]] if None in counts else [])))


def compare_drugs(database: Database, first: str, second: str, *, min_sentences: int = 1) -> list[ComparedCondition]:
    """Return every condition that stands with either drug, those with the most citations first.

    ``min_sentences``: leave a condition out that has fewer with each of the two.
    """
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT condition,
                       coalesce(a.citation_count, 0) AS first_citation_count,
                       coalesce(b.citation_count, 0) AS second_citation_count,
                       coalesce(a.sentence_count, 0) AS first_sentence_count,
                       coalesce(b.sentence_count, 0) AS second_sentence_count,
                       a.npmi AS first_npmi,
                       b.npmi AS second_npmi
                FROM (SELECT condition, citation_count, sentence_count, npmi
                      FROM analysis.cooccurrence WHERE drug = :first) a
                FULL JOIN (SELECT condition, citation_count, sentence_count, npmi
                           FROM analysis.cooccurrence WHERE drug = :second) b USING (condition)
                WHERE greatest(a.sentence_count, b.sentence_count) >= :min_sentences
                ORDER BY coalesce(a.citation_count, 0) + coalesce(b.citation_count, 0) DESC,
                         coalesce(a.sentence_count, 0) + coalesce(b.sentence_count, 0) DESC, condition
                """
            ),
            {
                "first": find_concept(database, "Drug", first),
                "second": find_concept(database, "Drug", second),
                "min_sentences": min_sentences,
            },
        ).mappings()
        return [ComparedCondition(**row) for row in rows]
