"""What a program asks for: one thing at a time, from the same functions that the pages are made of, each one snapshot."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard.store import Unknown, find_pair
from storage.coverage import (
    CoveredPmid,
    IngestRun,
    KnownSubscription,
    list_coverage,
    list_runs,
    list_subscriptions,
)
from storage.export_documents import DOCUMENT_WRITERS, ExportHeader
from storage.partners import Concept, PairRow, Ranking, RankKey, YearCounts, count_years, get_pair, list_top_pairs
from storage.passages import (
    EvidenceSentence,
    KnownAnnotator,
    count_unsearched,
    get_exported,
    has_citations,
    list_annotators,
    list_evidence,
)

if TYPE_CHECKING:
    from comention.offset_units import OffsetUnit
    from storage.queries import Filters
    from storage.reading import Reader

SHOWN_RUNS = 20
"""Runs of a status: the last ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAnswer:
    """A pair; ``pair`` is None where the two never stand together under the filters."""

    drug: Concept
    condition: Concept
    pair: PairRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class YearsAnswer:
    """Citations of a pair by year."""

    drug: Concept
    condition: Concept
    years: YearCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceAnswer:
    """A page of the sentences of a pair."""

    drug: Concept
    condition: Concept
    sentences: tuple[EvidenceSentence, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the database stands."""

    is_empty: bool
    unsearched: int
    most_cited: PairRow | None
    annotators: tuple[KnownAnnotator, ...]
    subscriptions: tuple[KnownSubscription, ...]
    runs: tuple[IngestRun, ...]


def read_top_pairs(
    reader: Reader, *, annotator_id: int | None, min_sentences: int, limit: int, after: RankKey | None
) -> Ranking:
    """Return a page of the pairs with the most citations of all."""
    with reader.snapshot(annotator_id=annotator_id) as snapshot:
        return list_top_pairs(snapshot, limit, min_sentences=min_sentences, after=after)


def read_pair_measures(
    reader: Reader, drug: str, condition: str, filters: Filters, *, annotator_id: int | None
) -> PairAnswer | Unknown:
    """Return a pair with its counts and measures; its two may be named in any spelling."""
    with reader.snapshot(annotator_id=annotator_id) as snapshot:
        both = find_pair(snapshot, drug, condition)
        if isinstance(both, Unknown):
            return both
        pair = get_pair(snapshot, both[0].concept, both[1].concept, filters)
        return PairAnswer(drug=both[0], condition=both[1], pair=pair)


def read_pair_years(
    reader: Reader, drug: str, condition: str, filters: Filters, *, annotator_id: int | None
) -> YearsAnswer | Unknown:
    """Return the citations of a pair by year, between the years of the filters."""
    with reader.snapshot(annotator_id=annotator_id) as snapshot:
        both = find_pair(snapshot, drug, condition)
        if isinstance(both, Unknown):
            return both
        first, second = both
        years = count_years(snapshot, "Drug", first.concept, [second.concept], filters)
        return YearsAnswer(drug=first, condition=second, years=years[second.concept])


def read_pair_evidence(
    reader: Reader,
    drug: str,
    condition: str,
    filters: Filters,
    *,
    annotator_id: int | None,
    limit: int,
    before: int | None,
) -> EvidenceAnswer | Unknown:
    """Return a page of the sentences of a pair; ``before`` is the last one of the page before."""
    with reader.snapshot(annotator_id=annotator_id) as snapshot:
        both = find_pair(snapshot, drug, condition)
        if isinstance(both, Unknown):
            return both
        first, second = both
        found = list_evidence(snapshot, first.concept, second.concept, filters=filters, limit=limit + 1, before=before)
        shown = tuple(found[:limit])
        return EvidenceAnswer(
            drug=first,
            condition=second,
            sentences=shown,
            next_before=shown[-1].sentence_id if len(found) > limit else None,
        )


def read_document(reader: Reader, pmid: int, *, form: str, unit: OffsetUnit, annotator_id: int | None) -> bytes | None:
    """Return a citation as a document of a form of `DOCUMENT_WRITERS`, or None where it or the annotator is not there.

    Raises:
        ExportError: the package that writes BioC is not installed.
    """
    with reader.snapshot() as snapshot:
        known = list_annotators(snapshot)
        chosen = next(
            (one for one in known if (one.promoted if annotator_id is None else one.annotator_id == annotator_id)), None
        )
        citation = get_exported(snapshot, pmid, annotator_id=annotator_id)
    if citation is None or (chosen is None and annotator_id is not None):
        return None
    header = ExportHeader(
        unit=unit,
        annotator="" if chosen is None else chosen.name,
        revision="" if chosen is None else chosen.revision,
        date=dt.datetime.now(dt.UTC).date().isoformat(),
    )
    out = io.BytesIO()
    DOCUMENT_WRITERS[form]([citation], out, header)
    return out.getvalue()


def read_annotators(reader: Reader) -> list[KnownAnnotator]:
    """Return the annotators that have run, the promoted one first."""
    with reader.snapshot() as snapshot:
        return list_annotators(snapshot)


def read_coverage(reader: Reader, pmids: Sequence[int]) -> list[CoveredPmid]:
    """Return what became of each PMID that is known."""
    with reader.snapshot() as snapshot:
        return list_coverage(snapshot, pmids)


def read_standing(reader: Reader) -> Standing:
    """Return how the database stands."""
    with reader.snapshot() as snapshot:
        first = list_top_pairs(snapshot, 1).rows
        return Standing(
            is_empty=not has_citations(snapshot),
            unsearched=count_unsearched(snapshot),
            most_cited=first[0] if first else None,
            annotators=tuple(list_annotators(snapshot)),
            subscriptions=tuple(list_subscriptions(snapshot)),
            runs=tuple(list_runs(snapshot, SHOWN_RUNS)),
        )
