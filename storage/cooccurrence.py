"""The co-occurrence counts: folding the deltas, and recounting from the mentions to prove that nothing drifted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A cell whose count differs from a recount; 0 as drug or condition stands for any."""

    annotator_id: int
    drug_id: int
    condition_id: int
    year: int
    counted: tuple[int, int]
    recounted: tuple[int, int]


def fold_counts(database: Database) -> int:
    """Fold the appended deltas into the counts and return how many there were. Readers see the same sums throughout."""
    with database.transaction() as connection:
        return int(connection.execute(text("SELECT comention.fold_counts()")).scalar_one())


def find_drift(database: Database) -> list[Drift]:
    """Recount everything from the mentions, in one statement, and return the cells that differ. It must return none."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                """
                SELECT annotator_id, drug_id, condition_id, year,
                       coalesce(c.sentence_count, 0) AS counted_sentences,
                       coalesce(c.citation_count, 0) AS counted_citations,
                       coalesce(r.sentence_count, 0) AS recounted_sentences,
                       coalesce(r.citation_count, 0) AS recounted_citations
                FROM comention.cooccurrence_cell c
                FULL JOIN comention.contribution(array(SELECT pmid FROM comention.citation), NULL) r
                    USING (annotator_id, drug_id, condition_id, year)
                WHERE c.sentence_count IS DISTINCT FROM r.sentence_count
                   OR c.citation_count IS DISTINCT FROM r.citation_count
                ORDER BY annotator_id, drug_id, condition_id, year
                """
            )
        ).all()
        return [
            Drift(
                annotator_id=row.annotator_id,
                drug_id=row.drug_id,
                condition_id=row.condition_id,
                year=row.year,
                counted=(row.counted_sentences, row.counted_citations),
                recounted=(row.recounted_sentences, row.recounted_citations),
            )
            for row in rows
        ]
