"""What a run has left in the database, as ordered checksums, and whether that is what it should be."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlalchemy import text

from storage.cooccurrence import find_drift
from storage.database import Database

TABLES = {
    "citations": "SELECT * FROM analysis.citation WHERE pmid <> :without ORDER BY pmid",
    "sentences": "SELECT * FROM analysis.sentence WHERE pmid <> :without ORDER BY sentence_id",
    "mentions": "SELECT sentence_id, pmid, label, start_char, end_char, text, name, concept, score "
    "FROM analysis.mention WHERE pmid <> :without ORDER BY sentence_id, start_char, end_char, label",
    "counts": "SELECT * FROM analysis.cooccurrence ORDER BY drug, condition",
    "counts by year": "SELECT * FROM analysis.cooccurrence_year ORDER BY drug, condition, year",
    "drugs": "SELECT * FROM analysis.drug ORDER BY concept",
    "conditions": "SELECT * FROM analysis.condition ORDER BY concept",
    "ledger": "SELECT pmid, status, sentence_count, mention_count, attempts FROM comention.annotation "
    "WHERE pmid <> :without ORDER BY pmid",
}
"""Numbers that follow the order of events, as those of runs, and times of day are left out."""

PLAIN_COUNTS = (
    "SELECT drug, condition, sentence_count, citation_count, first_year, last_year "
    "FROM analysis.cooccurrence ORDER BY drug, condition"
)
"""Counts without the statistics, which follow from how many citations were annotated in all."""

LEFT_OVER = {
    "claims": "SELECT count(*) FROM comention.annotation_claim",
    "counts that were taken back": "SELECT count(*) FROM comention.past_contribution",
    "citations that are owed": "SELECT count(*) FROM comention.owed",
    "jobs that are not done": "SELECT count(*) FROM comention.job WHERE status <> 'done'",
    "batches that are not done": "SELECT count(*) FROM comention.fetch_batch WHERE status <> 'done'",
    "citations read more than once": "SELECT coalesce(sum(read), 0) - coalesce(sum(new), 0) FROM comention.ingest_run "
    "WHERE status = 'done'",
    "PMIDs asked for and not accounted for": "SELECT coalesce(sum(requested), 0) - coalesce(sum(read), 0) "
    "FROM comention.ingest_run WHERE status = 'done'",
}
"""What must be 0 in the end."""


@dataclass(frozen=True, slots=True)
class Digest:
    """A table's rows and the SHA-256 of them, in order."""

    rows: int
    sha256: str


def digests(database: Database, *, without: int = 0) -> dict[str, Digest]:
    """Return those of all tables; ``without`` is a PMID that is left out, of a citation that counts in no pair."""
    found = {}
    queries = {**TABLES, "counts": PLAIN_COUNTS} if without else TABLES
    with database.transaction() as connection:
        for name, query in queries.items():
            bound = {"without": without} if ":without" in query else {}
            digest, rows = hashlib.sha256(), 0
            for row in connection.execute(text(query), bound):
                digest.update(repr(tuple(row)).encode())
                rows += 1
            found[name] = Digest(rows, digest.hexdigest())
    return found


def differences(database: Database, expected: dict[str, Digest], *, without: int = 0) -> list[str]:
    """Return, in a few words each, where a run has left something else than an undisturbed one; nothing where it has not."""
    wrong = []
    for name, found in digests(database, without=without).items():
        if found != expected[name]:
            wrong.append(
                f"{name}: {found.rows} rows, {expected[name].rows} in an undisturbed run, or with other content"
            )
    with database.transaction() as connection:
        for what, query in LEFT_OVER.items():
            if left := connection.execute(text(query)).scalar_one():
                wrong.append(f"{left} {what}")
    if drift := find_drift(database):
        wrong.append(f"{len(drift)} counts differ from a recount")
    return wrong
