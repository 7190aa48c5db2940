"""Taking citations out that somebody no longer wants, as if they had never been read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text

from storage.cooccurrence import take_out_counts
from storage.database import Database


def remove_citations(database: Database, *, first_pmid: int, last_pmid: int, source_keys: Sequence[str]) -> int:
    """Remove a range of PMIDs with all that hangs on them, and the runs that read the sources; return how many citations.

    Unlike a deletion by PubMed this leaves nothing that would keep the PMIDs out later.
    """
    bounds = {"first": first_pmid, "last": last_pmid}
    with database.transaction() as connection:
        pmids = list(
            connection.execute(
                text(
                    "SELECT pmid FROM comention.citation WHERE pmid BETWEEN :first AND :last ORDER BY pmid FOR UPDATE"
                ),
                bounds,
            ).scalars()
        )
        take_out_counts(connection, pmids, reason="removal")
        connection.execute(text("DELETE FROM comention.annotation WHERE pmid = ANY(:pmids)"), {"pmids": pmids})
        connection.execute(text("DELETE FROM comention.citation WHERE pmid = ANY(:pmids)"), {"pmids": pmids})
        connection.execute(text("DELETE FROM comention.deleted_citation WHERE pmid BETWEEN :first AND :last"), bounds)
        connection.execute(text("DELETE FROM comention.mention_report WHERE pmid BETWEEN :first AND :last"), bounds)
        connection.execute(
            text("DELETE FROM comention.ingest_run WHERE source_key = ANY(:keys)"), {"keys": list(source_keys)}
        )
    return len(pmids)
