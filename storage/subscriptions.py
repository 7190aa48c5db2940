"""Subscriptions, what each has found, and the ledger of their ticks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from comention.errors import DatabaseError
from storage.copy import copy_rows
from storage.database import Database
from storage.locks import hold_lock
from storage.schema import subscription, subscription_tick


class SubscriptionError(DatabaseError):
    """A subscription of this name does not exist, or exists already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A query that is asked again and again; ``annotator`` is ``None`` for the one of the settings."""

    subscription_id: int
    name: str
    query: str
    every: str
    annotator: str | None
    paused: bool
    created_at: dt.datetime
    last_tick: dt.datetime | None = None
    last_status: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a query found at a tick: ``due`` is what has to be fetched of it."""

    found: int
    added: int
    lost: int
    due: tuple[int, ...]


class Tick:
    """A tick in progress; ours alone while the block of ``open_tick`` runs."""

    def __init__(self, database: Database, owner: Subscription, tick: dt.datetime, found: Found | None) -> None:
        self._database = database
        self._owner = owner
        self.tick = tick
        self.found = found
        """What an interrupted attempt had found before it was interrupted."""

    def since(self) -> dt.datetime | None:
        """When the last tick that was done to its end began to ask; ``None`` where there is none."""
        columns = subscription_tick.c
        with self._database.transaction() as connection:
            done = select(func.max(columns.started_at)).where(
                columns.subscription_id == self._owner.subscription_id, columns.status == "done"
            )
            began: dt.datetime | None = connection.execute(done).scalar_one()
            return began

    def record(
        self, pmids: Iterable[int], changed: Iterable[int] | None, *, since: dt.date | None, remarks: Sequence[str]
    ) -> Found:
        """Note what the query found, and of it what is to be fetched: what is not stored, and what changed.

        ``changed`` is ``None`` where that is not known: then all is.
        """
        with self._database.transaction() as connection:
            wanted = sorted(set(pmids))
            _stage(connection, wanted)
            values = {"id": self._owner.subscription_id, "tick": self.tick}
            added = connection.execute(text(_ADD), values).rowcount
            lost = connection.execute(text(_LOSE), values).rowcount
            stored = set(connection.execute(text(_STORED)).scalars())
            again = set(wanted if changed is None else changed)
            found = Found(
                found=len(wanted),
                added=added,
                lost=lost,
                due=tuple(pmid for pmid in wanted if pmid not in stored or pmid in again),
            )
            self._update(
                connection,
                found=found.found,
                added=added,
                lost=lost,
                due=list(found.due),
                since=since,
                remarks=list(remarks),
            )
            self.found = found
        return found

    def note_run(self, run_id: int) -> None:
        """Note which run fetches what is due."""
        with self._database.transaction() as connection:
            self._update(connection, run_id=run_id)

    def finish(self, *, failure: str | None = None) -> None:
        """Close the tick; a failed one keeps what is due, and is taken up again until the next one is due."""
        values: dict[str, object] = {"status": "failed" if failure else "done", "detail": failure}
        if failure is None:
            values["due"] = None
        with self._database.transaction() as connection:
            self._update(connection, finished_at=func.now(), **values)

    def _update(self, connection: Connection, **values: object) -> None:
        connection.execute(
            update(subscription_tick)
            .where(
                subscription_tick.c.subscription_id == self._owner.subscription_id,
                subscription_tick.c.tick == self.tick,
            )
            .values(**values)
        )


# In the order of PMIDs; a subscription has one tick in progress, so nobody else is at these rows.
_ADD = """
INSERT INTO comention.subscription_citation AS t (subscription_id, pmid, found_at)
SELECT :id, pmid, :tick FROM pg_temp.staged_found ORDER BY pmid
ON CONFLICT (subscription_id, pmid) DO UPDATE SET lost_at = NULL WHERE t.lost_at IS NOT NULL
"""
_LOSE = """
UPDATE comention.subscription_citation t SET lost_at = :tick
WHERE t.subscription_id = :id AND t.lost_at IS NULL
  AND NOT EXISTS (SELECT FROM pg_temp.staged_found f WHERE f.pmid = t.pmid)
"""
_STORED = "SELECT f.pmid FROM pg_temp.staged_found f JOIN comention.citation c USING (pmid)"


