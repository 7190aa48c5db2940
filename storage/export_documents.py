"""Citations with their mentions as PubTator, BioC JSON and BioC XML, one citation at a time.

PubTator: https://www.ncbi.nlm.nih.gov/research/pubtator3/tutorial (a title line, an abstract line, a line a mention, an empty
line). BioC: Comeau et al. 2013, Database, bat064; passages and their offsets as PubTator's own BioC has them: the title at 0,
the abstract one past the title's end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from comention.errors import ExportError
from comention.offset_units import OffsetUnit, convert_offset

if TYPE_CHECKING:
    from storage.exports import ExportedCitation

# What would end a line or a field of PubTator, and what XML 1.0 has no way to write.
_LAYOUT = re.compile(r"[\t\r\n]")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportHeader:
    """What holds for a whole export. ``date`` reads ``2026-11-27``."""

    unit: OffsetUnit
    annotator: str
    revision: str
    date: str


def write_pubtator(citations: Iterable[ExportedCitation], stream: BinaryIO, header: ExportHeader) -> int:
    """Write PubTator; the identifier of a mention that no terminology knows is ``-``.

    A tab or line break in a text, which no citation from PubMed has, becomes a space, so that offsets hold. Returns how many
    citations had one.
    """
    altered = 0
    for given in citations:
        citation = _without(given, _LAYOUT, " ")
        altered += citation is not given
        text = citation.text
        lines = [f"{citation.pmid}|t|{citation.title}", f"{citation.pmid}|a|{citation.abstract}"]
        for one in citation.mentions:
            fields = (
                citation.pmid,
                convert_offset(text, one.start_char, header.unit),
                convert_offset(text, one.end_char, header.unit),
                text[one.start_char : one.end_char],
                one.label,
                one.concept if one.linked else "-",
            )
            lines.append("\t".join(map(str, fields)))
        stream.write(("\n".join(lines) + "\n\n").encode())
    return altered


def write_bioc_json(citations: Iterable[ExportedCitation], stream: BinaryIO, header: ExportHeader) -> int:
    """Write a BioC collection as JSON. Any text can be written, so none is altered: returns 0.

    Raises:
        ExportError: the package bioc is not installed.
    """
    bioc = _load_bioc()
    collection = bioc.biocjson.toJSON(_collection(bioc, header))
    del collection["documents"]
    stream.write((json.dumps(collection, ensure_ascii=False)[:-1] + ', "documents": [').encode())
    for number, citation in enumerate(citations):
        document = bioc.biocjson.toJSON(_document(bioc, citation, header.unit))
        stream.write(((",\n" if number else "\n") + json.dumps(document, ensure_ascii=False)).encode())
    stream.write(b"\n]}\n")
    return 0


def write_bioc_xml(citations: Iterable[ExportedCitation], stream: BinaryIO, header: ExportHeader) -> int:
    """Write a BioC collection as XML.

    A character that XML cannot hold, which no citation from PubMed has, becomes U+FFFD, so that offsets hold. Returns how many
    citations had one.

    Raises:
        ExportError: the package bioc is not installed.
    """
    bioc = _load_bioc()
    altered = 0
    writer = bioc.biocxml.BioCXMLDocumentWriter(stream, encoding="UTF-8")
    writer.write_collection_info(_collection(bioc, header))
    for given in citations:
        citation = _without(given, _NOT_XML, "\ufffd")
        altered += citation is not given
        writer.write_document(_document(bioc, citation, header.unit))
    writer.close()
    return altered


DocumentWriter = Callable[["Iterable[ExportedCitation]", BinaryIO, ExportHeader], int]

DOCUMENT_WRITERS: dict[str, DocumentWriter] = {
    "pubtator": write_pubtator,
    "bioc-json": write_bioc_json,
    "bioc-xml": write_bioc_xml,
}


def _without(citation: ExportedCitation, unwanted: re.Pattern[str], instead: str) -> ExportedCitation:
    """Return the citation with every unwanted character replaced by one other; the same one where it has none."""

    def clean(text: str) -> str:
        return unwanted.sub(instead, text)

    cleaned = replace(
        citation,
        title=clean(citation.title),
        abstract=clean(citation.abstract),
        journal=None if citation.journal is None else clean(citation.journal),
        doi=None if citation.doi is None else clean(citation.doi),
        mentions=tuple(replace(one, concept=clean(one.concept)) for one in citation.mentions),
    )
    return citation if cleaned == citation else cleaned


def _load_bioc() -> Any:
    try:
        import bioc
        import bioc.biocjson
        import bioc.biocxml
    except ImportError as error:
        raise ExportError(
            "BioC is written with the package bioc, which is not installed: pip install 'comention[export]'"
        ) from error
    return bioc


def _collection(bioc: Any, header: ExportHeader) -> Any:
    collection = bioc.BioCCollection()
    collection.source = "PubMed"
    collection.date = header.date
    collection.key = "comention.key"
    collection.infons = {
        "annotator": header.annotator,
        "annotator_revision": header.revision,
        "offsets": header.unit,
    }
    return collection


def _document(bioc: Any, citation: ExportedCitation, unit: OffsetUnit) -> Any:
    document = bioc.BioCDocument()
    document.id = str(citation.pmid)
    facts = {"journal": citation.journal, "year": citation.year, "doi": citation.doi}
    document.infons = {name: str(value) for name, value in facts.items() if value}
    if citation.retracted:
        document.infons["retracted"] = "true"
    text = citation.text
    stretches = [("title", 0, len(citation.title))]
    if citation.abstract:
        stretches.append(("abstract", len(citation.title) + 1, len(text)))
    for kind, first, last in stretches:
        passage = bioc.BioCPassage()
        passage.infons = {"type": kind}
        passage.offset = convert_offset(text, first, unit)
        passage.text = text[first:last]
        for number, one in enumerate(citation.mentions):
            if not first <= one.start_char < last:
                continue
            annotation = bioc.BioCAnnotation()
            annotation.id = str(number)
            annotation.infons = {"type": one.label, "concept": one.concept}
            if one.linked:
                annotation.infons["identifier"] = one.concept
            annotation.infons |= {"annotator": one.annotator, "score": f"{one.score:.6g}"}
            annotation.text = text[one.start_char : one.end_char]
            start, end = (convert_offset(text, offset, unit) for offset in (one.start_char, one.end_char))
            annotation.add_location(bioc.BioCLocation(start, end - start))
            passage.add_annotation(annotation)
        document.add_passage(passage)
    return document
