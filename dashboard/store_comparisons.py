"""What the pages that put two things side by side are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.filters import EVIDENCE_SIZE, View
from dashboard.store import SUGGESTED, Unknown
from storage.partners import Concept, find_concepts, list_titles
from storage.passages import KnownAnnotator, has_citations, list_annotators, suggest
from storage.side_by_side import (
    DifferingSentence,
    LabelAgreement,
    Order,
    SharedConditions,
    Shown,
    list_agreement,
    list_differences,
    list_shared_conditions,
)

if TYPE_CHECKING:
    from storage.reading import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPage:
    """Two drugs with a page of their conditions; ``titles`` go by the conditions' concepts."""

    drugs: tuple[Concept, Concept]
    shared: SharedConditions
    titles: dict[str, str]
    annotators: tuple[KnownAnnotator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementPage:
    """Two annotators: how far they agree on the citations looked at, and a page of the sentences where they do not."""

    first: KnownAnnotator
    second: KnownAnnotator
    citations: int
    labels: tuple[LabelAgreement, ...]
    sentences: tuple[DifferingSentence, ...]
    next_before: int | None


def read_comparison(
    reader: Reader, first: str, second: str, view: View, *, shown: Shown, order: Order, limit: int
) -> ComparisonPage | Unknown:
    """Return two drugs, which may be named in any spelling, side by side."""
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        concepts = find_concepts(snapshot, "Drug", [first, second])
        for name in (first, second):
            if name not in concepts:
                found = tuple(suggest(snapshot, name, limit=SUGGESTED, label="Drug"))
                return Unknown(
                    label="Drug", name=name, suggestions=found, is_empty=not found and not has_citations(snapshot)
                )
        drugs = (concepts[first], concepts[second])
        shared = list_shared_conditions(
            snapshot,
            (drugs[0].concept, drugs[1].concept),
            (drugs[0].citation_count, drugs[1].citation_count),
            filters=view.filters,
            min_sentences=view.min_sentences,
            shown=shown,
            order=order,
            offset=view.offset,
            limit=limit,
        )
        return ComparisonPage(
            drugs=drugs,
            shared=shared,
            titles=list_titles(snapshot, "Condition", [row.condition for row in shared.rows]),
            annotators=tuple(list_annotators(snapshot)),
        )


def read_agreement(
    reader: Reader, first: int | None, second: int | None, view: View, *, label: str | None
) -> tuple[tuple[KnownAnnotator, ...], AgreementPage | None]:
    """Return the annotators there are, and two of them compared, or None where one of the two is not known or they are one.

    Where none is named, the promoted one is compared with the last of the others.
    """
    with reader.snapshot() as snapshot:
        annotators = tuple(list_annotators(snapshot))
        known = {one.annotator_id: one for one in annotators}
        numbers = list(known)
        first = first if first is not None else next((one for one in numbers if one != second), None)
        second = second if second is not None else next((one for one in numbers if one != first), None)
        if first is None or second is None or first == second or first not in known or second not in known:
            return annotators, None
        citations, labels = list_agreement(snapshot, first, second)
        sentences, following = list_differences(
            snapshot, first, second, label=label, before=view.before, limit=EVIDENCE_SIZE
        )
        return annotators, AgreementPage(
            first=known[first],
            second=known[second],
            citations=citations,
            labels=tuple(labels),
            sentences=tuple(sentences),
            next_before=following,
        )
