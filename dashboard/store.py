"""What the pages are made of: plain functions, each one snapshot of the database and as few questions as it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from dashboard.filters import EVIDENCE_SIZE, PAGE_SIZE, View
from storage.partners import (
    Concept,
    Label,
    PairRow,
    Ranking,
    RankKey,
    YearCounts,
    count_years,
    find_concepts,
    get_pair,
    list_titles,
    list_top_pairs,
    rank_partners,
)
from storage.passages import (
    CitationPassage,
    EvidenceSentence,
    KnownAnnotator,
    Suggestion,
    count_unsearched,
    get_citation,
    has_citations,
    list_annotators,
    list_evidence,
    search_sentences,
    suggest,
)

if TYPE_CHECKING:
    from storage.queries import Filters, FoundSentence
    from storage.reading import Reader, Snapshot

SUGGESTED = 8
DOWNLOADED_ROWS = 10_000
"""Rows of a download at most: the same for a ranking and for sentences."""

Kind = Literal["drug", "condition"]
LABELS: dict[Kind, Label] = {"drug": "Drug", "condition": "Condition"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """The first page: what is most reported, by whom it was found, and whether there is anything."""

    is_empty: bool
    annotators: tuple[KnownAnnotator, ...]
    pairs: tuple[PairRow, ...]
    titles: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConceptPage:
    """A drug or a condition with a page of its partners; ``titles`` and ``years`` go by the partners' concepts."""

    concept: Concept
    ranking: Ranking
    titles: dict[str, str]
    years: dict[str, YearCounts]
    annotators: tuple[KnownAnnotator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPage:
    """A pair with its measures, years and a page of its sentences; ``pair`` is None where nothing passes the filters."""

    drug: Concept
    condition: Concept
    pair: PairRow | None
    years: YearCounts
    sentences: tuple[EvidenceSentence, ...]
    next_before: int | None
    annotators: tuple[KnownAnnotator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A name that no concept has, with those that it may have been meant for."""

    label: Label
    name: str
    suggestions: tuple[Suggestion, ...]
    is_empty: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPage:
    """A page of sentences by their words; ``sentences`` is None where no word can be searched for."""

    sentences: tuple[FoundSentence, ...] | None
    next_before: int | None
    unsearched: int
    is_empty: bool


def read_home(reader: Reader, view: View, *, limit: int = 10) -> Home:
    """Return the first page."""
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        pairs = list_top_pairs(snapshot, limit).rows
        titles = {
            **list_titles(snapshot, "Drug", [one.drug for one in pairs]),
            **list_titles(snapshot, "Condition", [one.condition for one in pairs]),
        }
        return Home(
            is_empty=not pairs and not has_citations(snapshot),
            annotators=tuple(list_annotators(snapshot)),
            pairs=pairs,
            titles=titles,
        )


def read_is_empty(reader: Reader) -> bool:
    """Say whether the database has nothing to show."""
    with reader.snapshot() as snapshot:
        return not has_citations(snapshot)


def read_suggestions(
    reader: Reader, typed: str, *, limit: int = SUGGESTED, label: Label | None = None
) -> list[Suggestion]:
    """Return the drugs and conditions that what was typed may stand for."""
    with reader.snapshot() as snapshot:
        return suggest(snapshot, typed, limit=limit, label=label)


def read_search(reader: Reader, typed: str) -> tuple[list[Suggestion], bool]:
    """Return what the search finds, and whether the database has nothing to find."""
    with reader.snapshot() as snapshot:
        found = suggest(snapshot, typed, limit=PAGE_SIZE)
        return found, not found and not has_citations(snapshot)


def find_concept(snapshot: Snapshot, label: Label, name: str, *, suggested: Label | None) -> Concept | Unknown:
    """Return what a name in any spelling means, or what it may have been meant for, of a label or of both."""
    concept = find_concepts(snapshot, label, [name]).get(name)
    if concept is not None:
        return concept
    found = tuple(suggest(snapshot, name, limit=SUGGESTED, label=suggested))
    return Unknown(label=label, name=name, suggestions=found, is_empty=not found and not has_citations(snapshot))


def find_pair(snapshot: Snapshot, drug: str, condition: str) -> tuple[Concept, Concept] | Unknown:
    """Return what the names of a drug and of a condition mean, or the first of them that means nothing."""
    first = find_concept(snapshot, "Drug", drug, suggested="Drug")
    if isinstance(first, Unknown):
        return first
    second = find_concept(snapshot, "Condition", condition, suggested="Condition")
    return second if isinstance(second, Unknown) else (first, second)


def read_concept(
    reader: Reader, kind: Kind, name: str, view: View, *, limit: int = PAGE_SIZE, after: RankKey | None = None
) -> ConceptPage | Unknown:
    """Return a page of a drug or of a condition, which may be named in any spelling; or the page behind a row."""
    label = LABELS[kind]
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        concept = find_concept(snapshot, label, name, suggested=None)
        if isinstance(concept, Unknown):
            return concept
        ranking = rank_partners(
            snapshot,
            label,
            concept.concept,
            filters=view.filters,
            min_sentences=view.min_sentences,
            sort=view.sort,
            offset=view.offset,
            limit=limit,
            after=after,
        )
        partners = [one.condition if kind == "drug" else one.drug for one in ranking.rows]
        return ConceptPage(
            concept=concept,
            ranking=ranking,
            titles=list_titles(snapshot, "Condition" if kind == "drug" else "Drug", partners),
            years={} if view.by_mention else count_years(snapshot, label, concept.concept, partners, view.filters),
            annotators=tuple(list_annotators(snapshot)),
        )


def read_partners(reader: Reader, kind: Kind, name: str, view: View) -> tuple[PairRow, ...]:
    """Return the partners of a drug or a condition for a download: not a page, but the first `DOWNLOADED_ROWS`."""
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        return rank_partners(
            snapshot,
            LABELS[kind],
            name,
            filters=view.filters,
            min_sentences=view.min_sentences,
            sort=view.sort,
            offset=0,
            limit=DOWNLOADED_ROWS,
        ).rows


def read_pair(reader: Reader, drug: str, condition: str, view: View) -> PairPage | Unknown:
    """Return the page of a pair, whose two may be named in any spelling."""
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        both = find_pair(snapshot, drug, condition)
        if isinstance(both, Unknown):
            return both
        first, second = both
        sentences = list_evidence(
            snapshot,
            first.concept,
            second.concept,
            filters=view.filters,
            limit=EVIDENCE_SIZE + 1,
            before=view.before,
        )
        shown = tuple(sentences[:EVIDENCE_SIZE])
        without_years = replace(view.filters, from_year=None, to_year=None)
        return PairPage(
            drug=first,
            condition=second,
            pair=get_pair(snapshot, first.concept, second.concept, view.filters),
            years=count_years(snapshot, "Drug", first.concept, [second.concept], without_years)[second.concept],
            sentences=shown,
            next_before=shown[-1].sentence_id if len(sentences) > EVIDENCE_SIZE else None,
            annotators=tuple(list_annotators(snapshot)),
        )


def read_evidence(reader: Reader, drug: str, condition: str, view: View) -> list[EvidenceSentence]:
    """Return the sentences of a pair for a download: the newest `DOWNLOADED_ROWS`."""
    with reader.snapshot(annotator_id=view.annotator_id) as snapshot:
        return list_evidence(snapshot, drug, condition, filters=view.filters, limit=DOWNLOADED_ROWS)


def read_citation(reader: Reader, pmid: int) -> tuple[CitationPassage | None, tuple[KnownAnnotator, ...]]:
    """Return a citation with all mentions in it, or None where it is not stored, and the annotators there are."""
    with reader.snapshot() as snapshot:
        return get_citation(snapshot, pmid), tuple(list_annotators(snapshot))


def read_sentences(
    reader: Reader, query: str, filters: Filters, *, limit: int = EVIDENCE_SIZE, before: int | None = None
) -> FoundPage:
    """Return a page of the sentences that a full-text query finds; ``before`` is the last one of the page before."""
    with reader.snapshot() as snapshot:
        unsearched = count_unsearched(snapshot)
        if not query:
            return FoundPage(
                sentences=(), next_before=None, unsearched=unsearched, is_empty=not has_citations(snapshot)
            )
        found = search_sentences(snapshot, query, filters=filters, limit=limit + 1, before=before)
        shown = None if found is None else tuple(found[:limit])
        return FoundPage(
            sentences=shown,
            next_before=shown[-1].sentence_id if shown and found and len(found) > limit else None,
            unsearched=unsearched,
            is_empty=not found and not has_citations(snapshot),
        )
