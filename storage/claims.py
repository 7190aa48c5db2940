"""Which worker annotates what: citations are lent for a time, and a result counts only while the loan is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy import text

from comention.errors import DatabaseError
from storage.annotations import PendingCitation, read_pending
from storage.database import Database


@dataclass(slots=True, kw_only=True)
class Holder:
    """A worker process, as whoever takes work. ``name`` is unique, and its sessions call themselves so."""

    name: str
    lease_seconds: float
    unreleased: list[ClaimedCitations] = field(default_factory=list)
    """What could not be given back, because Postgres was away; the next claim does it."""

    def take_unreleased(self) -> list[ClaimedCitations]:
        """Return what could not be given back, for the caller to try; several threads may ask."""
        taken = self.unreleased.copy()
        del self.unreleased[: len(taken)]
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedCitations:
    """Citations that are ours under ``lease``, in order of PMID.

    ``attempts`` says of each how often it was begun before and not ended. Where any was, all were: these are suspects of having
    ended their worker, and are to be tried one by one, each after `begin_attempt`.
    """

    annotator_id: int
    lease: UUID
    pending: tuple[PendingCitation, ...]
    attempts: dict[int, int]

    @property
    def are_suspects(self) -> bool:
        """True where they were begun before."""
        return any(self.attempts.values())


def claim_citations(
    database: Database,
    annotator_id: int,
    holder: Holder,
    *,
    limit: int,
    among: Sequence[int] | None = None,
    after_pmid: int = 0,
) -> ClaimedCitations | None:
    """Take the next citations owed to an annotator: of the PMIDs ``among``, or after a PMID. ``None`` where there are none.

    What others were lost at comes first, and alone.
    """
    for left in holder.take_unreleased():
        release_quietly(database, holder, left)
    lease = uuid4()
    with database.autocommit() as connection:
        rows = connection.execute(
            text(
                "SELECT claimed_pmid, attempts_before FROM comention.claim_annotations("
                "CAST(:annotator AS smallint), CAST(:among AS integer[]), :after, :limit, :worker, :lease, :seconds)"
            ),
            {
                "annotator": annotator_id,
                "among": None if among is None else list(among),
                "after": after_pmid,
                "limit": limit,
                "worker": holder.name,
                "lease": lease,
                "seconds": holder.lease_seconds,
            },
        ).all()
    if not rows:
        return None
    attempts = {row.claimed_pmid: row.attempts_before for row in rows}
    pending = read_pending(database, annotator_id, sorted(attempts))
    return ClaimedCitations(annotator_id=annotator_id, lease=lease, pending=tuple(pending), attempts=attempts)


def begin_attempt(
    database: Database, claimed: ClaimedCitations, holder: Holder, *, pmid: int | None, survived: int | None
) -> bool:
    """Count an attempt at a suspect before it is made, and clear the one before it, of which a result is in hand.

    False where the lease was lost meanwhile: then nobody waits for what we find.
    """
    with database.autocommit() as connection:
        return bool(
            connection.execute(
                text(
                    "SELECT comention.begin_attempt(CAST(:annotator AS smallint), :lease, CAST(:next AS integer), "
                    "CAST(:survived AS integer), :seconds)"
                ),
                {
                    "annotator": claimed.annotator_id,
                    "lease": claimed.lease,
                    "next": pmid,
                    "survived": survived,
                    "seconds": holder.lease_seconds,
                },
            ).scalar_one()
        )


def renew_citations(database: Database, claimed: ClaimedCitations, holder: Holder) -> bool:
    """Begin the lease's time anew. False where any of the citations is no longer ours."""
    with database.autocommit() as connection:
        renewed = connection.execute(
            text(
                "UPDATE comention.annotation_claim SET leased_until = clock_timestamp() + make_interval(secs => :seconds) "
                "WHERE annotator_id = :annotator AND lease = :lease"
            ),
            {"annotator": claimed.annotator_id, "lease": claimed.lease, "seconds": holder.lease_seconds},
        )
        return renewed.rowcount == len(claimed.attempts)


def release_citations(database: Database, claimed: ClaimedCitations) -> None:
    """Give back what was not done: a first attempt is not counted, and suspects remain suspects."""
    with database.transaction() as connection:
        if claimed.are_suspects:
            statement = "UPDATE comention.annotation_claim SET leased_until = clock_timestamp(), lease = NULL"
        else:
            statement = "DELETE FROM comention.annotation_claim"
        connection.execute(
            text(f"{statement} WHERE annotator_id = :annotator AND lease = :lease"),
            {"annotator": claimed.annotator_id, "lease": claimed.lease},
        )


def release_quietly(database: Database, holder: Holder, claimed: ClaimedCitations) -> None:
    """Give back what was not done, or remember to where Postgres does not answer."""
    try:
        release_citations(database, claimed)
    except DatabaseError:
        holder.unreleased.append(claimed)


def choose_annotator(database: Database, name: str, annotator_id: int) -> None:
    """Note which annotator a name stands for, now that it was loaded."""
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO comention.annotator_choice AS c (name, annotator_id) VALUES (:name, :id) "
                "ON CONFLICT (name) DO UPDATE SET annotator_id = excluded.annotator_id "
                "WHERE c.annotator_id <> excluded.annotator_id"
            ),
            {"name": name, "id": annotator_id},
        )


def find_chosen(database: Database, name: str) -> int | None:
    """Return the number of the annotator that a name stood for when it was last loaded; ``None`` where it never was."""
    with database.transaction() as connection:
        found: int | None = connection.execute(
            text("SELECT annotator_id FROM comention.annotator_choice WHERE name = :name"), {"name": name}
        ).scalar_one_or_none()
        return found


def count_free(database: Database, annotator_id: int, *, at_most: int) -> int:
    """Count the citations that an annotator owes and nobody has in hand, up to ``at_most``."""
    with database.transaction() as connection:
        return int(
            connection.execute(
                text(
                    "SELECT count(*) FROM (SELECT FROM comention.owed o WHERE o.annotator_id = :annotator "
                    "AND NOT EXISTS (SELECT FROM comention.annotation_claim k WHERE k.pmid = o.pmid "
                    "AND k.annotator_id = o.annotator_id AND k.content_hash = o.content_hash "
                    "AND k.leased_until > clock_timestamp()) LIMIT :at_most) free"
                ),
                {"annotator": annotator_id, "at_most": at_most},
            ).scalar_one()
        )


def count_backlog(database: Database, annotator_id: int, *, at_most: int) -> int:
    """Count the citations that an annotator owes, in hand or not, up to ``at_most``."""
    with database.transaction() as connection:
        return int(
            connection.execute(
                text(
                    "SELECT count(*) FROM (SELECT FROM comention.owed WHERE annotator_id = :annotator LIMIT :at_most) owed"
                ),
                {"annotator": annotator_id, "at_most": at_most},
            ).scalar_one()
        )
