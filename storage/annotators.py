"""The annotators known to a database, and which of them the default views show."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from comention.errors import DatabaseError
from comention.types import AnnotatorInfo
from storage.database import Database
from storage.schema import annotator


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredAnnotator:
    """An annotator with its number in this database."""

    annotator_id: int
    info: AnnotatorInfo
    promoted: bool


def register_annotator(database: Database, info: AnnotatorInfo) -> int:
    """Return the annotator's number, giving it one at its first run. The first of all is promoted."""
    identity = {
        "name": info.name,
        "version": info.version,
        "model": info.model,
        "revision": info.revision,
        "config_hash": info.config_hash,
    }
    with database.transaction() as connection:
        known = connection.execute(select(annotator.c.id).filter_by(**identity)).scalar_one_or_none()
        if known is not None:
            return int(known)
        connection.execute(text("LOCK TABLE comention.annotator IN SHARE ROW EXCLUSIVE MODE"))
        connection.execute(
            insert(annotator)
            .values(
                **identity,
                labels=list(info.labels),
                promoted=~select(annotator.c.id).where(annotator.c.promoted).exists(),
            )
            .on_conflict_do_nothing()
        )
        return int(connection.execute(select(annotator.c.id).filter_by(**identity)).scalar_one())


def list_registered(database: Database) -> list[RegisteredAnnotator]:
    """Return every annotator that has run on this database, in the order of their first runs."""
    with database.transaction() as connection:
        rows = connection.execute(select(annotator).order_by(annotator.c.id)).mappings()
        return [
            RegisteredAnnotator(
                annotator_id=row["id"],
                promoted=row["promoted"],
                info=AnnotatorInfo(
                    name=row["name"],
                    version=row["version"],
                    model=row["model"],
                    revision=row["revision"],
                    labels=tuple(row["labels"]),
                    config_hash=row["config_hash"],
                ),
            )
            for row in rows
        ]


def promote_annotator(database: Database, annotator_id: int) -> None:
    """Make the default views show this annotator.

    Raises:
        DatabaseError: there is no such annotator.
    """
    with database.transaction() as connection:
        connection.execute(text("LOCK TABLE comention.annotator IN SHARE ROW EXCLUSIVE MODE"))
        connection.execute(text("UPDATE comention.annotator SET promoted = false WHERE promoted"))
        changed = connection.execute(
            text("UPDATE comention.annotator SET promoted = true WHERE id = :id"), {"id": annotator_id}
        )
        if changed.rowcount != 1:
            raise DatabaseError(f"there is no annotator number {annotator_id}: see `comention annotators list`")
