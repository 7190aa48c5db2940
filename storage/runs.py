"""The ingest ledger: what was read from each source and what became of every record."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from comention import __version__
from storage.copy import copy_rows
from storage.database import Database
from storage.locks import hold_lock
from storage.schema import ingest_exception, ingest_run


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestException:
    """A record that was read and not stored: ``outcome`` is superseded, withdrawn, refused or missing."""

    position: int
    pmid: int | None
    outcome: str
    reason: str


@dataclass(slots=True, kw_only=True)
class IngestCounts:
    """What became of the records of a run; ``read`` is the sum of the others."""

    new: int = 0
    revised: int = 0
    unchanged: int = 0
    deleted: int = 0
    superseded: int = 0
    withdrawn: int = 0
    refused: int = 0
    missing: int = 0
    exceptions: list[IngestException] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Records read."""
        return sum(self.by_outcome().values())

    @property
    def stored(self) -> int:
        """Citations that are in the database now, as this source has them."""
        return self.new + self.revised + self.unchanged

    def by_outcome(self) -> dict[str, int]:
        """Return the counts by the name of the outcome."""
        return {name: value for name, value in asdict(self).items() if name != "exceptions"}

    def explain(self, exception: IngestException) -> None:
        """Count a record that is not stored, with its reason."""
        setattr(self, exception.outcome, getattr(self, exception.outcome) + 1)
        self.exceptions.append(exception)

    def add(self, other: IngestCounts) -> None:
        """Add another batch's counts and exceptions."""
        for name, value in other.by_outcome().items():
            setattr(self, name, getattr(self, name) + value)
        self.exceptions.extend(other.exceptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """An earlier run that read the same source to its end."""

    run_id: int
    finished_at: dt.datetime
    counts: IngestCounts


class IngestRun:
    """A run in progress. Counts are written with every batch, so an interrupted run shows how far it came.

    ``done`` records of the source were read and committed before the run was interrupted: they are not to be read again, or
    the ledger would not be that of an undisturbed run.
    """

    def __init__(self, database: Database, run_id: int, source_key: str, counts: IngestCounts) -> None:
        self._database = database
        self.run_id = run_id
        self.source_key = source_key
        self.counts = counts
        self.done = counts.read

    def add(self, connection: Connection, batch: IngestCounts) -> None:
        """Add a batch's counts to the ledger in the transaction that stores the batch."""
        connection.execute(
            update(ingest_run)
            .where(ingest_run.c.id == self.run_id)
            .values(
                read=ingest_run.c.read + batch.read,
                **{name: ingest_run.c[name] + value for name, value in batch.by_outcome().items()},
            )
        )
        if batch.exceptions:
            columns = ("run_id", "position", "pmid", "outcome", "reason")
            copy_rows(
                connection,
                ingest_exception.name,
                columns,
                [(self.run_id, e.position, e.pmid, e.outcome, e.reason) for e in batch.exceptions],
            )

    def finish(self, *, failure: str | None = None) -> None:
        """Close the run; ``failure`` says why a source could not be read to its end."""
        with self._database.transaction() as connection:
            connection.execute(
                update(ingest_run)
                .where(ingest_run.c.id == self.run_id)
                .values(finished_at=func.now(), status="failed" if failure else "done", detail=failure)
            )


def find_finished_run(database: Database, source_key: str) -> FinishedRun | None:
    """Return the last run of this program's version that read the same source to its end."""
    with database.transaction() as connection:
        row = _last_run(connection, source_key)
        if row is None or row["status"] != "done":
            return None
        return FinishedRun(run_id=row["id"], finished_at=row["finished_at"], counts=_counts(connection, row))


def find_finished_release(database: Database, name: str) -> FinishedRun | None:
    """Return the last run that read a file of this name to its end, by whatever version: NLM never changes a numbered file."""
    with database.transaction() as connection:
        row = (
            connection.execute(
                select(ingest_run)
                .where(ingest_run.c.source == name, ingest_run.c.status == "done")
                .where(ingest_run.c.kind.in_(("file", "baseline", "updates")))
                .order_by(ingest_run.c.id.desc())
                .limit(1)
            )
            .mappings()
            .one_or_none()
        )
        if row is None:
            return None
        return FinishedRun(run_id=row["id"], finished_at=row["finished_at"], counts=_counts(connection, row))


def _last_run(connection: Connection, source_key: str) -> RowMapping | None:
    """Return the last run over a source by this program's version: another one may read the records differently."""
    return (
        connection.execute(
            select(ingest_run)
            .where(ingest_run.c.source_key == source_key, ingest_run.c.program_version == __version__)
            .order_by(ingest_run.c.id.desc())
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )


def _counts(connection: Connection, run: RowMapping) -> IngestCounts:
    exceptions = connection.execute(
        select(ingest_exception).where(ingest_exception.c.run_id == run["id"]).order_by(ingest_exception.c.position)
    ).mappings()
    return IngestCounts(
        **{name: run[name] for name in IngestCounts().by_outcome()},
        exceptions=[
            IngestException(position=e["position"], pmid=e["pmid"], outcome=e["outcome"], reason=e["reason"])
            for e in exceptions
        ],
    )


@contextmanager
def open_run(
    database: Database, *, kind: str, source: str, source_key: str, requested: int | None = None
) -> Iterator[IngestRun]:
    """Start a run, or take up the one that was interrupted; the source is ours alone while the block runs.

    ``requested`` is how many records are asked for, where that is known before they are read; Postgres refuses to take a run
    for done that has not accounted for each.

    A run that an exception leaves stays ``running`` and is taken up by the next call, unless the block finished it.

    Raises:
        SourceBusyError: another process is bringing in the same source at this moment.
    """
    with hold_lock(
        database, "comention.ingest", source_key, busy=f"another process is bringing in {source} at this moment"
    ):
        yield _start(database, kind, source, source_key, requested)


def _start(database: Database, kind: str, source: str, source_key: str, requested: int | None) -> IngestRun:
    with database.transaction() as connection:
        row = _last_run(connection, source_key)
        if row is not None and row["status"] != "done":
            connection.execute(
                update(ingest_run)
                .where(ingest_run.c.id == row["id"])
                .values(status="running", detail=None, source=source, finished_at=None, requested=requested)
            )
            return IngestRun(database, row["id"], source_key, _counts(connection, row))
        started = connection.execute(
            insert(ingest_run)
            .values(kind=kind, source=source, source_key=source_key, program_version=__version__, requested=requested)
            .returning(ingest_run.c.id)
        )
        return IngestRun(database, int(started.scalar_one()), source_key, IngestCounts())
