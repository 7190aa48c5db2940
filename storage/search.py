"""Full-text search: sentences become known to it behind the writers, which need not wait for it."""

from __future__ import annotations

from sqlalchemy import text

from storage.database import Database

BATCH_CITATIONS = 200
"""Citations that one transaction makes known. Writers of these citations wait for it; of others, nobody does."""


def index_sentences(database: Database, *, at_most: int | None = None) -> int:
    """Make the sentences of what was stored since the last time known to full-text search; return how many citations.

    Several may do so at once, and each takes others. What a writer holds at the moment is left for the next time.
    """
    done = 0
    while at_most is None or done < at_most:
        batch = BATCH_CITATIONS if at_most is None else min(BATCH_CITATIONS, at_most - done)
        with database.transaction() as connection:
            taken = int(
                connection.execute(text("SELECT comention.index_sentences(:batch)"), {"batch": batch}).scalar_one()
            )
        if not taken:
            break
        done += taken
    return done


def count_unindexed(database: Database) -> int:
    """Return how many citations full-text search does not find yet."""
    with database.transaction() as connection:
        return int(connection.execute(text("SELECT analysis.search_backlog()")).scalar_one())
