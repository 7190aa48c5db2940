"""What stands around a drug or a condition: its partners, and theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from storage.partners import CANDIDATES, Label, PairRow, rank_partners
from storage.queries import Filters
from storage.reading import Snapshot

_COLUMNS = ", ".join(f"found.{field.name}" for field in fields(PairRow))


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The pairs of a drug or a condition with its partners, and those of its partners with others of its own kind."""

    inner: tuple[PairRow, ...]
    outer: tuple[PairRow, ...]


def read_network(
    snapshot: Snapshot,
    label: Label,
    concept: str,
    *,
    filters: Filters,
    min_sentences: int,
    lowest_ic: float | None,
    partners: int,
    others: int,
) -> Network:
    """Return the ``partners`` with the most citations, and of each the ``others`` with the most beside ``concept``.

    ``lowest_ic`` leaves out pairs whose information component has a lower limit below it. Pairs under a filter that leaves them
    none are not measured and stay.
    """

    def passes(row: PairRow) -> bool:
        measured = row.information_component_low
        return lowest_ic is None or measured is None or measured >= lowest_ic

    ranking = rank_partners(
        snapshot,
        label,
        concept,
        filters=filters,
        min_sentences=min_sentences,
        sort="citations",
        offset=0,
        limit=partners if lowest_ic is None else CANDIDATES,
    )
    inner = [row for row in ranking.rows if passes(row)][:partners]
    if not inner or not others:
        return Network(inner=tuple(inner), outer=())
    names = [row.condition if label == "Drug" else row.drug for row in inner]
    outer: list[PairRow] = []
    fetched = others + 1 if lowest_ic is None else 10 * (others + 1)
    for rows in _rank_each(snapshot, label, names, fetched, min_sentences, filters).values():
        known = [row for row in rows if (row.drug if label == "Drug" else row.condition) != concept and passes(row)]
        outer.extend(known[:others])
    return Network(inner=tuple(inner), outer=tuple(outer))


def _rank_each(
    snapshot: Snapshot, label: Label, names: Sequence[str], limit: int, min_sentences: int, filters: Filters
) -> dict[str, list[PairRow]]:
    """Return the pairs with the most citations of each partner, in one question; ``label`` is that of what is asked for."""
    function = "top_drugs" if label == "Drug" else "top_conditions"
    mine, theirs = ("condition", "drug") if label == "Drug" else ("drug", "condition")
    rows = snapshot.rows(
        f"SELECT {_COLUMNS} FROM unnest(CAST(:names AS text[])) WITH ORDINALITY AS asked (name, place) "  # noqa: S608 - ours
        f"CROSS JOIN LATERAL analysis.{function}(asked.name, :limit, :min_sentences, CAST(:from_year AS integer), "
        "CAST(:to_year AS integer), CAST(:section AS text), CAST(:publication_type AS text), CAST(:min_score AS real)) found "
        f"ORDER BY asked.place, found.citation_count DESC, found.sentence_count DESC, found.{theirs}",
        names=list(names),
        limit=limit,
        min_sentences=min_sentences,
        **asdict(filters),
    )
    found: dict[str, list[PairRow]] = {}
    for row in rows:
        found.setdefault(row[mine], []).append(PairRow(**row))
    return found
