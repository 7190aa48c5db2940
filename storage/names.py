"""Names and labels, interned: a mention holds a number where it would repeat a text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, text

from comention.names import normalise_name
from storage.database import Database

Surface = tuple[str, str]
"""A label and a surface form, as it stands in a text."""

Spelling = tuple[str, str]
"""A label and a normalised surface form."""


class NameTable:
    """The numbers of names, remembered for as long as one process writes.

    New names are stored in a transaction of their own, so that two writers that meet the same new name do not wait for each
    other's batch; a name that no mention uses in the end does no harm. Not thread-safe.
    """

    def __init__(self, database: Database, *, capacity: int = 1_000_000) -> None:
        self._database = database
        self._capacity = capacity
        self._numbers: dict[Spelling, int] = {}
        self._surfaces: dict[Surface, int] = {}

    def number_surfaces(self, surfaces: Sequence[Surface]) -> list[int]:
        """Return the number of the name of each surface form, in step with them, storing names that are new.

        Forms come again and again, and folding one takes longer than anything else that a writer does with a mention.
        """
        if len(self._surfaces) > self._capacity:
            self._surfaces.clear()
        unknown = set(surfaces).difference(self._surfaces)
        if unknown:
            spellings = {(label, surface): (label, normalise_name(surface)) for label, surface in unknown}
            numbers = self.intern(spellings.values())
            self._surfaces.update((surface, numbers[spelling]) for surface, spelling in spellings.items())
        return [self._surfaces[surface] for surface in surfaces]

    def intern(self, spellings: Iterable[Spelling]) -> dict[Spelling, int]:
        """Return the number of every spelling, storing those that are new."""
        wanted = set(spellings)
        if len(self._numbers) > self._capacity:
            self._numbers.clear()
        unknown = sorted(wanted - self._numbers.keys())
        if unknown:
            with self._database.transaction() as connection:
                found = _find(connection, unknown)
                if len(found) < len(unknown):
                    _store(connection, [spelling for spelling in unknown if spelling not in found])
                    found = _find(connection, unknown)
            self._numbers.update(found)
        return {spelling: self._numbers[spelling] for spelling in wanted}


def _arrays(spellings: list[Spelling]) -> dict[str, list[str]]:
    return {"labels": [label for label, _ in spellings], "names": [name for _, name in spellings]}


def _find(connection: Connection, spellings: list[Spelling]) -> dict[Spelling, int]:
    rows = connection.execute(
        text(
            "SELECT l.name AS label, n.text, n.id FROM unnest(CAST(:labels AS text[]), CAST(:names AS text[])) w (label, name) "
            "JOIN comention.label l ON l.name = w.label JOIN comention.name n ON n.label_id = l.id AND n.text = w.name"
        ),
        _arrays(spellings),
    )
    return {(row.label, row.text): row.id for row in rows}


def _store(connection: Connection, spellings: list[Spelling]) -> None:
    """Store labels, then for each name the concept that it is until a terminology knows better, then the name."""
    arrays = _arrays(spellings)
    connection.execute(
        text(
            "INSERT INTO comention.label (name) SELECT DISTINCT label FROM unnest(CAST(:labels AS text[])) w (label) "
            "WHERE NOT EXISTS (SELECT FROM comention.label l WHERE l.name = w.label) ORDER BY label ON CONFLICT DO NOTHING"
        ),
        {"labels": arrays["labels"]},
    )
    source = (
        "FROM unnest(CAST(:labels AS text[]), CAST(:names AS text[])) w (label, name) "
        "JOIN comention.label l ON l.name = w.label "
    )
    connection.execute(
        text(
            f"INSERT INTO comention.concept (label_id, key) SELECT l.id, w.name {source}"
            "ORDER BY l.id, w.name ON CONFLICT DO NOTHING"
        ),
        arrays,
    )
    connection.execute(
        text(
            f"INSERT INTO comention.name (label_id, text, concept_id) SELECT l.id, w.name, c.id {source}"
            "JOIN comention.concept c ON c.label_id = l.id AND c.key = w.name ORDER BY l.id, w.name ON CONFLICT DO NOTHING"
        ),
        arrays,
    )
