"""What the analyst schema says of a pair over the years, and of two drugs side by side."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.database import Database


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two drugs, by their concepts or, where none is known, as they were asked for, and their conditions."""

    first: str
    second: str
    conditions: tuple[ComparedCondition, ...]


def get_trend(database: Database, drug: str, condition: str) -> Trend | None:
    """Return the counts of a pair by year, those without a year last, or None where the two never stand together.

    Names match as `comention.names.normalise_name` folds them; a CURIE matches as it stands.
    """
    with database.transaction() as connection:
        # One snapshot, so that the years and their sum agree while writers write.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        pair = connection.execute(
            text("SELECT drug, condition, citation_count, sentence_count FROM analysis.pair(:drug, :condition)"),
            {"drug": drug, "condition": condition},
        ).one_or_none()
        if pair is None:
            return None
        rows = connection.execute(
            text(
                "SELECT year, citation_count, sentence_count FROM analysis.cooccurrence_year "
                "WHERE drug = :drug AND condition = :condition"
            ),
            {"drug": pair.drug, "condition": pair.condition},
        ).mappings()
        counts = {row["year"]: YearCount(**row) for row in rows}
    years = [
        counts.get(year, YearCount(year=year, citation_count=0, sentence_count=0))
        for year in (range(min(counts), max(counts) + 1) if counts else ())
    ]
    # The view by year leaves out what PubMed gives no year for.
    rest = YearCount(
        year=None,
        citation_count=pair.citation_count - sum(one.citation_count for one in years),
        sentence_count=pair.sentence_count - sum(one.sentence_count for one in years),
    )
    return Trend(drug=pair.drug, condition=pair.condition, years=tuple(years + ([rest] if rest.sentence_count else [])))


def compare_drugs(database: Database, first: str, second: str, *, min_sentences: int = 1) -> Comparison:
    """Return every condition that stands with either drug, those with the most citations first.

    Names match as in `get_trend`. ``min_sentences``: leave a condition out that has fewer with each of the two.
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
                       b.npmi AS second_npmi,
                       a.drug AS first,
                       b.drug AS second
                FROM (SELECT drug, condition, citation_count, sentence_count, npmi
                      FROM analysis.top_conditions(:first, :no_limit)) a
                FULL JOIN (SELECT drug, condition, citation_count, sentence_count, npmi
                           FROM analysis.top_conditions(:second, :no_limit)) b USING (condition)
                WHERE greatest(a.sentence_count, b.sentence_count) >= :min_sentences
                ORDER BY coalesce(a.citation_count, 0) + coalesce(b.citation_count, 0) DESC,
                         coalesce(a.sentence_count, 0) + coalesce(b.sentence_count, 0) DESC, condition
                """
            ),
            {"first": first, "second": second, "no_limit": 2**31 - 1, "min_sentences": min_sentences},
        ).mappings()
        found = [dict(row) for row in rows]
    names = {side: next((row[side] for row in found if row[side] is not None), None) for side in ("first", "second")}
    return Comparison(
        first=names["first"] or first,
        second=names["second"] or second,
        conditions=tuple(
            ComparedCondition(**{name: value for name, value in row.items() if name not in names}) for row in found
        ),
    )
