"""What is still to be done, as somebody who watches wants to know it every few seconds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorBacklog:
    """Citations that an annotator has done, failed at, and owes."""

    name: str
    promoted: bool
    done: int
    failed: int
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is stored and what is owed."""

    citations: int
    annotators: tuple[AnnotatorBacklog, ...]


def get_backlog(database: Database) -> Backlog:
    """Count what is stored and owed, in one snapshot.

    Raises:
        DatabaseError: Postgres cannot be reached or refuses.
    """
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        citations = connection.execute(text("SELECT count(*) FROM comention.citation")).scalar_one()
        annotators = connection.execute(
            text(
                "SELECT a.name, a.promoted, "
                "count(l.pmid) FILTER (WHERE l.status <> 'failed') AS done, "
                "count(l.pmid) FILTER (WHERE l.status = 'failed') AS failed, "
                "(SELECT count(*) FROM comention.owed o WHERE o.annotator_id = a.id) AS owed "
                "FROM comention.annotator a LEFT JOIN comention.annotation l ON l.annotator_id = a.id "
                "GROUP BY a.id ORDER BY a.id"
            )
        ).mappings()
        return Backlog(citations=citations, annotators=tuple(AnnotatorBacklog(**row) for row in annotators))
