"""What the page of a network is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.filters import View
from dashboard.store import LABELS, SUGGESTED, Kind, Unknown
from storage.network import Network, read_network
from storage.partners import Concept, find_concepts, list_titles
from storage.passages import KnownAnnotator, has_citations, list_annotators, suggest

if TYPE_CHECKING:
    from storage.reading import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPage:
    """A drug or a condition with what stands around it; ``titles`` go by kind and concept."""

    concept: Concept
    network: Network
    titles: dict[str, dict[str, str]]
    annotators: tuple[KnownAnnotator, ...]


def read_network_page(
    reader: Reader, kind: Kind, name: str, view: View, *, partners: int, others: int, lowest_ic: float | None
) -> NetworkPage | Unknown:
    """Return what stands around a drug or a condition, which may be named in any spelling."""
    label = LABELS[kind]
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        concept = find_concepts(snapshot, label, [name]).get(name)
        if concept is None:
            found = tuple(suggest(snapshot, name, limit=SUGGESTED, label=label))
            return Unknown(
                label=label, name=name, suggestions=found, is_empty=not found and not has_citations(snapshot)
            )
        network = read_network(
            snapshot,
            label,
            concept.concept,
            filters=view.filters,
            min_sentences=view.min_sentences,
            lowest_ic=lowest_ic,
            partners=partners,
            others=others,
        )
        pairs = (*network.inner, *network.outer)
        return NetworkPage(
            concept=concept,
            network=network,
            titles={
                "drug": list_titles(snapshot, "Drug", list(dict.fromkeys([row.drug for row in pairs])))
                | ({concept.concept: concept.title} if kind == "drug" else {}),
                "condition": list_titles(snapshot, "Condition", list(dict.fromkeys([row.condition for row in pairs])))
                | ({concept.concept: concept.title} if kind == "condition" else {}),
            },
            annotators=tuple(list_annotators(snapshot)),
        )
