"""Sentences and abstracts with what is marked in them: evidence, a citation, sentences by their words, suggestions."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from storage.exports import ExportedCitation, Selection
from storage.exports import Snapshot as ExportSnapshot
from storage.partners import Label
from storage.queries import FOUND_MARKS, FOUND_SENTENCES, Filters, FoundSentence, found_sentence
from storage.reading import Snapshot

Spans = tuple[tuple[int, int], ...]
"""Starts and ends in a text, in Unicode code points from 0, half-open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSentence:
    """A sentence that mentions both of a pair; spans are of the sentence. ``score`` is the lower of the two best."""

    pmid: int
    sentence_id: int
    section: str
    year: int | None
    title: str
    journal: str | None
    publication_types: tuple[str, ...]
    score: float
    text: str
    drug_spans: Spans
    condition_spans: Spans


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationMention:
    """A mention in a citation; offsets count in the citation's text."""

    sentence_id: int
    label: str
    start_char: int
    end_char: int
    name: str
    concept: str
    score: float
    annotator: str
    annotator_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationSentence:
    """A sentence of a citation; offsets count in the citation's text."""

    sentence_id: int
    section: str
    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationPassage:
    """A citation with its sentences and the mentions of all annotators, in the order of their offsets."""

    pmid: int
    title: str
    abstract: str
    journal: str | None
    published_on: dt.date | None
    year: int | None
    publication_types: tuple[str, ...]
    retracted: bool
    doi: str | None
    pmc: str | None
    corrections: tuple[dict[str, Any], ...]
    sentences: tuple[CitationSentence, ...]
    mentions: tuple[CitationMention, ...]

    @property
    def text(self) -> str:
        """The text that offsets count in: title, newline, abstract, or the title alone."""
        return f"{self.title}\n{self.abstract}" if self.abstract else self.title


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """A drug or a condition whose name begins with what was typed or resembles it; ``name`` is the spelling that fits best."""

    label: Label
    concept: str
    preferred_name: str | None
    name: str
    sentence_count: int
    citation_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAnnotator:
    """An annotator that has run on this database."""

    annotator_id: int
    name: str
    version: str
    model: str
    revision: str
    labels: tuple[str, ...]
    promoted: bool


def list_evidence(
    snapshot: Snapshot, drug: str, condition: str, *, filters: Filters, limit: int, before: int | None = None
) -> list[EvidenceSentence]:
    """Return sentences that mention both, highest PMID first; ``before`` is the last ``sentence_id`` of the page before."""
    rows = snapshot.rows(
        """
        SELECT pmid, sentence_id, section_label AS section, year, title, journal, publication_types, score, text,
               drug_starts, drug_ends, condition_starts, condition_ends
        FROM analysis.evidence(:drug, :condition, :limit, CAST(:from_year AS integer), CAST(:to_year AS integer),
                               CAST(:section AS text), CAST(:publication_type AS text), CAST(:min_score AS real),
                               CAST(:before AS bigint))
        """,
        drug=drug,
        condition=condition,
        limit=limit,
        before=before,
        **asdict(filters),
    )
    return [
        EvidenceSentence(
            publication_types=tuple(row.pop("publication_types") or ()),
            drug_spans=tuple(zip(row.pop("drug_starts"), row.pop("drug_ends"), strict=True)),
            condition_spans=tuple(zip(row.pop("condition_starts"), row.pop("condition_ends"), strict=True)),
            **row,
        )
        for row in rows
    ]


def get_citation(snapshot: Snapshot, pmid: int) -> CitationPassage | None:
    """Return a citation with the mentions of every annotator, or None where it is not stored."""
    found = snapshot.rows(
        "SELECT pmid, title, abstract, journal, published_on, year, publication_types, retracted, doi, pmc, corrections "
        "FROM analysis.citation WHERE pmid = :pmid",
        pmid=pmid,
    )
    if not found:
        return None
    [row] = found
    sentences = tuple(
        CitationSentence(**one)
        for one in snapshot.rows(
            "SELECT sentence_id, section, start_char, end_char FROM analysis.sentence WHERE pmid = :pmid ORDER BY ordinal",
            pmid=pmid,
        )
    )
    starts = {one.sentence_id: one.start_char for one in sentences}
    mentions = [
        CitationMention(
            **{
                **one,
                "start_char": starts[one["sentence_id"]] + one["start_char"],
                "end_char": starts[one["sentence_id"]] + one["end_char"],
            }
        )
        for one in snapshot.rows(
            "SELECT sentence_id, label, start_char, end_char, name, concept, score, annotator, annotator_id "
            "FROM analysis.annotator_mention WHERE pmid = :pmid",
            pmid=pmid,
        )
    ]
    mentions.sort(key=lambda one: (one.start_char, -one.end_char, one.label, one.annotator_id))
    return CitationPassage(
        **{
            **row,
            "publication_types": tuple(row["publication_types"] or ()),
            "corrections": tuple(row["corrections"] or ()),
        },
        sentences=sentences,
        mentions=tuple(mentions),
    )


def get_exported(snapshot: Snapshot, pmid: int, *, annotator_id: int | None) -> ExportedCitation | None:
    """Return a citation as it leaves the database, with the mentions of one annotator or of the promoted one.

    None where it is not stored.
    """
    selection = Selection(pmids=[pmid], annotator_id=annotator_id)
    return next(ExportSnapshot(snapshot.connection).iter_citations(selection), None)


def search_sentences(
    snapshot: Snapshot, query: str, *, filters: Filters, limit: int, before: int | None = None
) -> list[FoundSentence] | None:
    """Return what `storage.queries.search_sentences` does, in pages; None where no word of the query can be searched for."""
    if not snapshot.value("SELECT numnode(websearch_to_tsquery('pg_catalog.english', :query))", query=query):
        return None
    rows = snapshot.rows(FOUND_SENTENCES, **FOUND_MARKS, query=query, limit=limit, before=before, **asdict(filters))
    return [found_sentence(row) for row in rows]


def suggest(snapshot: Snapshot, typed: str, *, limit: int, label: Label | None = None) -> list[Suggestion]:
    """Return the drugs and conditions whose names begin with what was typed, or resemble it, the most cited first."""
    rows = snapshot.rows(
        "SELECT label, concept, preferred_name, name, sentence_count, citation_count "
        "FROM analysis.suggest(:typed, :limit, CAST(:label AS text))",
        typed=typed,
        limit=limit,
        label=label,
    )
    return [Suggestion(**row) for row in rows]


def list_annotators(snapshot: Snapshot) -> list[KnownAnnotator]:
    """Return the annotators that have run, the promoted one first, then the last to be registered."""
    rows = snapshot.rows(
        "SELECT annotator_id, name, version, model, revision, labels, promoted FROM analysis.annotator "
        "ORDER BY promoted DESC, annotator_id DESC"
    )
    return [KnownAnnotator(**{**row, "labels": tuple(row["labels"])}) for row in rows]


def has_citations(snapshot: Snapshot) -> bool:
    """Say whether any citation is stored."""
    return bool(snapshot.value("SELECT EXISTS (SELECT FROM analysis.citation)"))


def count_unsearched(snapshot: Snapshot) -> int:
    """Return how many citations full-text search does not find yet."""
    return int(snapshot.value("SELECT analysis.search_backlog()"))
