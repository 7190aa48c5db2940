"""The values that travel along the data path: citation, sentence, mention.

Offsets are Unicode code points, zero-based and half-open. A citation has one canonical text, the title, a newline and the
abstract (or the title alone), so document offsets agree with PubTator and BioC. A sentence is a slice of the canonical text
and a mention is a slice of its sentence; byte or UTF-16 offsets exist only where annotations are exported.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

MAX_PMID = 2**31 - 1
"""A PMID is a positive whole number that fits a Postgres integer; PubMed's have eight digits so far."""


FIRST_SAMPLE_PMID = 990_000_001
"""The PMIDs of the sample that comention brings along begin here; PubMed's are far below."""


class DatePrecision(enum.StrEnum):
    """How much of a publication date PubMed states; the rest of the date is filled with ones."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A labelled stretch of the canonical text: the title, or one part of the abstract.

    ``label`` is ``"TITLE"`` for the title, the author's label for a structured abstract (``"METHODS"``) and ``""`` for an
    unstructured one. ``category`` is NLM's normalised form of the label (``NlmCategory``) where given.
    The label's own characters lie outside the section.
    """

    label: str
    category: str | None = None
    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """Where a citation appeared. A book article has its book's title here and nothing else."""

    title: str | None = None
    abbreviation: str | None = None
    issn: str | None = None
    nlm_id: str | None = None
    volume: str | None = None
    issue: str | None = None
    pages: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A name with its identifier in NLM's vocabularies: a publication type, a MeSH heading, a substance."""

    name: str
    ui: str | None = None
    major: bool = False
    qualifiers: tuple[str, ...] = ()
    registry_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A link between two citations, from ``CommentsCorrections``; ``kind`` is PubMed's ``RefType``."""

    kind: str
    pmid: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One PubMed record, parsed.

    ``text`` is the canonical text; ``sections`` cover it in order, the first being the title. ``content_hash`` covers what an
    annotation depends on (the text and its sections), ``record_hash`` every field: equal hashes mean equal records.
    """

    pmid: int
    version: int = 1
    text: str
    sections: tuple[Section, ...]
    journal: Journal = field(default_factory=Journal)
    published_on: dt.date | None = None
    published_precision: DatePrecision | None = None
    publication_types: tuple[Term, ...] = ()
    mesh: tuple[Term, ...] = ()
    substances: tuple[Term, ...] = ()
    keywords: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    vernacular_title: str | None = None
    other_abstracts: Mapping[str, str] = field(default_factory=dict)
    doi: str | None = None
    pmc: str | None = None
    corrections: tuple[Correction, ...] = ()
    retracted: bool = False
    revised_on: dt.date | None = None
    content_hash: bytes
    record_hash: bytes

    @property
    def title(self) -> str:
        """The title as it stands in the canonical text."""
        return self.text[: self.sections[0].end_char]

    @property
    def abstract(self) -> str:
        """The abstract as it stands in the canonical text, section labels included; empty where there is none."""
        return self.text[self.sections[0].end_char + 1 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedCitation:
    """A record that PubMed has withdrawn (``DeleteCitation``)."""

    pmid: int
    version: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecord:
    """A record that could not be used, and why. ``position`` counts the records of its source from one.

    ``missing`` is true where there was no record at all: NCBI was asked for the PMID and returned nothing.
    """

    position: int
    pmid: int | None
    reason: str
    missing: bool = False


Record = Citation | DeletedCitation | RefusedRecord
"""What a source of records yields, one for each record read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """A slice of a citation's canonical text: ``text == citation.text[start_char:end_char]``."""

    pmid: int
    ordinal: int
    section: str
    start_char: int
    end_char: int
    text: str


class Splitter(Protocol):
    """Cuts a text into sentences."""

    name: str

    def split(self, text: str) -> list[tuple[int, int]]:
        """Return (start, end) of every sentence of ``text``, in order, disjoint, trimmed of white space, none empty."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A span of a sentence with a label; ``score`` is the annotator's confidence in [0, 1]."""

    start_char: int
    end_char: int
    label: str
    score: float


class AnnotationStatus(enum.StrEnum):
    """What became of one sentence, or of one citation, under one annotator."""

    DONE = "done"
    TRUNCATED = "truncated"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceAnnotation:
    """What an annotator says of one sentence. ``detail`` gives the reason of any status but ``DONE``."""

    mentions: tuple[Mention, ...] = ()
    status: AnnotationStatus = AnnotationStatus.DONE
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatorInfo:
    """What identifies an annotator: two that differ in any field stand side by side in the database.

    ``model`` is a hub name or ``bundled``; ``revision`` its commit or the digest of its weights; ``config_hash`` covers
    whatever changes the mentions (labels, decoding, precision).
    """

    name: str
    version: str
    model: str
    revision: str
    labels: tuple[str, ...]
    config_hash: str


@runtime_checkable
class Annotator(Protocol):
    """Finds mentions in sentences. Implementations are thread-safe or say otherwise in their documentation."""

    @property
    def info(self) -> AnnotatorInfo:
        """What identifies this annotator."""
        ...

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate a batch: positional, one result for each sentence, whatever its length or content.

        Mentions of a sentence are sorted by start, end and label. A sentence that cannot be annotated gets status ``FAILED``
        and a detail; an exception means that the whole batch may be tried again. :mod:`comention.testing` proves it.
        """
        ...
