"""Late linking: which concept a name stands for. Mentions are never rewritten; the counts move with the names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, text

from comention.names import normalise_name
from storage.database import Database

BATCH_NAMES = 500
"""Names that one transaction links. Nobody else counts meanwhile, so it is kept short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A spelling, and the concept of a terminology that it stands for."""

    name: str
    curie: str
    preferred_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounts:
    """What linking came to: names that are new, names that stand for another concept now, names that did already."""

    new: int = 0
    linked: int = 0
    unchanged: int = 0

    def __add__(self, other: LinkCounts) -> LinkCounts:
        return LinkCounts(
            new=self.new + other.new, linked=self.linked + other.linked, unchanged=self.unchanged + other.unchanged
        )


def link_names(
    database: Database, label: str, links: Iterable[Link], *, on_progress: Callable[[LinkCounts], None] | None = None
) -> LinkCounts:
    """Let names of a label stand for concepts of a terminology, and move the counts of every citation that has one.

    Names that no text has had so far are stored too, so that they are linked when they come. Of several links for one name the
    last holds. Each portion is one transaction: what is linked stays linked if it stops, and repeating it changes nothing.
    ``on_progress`` gets what the names so far came to, after each portion.
    """
    wanted: dict[str, Link] = {}
    for link in links:
        wanted[normalise_name(link.name)] = link
    total = LinkCounts()
    for portion in _portions(sorted(wanted.items())):
        with database.transaction() as connection:
            total += _link(connection, label, portion)
        if on_progress is not None:
            on_progress(total)
    return total


def _portions(items: Sequence[tuple[str, Link]]) -> Iterator[list[tuple[str, Link]]]:
    remaining = iter(items)
    while portion := list(islice(remaining, BATCH_NAMES)):
        yield portion


def _link(connection: Connection, label: str, portion: Sequence[tuple[str, Link]]) -> LinkCounts:
    values = {
        "label": label,
        "names": [name for name, _ in portion],
        "curies": [link.curie for _, link in portion],
        "preferred": [link.preferred_name for _, link in portion],
    }
    connection.execute(
        text("INSERT INTO comention.label (name) VALUES (:label) ON CONFLICT DO NOTHING"), {"label": label}
    )
    connection.execute(
        text(
            "INSERT INTO comention.concept (label_id, key, curie, preferred_name) "
            "SELECT DISTINCT ON (w.curie) l.id, w.curie, true, w.preferred "
            "FROM unnest(CAST(:curies AS text[]), CAST(:preferred AS text[])) w (curie, preferred) "
            "JOIN comention.label l ON l.name = :label ORDER BY w.curie, w.preferred NULLS LAST "
            "ON CONFLICT (label_id, key) DO UPDATE SET curie = true, "
            "preferred_name = coalesce(EXCLUDED.preferred_name, comention.concept.preferred_name)"
        ),
        values,
    )
    new = connection.execute(
        text(
            "INSERT INTO comention.name (label_id, text, concept_id) SELECT l.id, w.name, c.id "
            "FROM unnest(CAST(:names AS text[]), CAST(:curies AS text[])) w (name, curie) "
            "JOIN comention.label l ON l.name = :label JOIN comention.concept c ON c.label_id = l.id AND c.key = w.curie "
            "ORDER BY w.name ON CONFLICT DO NOTHING"
        ),
        values,
    ).rowcount
    linked = connection.execute(
        text(
            "SELECT comention.link_names(array_agg(n.id), array_agg(c.id)) "
            "FROM unnest(CAST(:names AS text[]), CAST(:curies AS text[])) w (name, curie) "
            "JOIN comention.label l ON l.name = :label JOIN comention.concept c ON c.label_id = l.id AND c.key = w.curie "
            "JOIN comention.name n ON n.label_id = l.id AND n.text = w.name"
        ),
        values,
    ).scalar_one()
    return LinkCounts(new=new, linked=int(linked), unchanged=len(portion) - new - int(linked))
