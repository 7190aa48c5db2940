"""Annotated corpora: ADE v2 (``.rel`` tables) and everything in PubTator format (CDR, NCBI disease, BioRED).

A loader returns documents with gold spans in document offsets, checked against the text; ``split_document`` cuts a
document into sentences with the splitter that is passed in. Spans may overlap in a corpus: ``disjoint_spans`` says
which of them a sequence of tags can express.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from annotate.text_files import read_lines
from comention.errors import AnnotatorError
from comention.types import Splitter


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """A gold mention: code point offsets into the text that it stands beside, half-open, and its label."""

    start_char: int
    end_char: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedDocument:
    """A text with its gold spans, sorted.

    ``parts`` are the stretches that are split into sentences apart (title, abstract); empty where the text is one
    sentence already, as in ADE.
    """

    pmid: int
    text: str
    spans: tuple[Span, ...]
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedSentence:
    """A sentence of a document with the gold spans that lie wholly inside it, in offsets of the sentence."""

    pmid: int
    start_char: int
    text: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Documents annotated under one guideline; ``labels`` are those that it annotates, present or not."""

    name: str
    labels: tuple[str, ...]
    documents: tuple[AnnotatedDocument, ...]


PUBTATOR_LABELS: Mapping[str, str] = {
    "Chemical": "Drug",
    "ChemicalEntity": "Drug",
    "Disease": "Condition",
    "DiseaseOrPhenotypicFeature": "Condition",
    "SpecificDisease": "Condition",
    "DiseaseClass": "Condition",
    "CompositeMention": "Condition",
    "Modifier": "Condition",
}
"""The types of CDR, BioRED and NCBI disease that are a drug or a condition. Other types are left out."""

_PUBTATOR_TEXT = re.compile(r"(\d+)\|([ta])\|(.*)", re.DOTALL)
_REL_FIELDS = 8


def load_corpus(path: Path) -> Corpus:
    """Load a corpus: a ``.rel`` file, a folder that holds ``DRUG-AE.rel``, or a PubTator file, gzipped or not.

    Raises: AnnotatorError: the file is missing, is in none of these formats, or has an offset that does not fit its
        text; the message names the file and the line.
    """
    if path.is_dir():
        path = path / "DRUG-AE.rel"
    if not path.is_file():
        raise AnnotatorError(f"the corpus {path} does not exist; give a PubTator file or a folder with DRUG-AE.rel")
    return load_ade(path) if path.suffix == ".rel" else load_pubtator(path)


def load_ade(path: Path) -> Corpus:
    """Load ADE v2: every row of ``DRUG-AE.rel``, and the drugs of ``DRUG-DOSE.rel`` beside it in the same sentences.

    A row names one drug and one effect of its sentence in offsets of an abstract that the corpus does not hold; the
    rows of a sentence are merged, and the offset of the sentence is found from the spans' own texts. Sentences that
    occur only in ``DRUG-DOSE.rel`` are left out, since their effects are not annotated.

    Raises:
        AnnotatorError: a row has the wrong number of fields or offsets that fit nowhere in its sentence.
    """
    spans = _ade_rows(path, first_label="Condition")
    doses = path.with_name("DRUG-DOSE.rel")
    if doses.is_file():
        for key, found in _ade_rows(doses, first_label=None).items():
            if key in spans:
                spans[key] |= found
    documents = tuple(
        AnnotatedDocument(pmid=pmid, text=text, spans=tuple(sorted(found))) for (pmid, text), found in spans.items()
    )
    return Corpus(name="ade", labels=("Drug", "Condition"), documents=documents)