def _stage(connection: Connection, pmids: Sequence[int]) -> None:
    connection.execute(
        text("CREATE TEMPORARY TABLE IF NOT EXISTS staged_found (pmid integer PRIMARY KEY) ON COMMIT DELETE ROWS")
    )
    copy_rows(connection, "staged_found", ("pmid",), ((pmid,) for pmid in pmids), schema="pg_temp")
    connection.execute(text("ANALYZE pg_temp.staged_found"))


def add_subscription(
    database: Database, *, name: str, query: str, every: str, annotator: str | None, replace: bool = False
) -> Subscription:
    """Store a subscription; with ``replace`` one of the same name takes these values and keeps what it has found.

    Raises:
        SubscriptionError: there is one of this name.
    """
    values = {"query": query, "every": every, "annotator": annotator}
    statement = postgresql.insert(subscription).values(name=name, **values)
    if replace:
        statement = statement.on_conflict_do_update(index_elements=[subscription.c.name], set_=values)
    try:
        with database.transaction() as connection:
            connection.execute(statement)
    except DatabaseError as error:
        if isinstance(error.__cause__, IntegrityError):
            raise SubscriptionError(
                f"there is a subscription {name!r} already: choose another name, or give --replace to change it"
            ) from error
        raise
    return get_subscription(database, name)


def list_subscriptions(database: Database) -> list[Subscription]:
    """Return all subscriptions by name, with the last tick of each."""
    with database.transaction() as connection:
        rows = connection.execute(
            text(
                "SELECT s.id AS subscription_id, s.name, s.query, s.every, s.annotator, s.paused, s.created_at, "
                "t.tick AS last_tick, t.status AS last_status FROM comention.subscription s LEFT JOIN LATERAL "
                "(SELECT tick, status FROM comention.subscription_tick t WHERE t.subscription_id = s.id "
                "ORDER BY tick DESC LIMIT 1) t ON true ORDER BY s.name"
            )
        ).mappings()
        return [Subscription(**row) for row in rows]


def get_subscription(database: Database, name: str) -> Subscription:
    """Return a subscription by its name.

    Raises:
        SubscriptionError: there is none.
    """
    all_of_them = list_subscriptions(database)
    for one in all_of_them:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in all_of_them) or "none"
    raise SubscriptionError(f"there is no subscription {name!r}; there are: {known}")


def pause_subscription(database: Database, name: str, *, paused: bool) -> None:
    """Stop asking a subscription's query, or go on; ticks missed meanwhile are made up by one."""
    found = get_subscription(database, name)
    with database.transaction() as connection:
        connection.execute(update(subscription).where(subscription.c.id == found.subscription_id).values(paused=paused))


def remove_subscription(database: Database, name: str) -> None:
    """Remove a subscription with its ticks. Its citations stay, and so do the runs that fetched them."""
    found = get_subscription(database, name)
    with database.transaction() as connection:
        connection.execute(delete(subscription).where(subscription.c.id == found.subscription_id))


@contextmanager
def open_tick(database: Database, owner: Subscription, tick: dt.datetime) -> Iterator[Tick | None]:
    """Take a tick up, or the one that was interrupted or failed; ``None`` where it is done already, by whoever.

    Raises:
        SourceBusyError: another process has a tick of the same subscription in hand.
    """
    busy = f"another process is bringing in the subscription {owner.name} at this moment"
    with hold_lock(database, "comention.subscription", str(owner.subscription_id), busy=busy):
        with database.transaction() as connection:
            key = {"subscription_id": owner.subscription_id, "tick": tick}
            connection.execute(postgresql.insert(subscription_tick).values(**key).on_conflict_do_nothing())
            row = (
                connection.execute(
                    update(subscription_tick)
                    .where(subscription_tick.c.subscription_id == owner.subscription_id)
                    .where(subscription_tick.c.tick == tick, subscription_tick.c.status != "done")
                    .values(status="running", detail=None, finished_at=None)
                    .returning(subscription_tick)
                )
                .mappings()
                .one_or_none()
            )
        if row is None:
            yield None
            return
        found = None
        if row["due"] is not None:
            found = Found(found=row["found"], added=row["added"], lost=row["lost"], due=tuple(row["due"]))
        yield Tick(database, owner, tick, found)
