"""What every annotated corpus becomes: documents with gold spans, and sentences cut from them."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

from comention.types import Splitter

LABELS = (
    "Drug",
    "Condition",
    "Sequence",
    "Cell",
    "Protein",
    "Gene",
    "Taxon",
    "Chemical",
    "CellularComponent",
)
"""The labels that the formats' own type names are read as, in the order in which they are listed."""

TYPE_LABELS = {
    **{label: label for label in LABELS},
    # CDR, NLM-Chem and PubTator Central; BioRED; NCBI disease
    "Chemical": "Drug",
    "ChemicalEntity": "Drug",
    "Disease": "Condition",
    "DiseaseOrPhenotypicFeature": "Condition",
    "SpecificDisease": "Condition",
    "DiseaseClass": "Condition",
    "CompositeMention": "Condition",
    "Modifier": "Condition",
    "GeneOrGeneProduct": "Gene",
    "OrganismTaxon": "Taxon",
    "Species": "Taxon",
    # CRAFT's layers, by the names of its IOB conversion and of its ontologies
    "SO": "Sequence",
    "CL": "Cell",
    "GGP": "Protein",
    "PR": "Protein",
    "NCBITaxon": "Taxon",
    "CHEBI": "Chemical",
    "GO": "CellularComponent",
}
"""Type names of corpora to labels. ``Chemical`` is CDR's; `read_types` says where it stays what it is."""

_BESIDE_CHEMICAL = frozenset(("Drug", "Sequence", "Cell", "Protein", "CellularComponent"))


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """A gold mention: code point offsets into the text that it stands beside, half-open, and its label."""

    start_char: int
    end_char: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedDocument:
    """A text with its gold spans, sorted.

    ``parts`` are the stretches that are split into sentences apart (title, abstract). Where a corpus brings sentences and
    words of its own, ``sentences`` and ``words`` are their offsets and no splitter is asked; where it brings neither parts
    nor sentences, the text is one sentence, as in ADE. ``pmid`` is 0 where the corpus states none; ``name`` is then what
    it calls the document. ``discontinuous`` counts the gold mentions that are left out of ``spans`` because they have
    gaps.
    """

    pmid: int
    text: str
    spans: tuple[Span, ...]
    parts: tuple[tuple[int, int], ...] = ()
    sentences: tuple[tuple[int, int], ...] = ()
    words: tuple[tuple[int, int], ...] = ()
    name: str = ""
    discontinuous: int = 0

    @property
    def group(self) -> str:
        """What this document must not be split from: all documents of one article have one group."""
        return self.name or str(self.pmid)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedSentence:
    """A sentence of a document with the gold spans that lie wholly inside it, in offsets of the sentence.

    ``words`` are the corpus's own, empty where it has none.
    """

    pmid: int
    start_char: int
    text: str
    spans: tuple[Span, ...]
    words: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents annotated under one guideline; ``labels`` are those that it annotates, present or not.

    ``guideline`` names it where the format or the type names give it away: ``ade``, ``cdr``, ``ncbi``, ``biored``,
    ``craft`` (the IOB conversion), ``craft5`` (release 5); empty where they do not.
    """

    name: str
    labels: tuple[str, ...]
    documents: tuple[AnnotatedDocument, ...]
    guideline: str = ""

    @property
    def discontinuous(self) -> int:
        """How many gold mentions are left out because they have gaps."""
        return sum(document.discontinuous for document in self.documents)


def read_types(types: Iterable[str]) -> dict[str, str]:
    """Return the label of every type name that has one.

    ``Chemical`` is a drug, as in CDR, but for files that name drugs or CRAFT's types beside it.
    """
    found = set(types)
    labels = {name: TYPE_LABELS[name] for name in found if name in TYPE_LABELS}
    if found & _BESIDE_CHEMICAL and "Chemical" in labels:
        labels["Chemical"] = "Chemical"
    return labels


def order_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return distinct labels in the order in which reports list them, unknown ones last."""
    rank = {label: index for index, label in enumerate(LABELS)}
    return tuple(sorted(set(labels), key=lambda label: (rank.get(label, len(rank)), label)))


def split_document(document: AnnotatedDocument, splitter: Splitter) -> list[AnnotatedSentence]:
    """Cut a document into sentences. A span that crosses the end of a sentence is in none of them."""
    if document.sentences:
        bounds = list(document.sentences)
    elif document.parts:
        bounds = [
            (part + start, part + end)
            for part, part_end in document.parts
            for start, end in splitter.split(document.text[part:part_end])
        ]
    else:
        bounds = [(0, len(document.text))]
    span_starts = [span.start_char for span in document.spans]
    word_starts = [start for start, _ in document.words]
    sentences = []
    for start, end in bounds:
        spans = document.spans[bisect.bisect_left(span_starts, start) : bisect.bisect_left(span_starts, end)]
        words = document.words[bisect.bisect_left(word_starts, start) : bisect.bisect_left(word_starts, end)]
        sentences.append(
            AnnotatedSentence(
                pmid=document.pmid,
                start_char=start,
                text=document.text[start:end],
                spans=tuple(
                    Span(start_char=span.start_char - start, end_char=span.end_char - start, label=span.label)
                    for span in spans
                    if span.end_char <= end
                ),
                words=tuple((first - start, last - start) for first, last in words if last <= end),
            )
        )
    return sentences


def disjoint_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that one sequence of tags can express, in order: of two that overlap, the longer is kept."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start_char - s.end_char, s.start_char)):
        if all(span.end_char <= other.start_char or other.end_char <= span.start_char for other in kept):
            kept.append(span)
    return sorted(kept)