def _ade_rows(path: Path, *, first_label: str | None) -> dict[tuple[int, str], set[Span]]:
    """Read one ``.rel`` table; the first span of a row gets ``first_label`` or is skipped, the second is the drug."""
    spans: dict[tuple[int, str], set[Span]] = defaultdict(set)
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("|")
        if len(fields) != _REL_FIELDS:
            raise AnnotatorError(f"{path}, line {number}: {len(fields)} fields instead of {_REL_FIELDS}")
        pmid, text, first, first_start, _, drug, drug_start, _ = fields
        try:
            key = (int(pmid), text)
            distance = int(drug_start) - int(first_start)
        except ValueError:
            raise AnnotatorError(f"{path}, line {number}: a PMID or an offset is not a number") from None
        # The sentence's own offset is unknown, but the distance between the two spans is not.
        starts = [
            start
            for start in _occurrences(first, text)
            if start + distance >= 0 and text.startswith(drug, start + distance)
        ]
        if not starts:
            raise AnnotatorError(f"{path}, line {number}: the offsets do not fit the sentence of PMID {pmid}")
        start = starts[0]
        if first_label is not None:
            spans[key].add(Span(start_char=start, end_char=start + len(first), label=first_label))
        spans[key].add(Span(start_char=start + distance, end_char=start + distance + len(drug), label="Drug"))
    return spans


def _occurrences(needle: str, text: str) -> Iterator[int]:
    start = text.find(needle)
    while start >= 0 and needle:
        yield start
        start = text.find(needle, start + 1)


def load_pubtator(path: Path, labels: Mapping[str, str] = PUBTATOR_LABELS) -> Corpus:
    """Load a file in PubTator format; ``labels`` maps its types to ours, other types and relations are left out.

    The text of a document is its title, a newline and its abstract.

    Raises:
        AnnotatorError: a line cannot be read, or an annotation's offsets do not give its text.
    """
    documents: list[AnnotatedDocument] = []
    seen: set[str] = set()
    pmid, title, abstract, spans = 0, "", "", set[Span]()

    def finish() -> None:
        text = f"{title}\n{abstract}" if abstract else title
        parts = [(0, len(title))] + ([(len(title) + 1, len(text))] if abstract else [])
        documents.append(AnnotatedDocument(pmid=pmid, text=text, spans=tuple(sorted(spans)), parts=tuple(parts)))

    for number, line in enumerate(read_lines(path), start=1):
        header = _PUBTATOR_TEXT.fullmatch(line)
        if header is not None and header[2] == "t":
            if title:
                finish()
            pmid, title, abstract, spans = int(header[1]), header[3], "", set()
        elif header is not None:
            abstract = header[3]
        elif line.strip():
            fields = line.split("\t")
            if not title or len(fields) < 4:
                raise AnnotatorError(f"{path}, line {number}: this is not PubTator format")
            if len(fields) < 5 or not (fields[1].isdecimal() and fields[2].isdecimal()):
                continue  # a relation
            start, end, surface, kind = int(fields[1]), int(fields[2]), fields[3], fields[4]
            # NCBI disease writes its mentions without the quotation marks of its text.
            if f"{title} {abstract}"[start:end].replace('"', " ") != surface.replace('"', " "):
                raise AnnotatorError(
                    f"{path}, line {number}: the offsets {start}-{end} do not give {surface!r} in PMID {pmid}"
                )
            if kind in labels:
                seen.add(labels[kind])
                spans.add(Span(start_char=start, end_char=end, label=labels[kind]))
    if not title:
        raise AnnotatorError(f"{path}: no document in PubTator format was found")
    finish()
    ordered = tuple(label for label in dict.fromkeys(labels.values()) if label in seen)
    return Corpus(name=path.name.split(".")[0], labels=ordered, documents=tuple(documents))


def split_document(document: AnnotatedDocument, splitter: Splitter) -> list[AnnotatedSentence]:
    """Cut a document into sentences. A span that crosses the end of a sentence is in none of them."""
    if document.parts:
        bounds = [
            (part + start, part + end)
            for part, part_end in document.parts
            for start, end in splitter.split(document.text[part:part_end])
        ]
    else:
        bounds = [(0, len(document.text))]
    return [
        AnnotatedSentence(
            pmid=document.pmid,
            start_char=start,
            text=document.text[start:end],
            spans=tuple(
                Span(start_char=span.start_char - start, end_char=span.end_char - start, label=span.label)
                for span in document.spans
                if start <= span.start_char and span.end_char <= end
            ),
        )
        for start, end in bounds
    ]


def disjoint_spans(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that one sequence of tags can express, in order: of two that overlap, the longer is kept."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start_char - s.end_char, s.start_char)):
        if all(span.end_char <= other.start_char or other.end_char <= span.start_char for other in kept):
            kept.append(span)
    return sorted(kept)
