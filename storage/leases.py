"""Work that is lent for a time: how a lease is kept, and what happens to the sessions of a worker that lets one run out."""
# ruff: noqa: S608 - statements are put together from names and conditions of this module; what comes from outside is bound

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, text

from comention.errors import DatabaseError
from storage.database import Database

Fence = Callable[[Connection], None]
"""Called first in a transaction; raises where the work is no longer ours."""


class LeaseLostError(DatabaseError):
    """The time ran out and others have taken the work: what was found is theirs to find."""

    retryable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A row of `job` or `fetch_batch` that is ours, under a number that nobody else has."""

    table: Literal["job", "fetch_batch"]
    job_id: int
    ordinal: int
    """0 for a job."""
    number: UUID
    seconds: float

    def keep(self, connection: Connection) -> None:
        """Begin the time anew, in the transaction of what was done.

        Raises:
            LeaseLostError: it is no longer ours.
        """
        kept = connection.execute(
            text(
                f"UPDATE comention.{self.table} "
                "SET leased_until = clock_timestamp() + make_interval(secs => :seconds) "
                f"WHERE {self.condition}"
            ),
            {**self.key, "seconds": self.seconds},
        )
        if kept.rowcount != 1:
            raise LeaseLostError(f"job {self.job_id} was taken over by another worker, because this one took too long")

    @property
    def condition(self) -> str:
        """The condition, with the names of ``key``, under which the row is ours."""
        where = "id = :job_id" if self.table == "job" else "job_id = :job_id AND ordinal = :ordinal"
        return f"{where} AND lease = :lease"

    @property
    def key(self) -> dict[str, object]:
        """What ``condition`` asks for."""
        return {"job_id": self.job_id, "lease": self.number} | (
            {} if self.table == "job" else {"ordinal": self.ordinal}
        )


_OVERDUE = """
    SELECT worker FROM comention.annotation_claim
    WHERE lease IS NOT NULL AND leased_until < clock_timestamp() - make_interval(secs => :grace)
    UNION SELECT worker FROM comention.fetch_batch
    WHERE lease IS NOT NULL AND leased_until < clock_timestamp() - make_interval(secs => :grace) AND status = 'waiting'
    UNION SELECT worker FROM comention.job
    WHERE lease IS NOT NULL AND leased_until < clock_timestamp() - make_interval(secs => :grace)
      AND status IN ('waiting', 'fetching')
"""


def end_overdue(database: Database, *, grace_seconds: float) -> int:
    """Take the work from workers whose leases ran out ``grace_seconds`` ago, and end their sessions; return how many.

    A worker that was stopped in the middle of a transaction would hold its locks until it wakes. One that was only slow
    connects again, and finds that the work is no longer its own.
    """
    grace = {"grace": grace_seconds}
    with database.transaction() as connection:
        ended = connection.execute(
            text(
                "SELECT count(*) FROM (SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a "
                "WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.application_name IN "
                f"({_OVERDUE})) ended"
            ),
            grace,
        ).scalar_one()
    with database.transaction() as connection:
        # What a session that is just ending still holds is left for the next time.
        for table, key, more in (
            ("annotation_claim", "(pmid, annotator_id)", "true"),
            ("fetch_batch", "(job_id, ordinal)", "status = 'waiting'"),
            ("job", "(id)", "status IN ('waiting', 'fetching')"),
        ):
            connection.execute(
                text(
                    f"UPDATE comention.{table} SET lease = NULL WHERE {key} IN (SELECT {key[1:-1]} "
                    f"FROM comention.{table} WHERE lease IS NOT NULL AND {more} "
                    "AND leased_until < clock_timestamp() - make_interval(secs => :grace) "
                    f"ORDER BY {key[1:-1]} FOR UPDATE SKIP LOCKED)"
                ),
                grace,
            )
    return int(ended)


def clear_claims(database: Database) -> int:
    """Remove claims that have run out on citations that are no longer owed, as they were claimed; return how many."""
    with database.transaction() as connection:
        return connection.execute(
            text(
                "DELETE FROM comention.annotation_claim WHERE (pmid, annotator_id) IN ("
                "SELECT k.pmid, k.annotator_id FROM comention.annotation_claim k WHERE k.leased_until < clock_timestamp() "
                "AND NOT EXISTS (SELECT FROM comention.owed o WHERE o.annotator_id = k.annotator_id AND o.pmid = k.pmid "
                "AND o.content_hash = k.content_hash) FOR UPDATE SKIP LOCKED)"
            )
        ).rowcount
