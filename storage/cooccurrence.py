"""The co-occurrence counts: folding the deltas, and recounting from the mentions to prove that nothing drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from storage.database import Database

Reason = Literal["revision", "retraction", "deletion", "removal", "re-annotation", "re-linking", "correction"]
"""Why citations count otherwise from now on; kept, so that the counts of an earlier time can be told."""

VACUUM_FROM = 5_000
"""Deltas from which on folding leaves so many dead rows that readers would notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A cell whose counts differ from a recount. As drug or condition, 0 stands for any.

    ``year`` is None for all years, 0 for citations without a year. ``what`` says what is counted: sentences, citations and
    pairs (None where the cell is a pair itself), or the first and the last year.
    """

    annotator_id: int
    drug_id: int
    condition_id: int
    year: int | None
    what: str
    counted: tuple[int | None, ...]
    recounted: tuple[int | None, ...]


def take_out_counts(
    connection: Connection, pmids: Sequence[int], *, reason: Reason, annotator_id: int | None = None
) -> None:
    """Before a change: take what the citations contribute out of the counts, and keep it with the reason."""
    if pmids:
        connection.execute(
            text("SELECT comention.take_out_counts(:pmids, CAST(:annotator AS smallint), :reason)"),
            {"pmids": list(pmids), "annotator": annotator_id, "reason": reason},
        )


def count_in(connection: Connection, pmids: Sequence[int], *, annotator_id: int | None = None) -> None:
    """After a change: add what the citations contribute now to the counts."""
    if pmids:
        connection.execute(
            text("SELECT comention.count_in(:pmids, CAST(:annotator AS smallint))"),
            {"pmids": list(pmids), "annotator": annotator_id},
        )


def fold_counts(database: Database, *, after: float = 0.0) -> int:
    """Fold the appended deltas into the counts and return how many there were. Readers see the same sums throughout.

    What else writers leave for later, in the indexes of mentions, is done too. With ``after``, nothing is done where somebody
    else does it just now, or has begun to within so many seconds.
    """
    with database.transaction() as connection:
        folded = connection.execute(
            text("SELECT comention.fold_counts(make_interval(secs => :after))"), {"after": after}
        ).scalar_one()
    if folded is None and after:
        return 0
    with database.transaction() as connection:
        # What writers have put down beside the indexes of mentions is sorted in, or every question would look through it.
        connection.execute(
            text(
                "SELECT gin_clean_pending_list(c.oid) FROM pg_class c WHERE c.oid IN "
                "('comention.ix_citation_mentions_keys'::regclass, 'comention.ix_citation_mentions_pairs'::regclass) "
                "AND pg_has_role(c.relowner, 'USAGE')"
            )
        )
    if (folded or 0) >= VACUUM_FROM:
        # Readers of the deltas would walk over the dead rows until autovacuum comes round, which is once a minute.
        with database.autocommit() as connection:
            connection.execute(text("VACUUM (SKIP_LOCKED, TRUNCATE off) comention.cooccurrence_delta"))
    return folded or 0


def vacuum_counts(database: Database) -> None:
    """Clear away what folding has left behind, without making anybody wait.

    Rankings walk over dead rows, and read the table for what an index alone would tell of a page without any, until autovacuum
    finds that a fifth of the table has changed.
    """
    with database.autocommit() as connection:
        connection.execute(
            text("VACUUM (ANALYZE, SKIP_LOCKED) comention.cooccurrence_total, comention.cooccurrence_delta")
        )


def find_drift(database: Database, *, sample: int | None = None) -> list[Drift]:
    """Recount from the mentions, in one snapshot, and return the cells that differ. It must return none.

    With ``sample``, only so many drugs, taken by chance: their margins and their pairs.
    """
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        if sample is None:
            drugs = None
            pmids = "ARRAY(SELECT pmid FROM comention.citation)"
        else:
            drugs = list(
                connection.execute(
                    text(
                        "SELECT drug_id FROM (SELECT DISTINCT drug_id FROM comention.cooccurrence_total_part "
                        "WHERE drug_id > 0 AND condition_id = 0) known ORDER BY random() LIMIT :sample"
                    ),
                    {"sample": sample},
                ).scalars()
            )
            pmids = (
                "ARRAY(SELECT m.pmid FROM comention.citation_mentions m WHERE comention.mention_keys(m.pmid, m.name_ids) "
                "&& ARRAY(SELECT n.id FROM comention.name n WHERE n.concept_id = ANY (:drugs)))"
            )
        rows = connection.execute(
            text(
                f"""
                WITH recount AS MATERIALIZED (
                    SELECT annotator_id, drug_id, condition_id, year, sentence_count, citation_count, pair_count
                    FROM comention.contribution({pmids}, NULL)
                    WHERE CAST(:drugs AS integer[]) IS NULL OR drug_id = ANY (:drugs)
                ), counted AS (
                    SELECT annotator_id, drug_id, condition_id, year::integer AS year,
                           ARRAY[sentence_count, citation_count, pair_count] AS counts
                    FROM comention.cooccurrence_cell
                    UNION ALL
                    SELECT annotator_id, drug_id, condition_id, -1,
                           ARRAY[sum(sentence_count), sum(citation_count), sum(pair_count)]::bigint[]
                    FROM comention.cooccurrence_total_part
                    GROUP BY annotator_id, drug_id, condition_id
                    HAVING sum(sentence_count) <> 0 OR sum(citation_count) <> 0
                ), truth AS (
                    SELECT annotator_id, drug_id, condition_id, year::integer AS year,
                           ARRAY[sentence_count, citation_count, pair_count] AS counts
                    FROM recount
                    UNION ALL
                    SELECT annotator_id, drug_id, condition_id, -1,
                           ARRAY[sum(sentence_count), sum(citation_count), sum(pair_count)]::bigint[]
                    FROM recount
                    GROUP BY annotator_id, drug_id, condition_id
                ), ends AS (
                    -- Folded totals keep the first and last year that something of theirs is left of.
                    SELECT annotator_id, drug_id, condition_id, min(nullif(year, 0)) AS first, max(nullif(year, 0)) AS last
                    FROM (
                        SELECT t.annotator_id, t.drug_id, t.condition_id,
                               CASE WHEN t.by_year IS NULL THEN coalesce(t.first_year, 0) ELSE t.by_year[i][1] END AS year
                        FROM comention.cooccurrence_total t
                        CROSS JOIN LATERAL generate_series(1, coalesce(array_length(t.by_year, 1), 1)) i
                        GROUP BY 1, 2, 3, 4
                        HAVING sum(CASE WHEN t.by_year IS NULL THEN t.sentence_count ELSE t.by_year[i][2] END) <> 0
                            OR sum(CASE WHEN t.by_year IS NULL THEN t.citation_count ELSE t.by_year[i][3] END) <> 0
                    ) left_over
                    GROUP BY annotator_id, drug_id, condition_id
                )
                SELECT annotator_id, drug_id, condition_id, nullif(year, -1) AS year, 'sentences, citations and pairs' AS what,
                       c.counts AS counted, r.counts AS recounted
                FROM (SELECT * FROM counted WHERE CAST(:drugs AS integer[]) IS NULL OR drug_id = ANY (:drugs)) c
                FULL JOIN truth r USING (annotator_id, drug_id, condition_id, year)
                WHERE c.counts IS DISTINCT FROM r.counts
                UNION ALL
                SELECT annotator_id, drug_id, condition_id, NULL, 'first and last year',
                       ARRAY[t.first_year, t.last_year], ARRAY[e.first, e.last]
                FROM comention.cooccurrence_total t
                JOIN ends e USING (annotator_id, drug_id, condition_id)
                WHERE (t.first_year, t.last_year) IS DISTINCT FROM (e.first, e.last)
                  AND (CAST(:drugs AS integer[]) IS NULL OR drug_id = ANY (:drugs))
                ORDER BY annotator_id, drug_id, condition_id, year
                """  # noqa: S608 - our own parts
            ),
            {"drugs": drugs},
        ).all()
        return [
            Drift(
                annotator_id=row.annotator_id,
                drug_id=row.drug_id,
                condition_id=row.condition_id,
                year=row.year,
                what=row.what,
                counted=tuple(row.counted or ()),
                recounted=tuple(row.recounted or ()),
            )
            for row in rows
        ]
