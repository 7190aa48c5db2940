"""BioC, as XML and as JSON: collection, document, passage, sentence, annotation.

Both become one tree of `Passage` values and then documents. The text of a document is its passages joined by newlines; an
annotation's offset is read relative to its passage's (or sentence's), so a collection that counts the gaps between passages
in its own way still gives exact spans. Annotations with several locations are left out and counted; those without a
location (MeSH headings of a whole document) are not mentions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotate.corpora.model import AnnotatedDocument, Span
from annotate.text_files import read_bytes
from comention.errors import AnnotatorError

if TYPE_CHECKING:
    from lxml.etree import _Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A mention: its type, its text, and (offset, length) of each of its pieces in the collection's own counting."""

    kind: str
    text: str
    locations: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A stretch of text at its offset, with its annotations; or, with ``sentences``, what holds such stretches."""

    offset: int
    text: str
    annotations: tuple[Annotation, ...]
    sentences: tuple[Passage, ...] = ()


def read_bioc_xml(path: Path) -> list[AnnotatedDocument]:
    """Read a BioC XML collection. A declared DTD is not loaded, and entities of its own are refused.

    Raises:
        AnnotatorError: it is no BioC, or an annotation's offsets do not give its text; the message names the line.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(read_bytes(path), parser)
    except etree.XMLSyntaxError as error:
        raise AnnotatorError(f"{path} is not XML that can be read: {error}") from error
    declared: Any = root.getroottree().docinfo.internalDTD  # its methods are not in the type stubs
    if declared is not None and next(iter(declared.iterentities()), None) is not None:
        raise AnnotatorError(f"{path} declares entities of its own; write their text out")
    if root.tag != "collection":
        raise AnnotatorError(f"{path} is no BioC: its root is {root.tag}, not collection")
    documents = []
    for element in root.iterfind("document"):
        name = element.findtext("id") or ""
        passages = [
            _xml_passage(child, f"{path}, line {child.sourceline}, document {name}")
            for child in element.iterfind("passage")
        ]
        documents.append(_document(name, passages, f"{path}, line {element.sourceline}, document {name}"))
    return _checked(documents, path)


def _xml_passage(element: _Element, where: str) -> Passage:
    try:
        return Passage(
            offset=int(element.findtext("offset") or ""),
            text=element.findtext("text") or "",
            annotations=tuple(
                Annotation(
                    kind=next(
                        (infon.text or "" for infon in child.iterfind("infon") if infon.get("key") == "type"), ""
                    ),
                    text=child.findtext("text") or "",
                    locations=tuple(
                        (int(location.get("offset") or ""), int(location.get("length") or ""))
                        for location in child.iterfind("location")
                    ),
                )
                for child in element.iterfind("annotation")
            ),
            sentences=tuple(_xml_passage(child, where) for child in element.iterfind("sentence")),
        )
    except ValueError:
        raise AnnotatorError(f"{where}: an offset or a length is missing or is not a number") from None


def read_bioc_json(path: Path) -> list[AnnotatedDocument]:
    """Read a BioC JSON collection, or PubTator's answer that wraps one.

    Raises:
        AnnotatorError: it is no BioC, or an annotation's offsets do not give its text; the message names the document.
    """
    try:
        tree: Any = json.loads(read_bytes(path).decode("utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AnnotatorError(f"{path} is not JSON: {error}") from error
    found = tree if isinstance(tree, dict) else {}
    rows = found.get("documents", found.get("PubTator3"))
    if not isinstance(rows, list):
        raise AnnotatorError(f"{path} is no BioC: it has no list 'documents'")
    documents = []
    for number, row in enumerate(rows, start=1):
        where = f"{path}, document {number}"
        try:
            name = str(row["id"])
            where = f"{path}, document {name}"
            passages = [_json_passage(passage) for passage in row["passages"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnnotatorError(f"{where}: a passage or annotation is not as BioC has it ({error!r})") from None
        documents.append(_document(name, passages, where))
    return _checked(documents, path)


def _json_passage(row: dict[str, Any]) -> Passage:
    return Passage(
        offset=int(row["offset"]),
        text=row.get("text") or "",
        annotations=tuple(
            Annotation(
                kind=str(annotation["infons"].get("type", "")),
                text=annotation.get("text") or "",
                locations=tuple((int(place["offset"]), int(place["length"])) for place in annotation["locations"]),
            )
            for annotation in row.get("annotations", ())
        ),
        sentences=tuple(_json_passage(sentence) for sentence in row.get("sentences", ())),
    )


def _checked(documents: list[AnnotatedDocument], path: Path) -> list[AnnotatedDocument]:
    if not documents:
        raise AnnotatorError(f"{path}: it has no documents")
    return documents


def _document(name: str, passages: Iterable[Passage], where: str) -> AnnotatedDocument:
    """Lay the passages out one below the other and move their annotations along."""
    text = ""
    parts: list[tuple[int, int]] = []
    cut = False
    spans: set[Span] = set()
    discontinuous = 0
    for passage in passages:
        cut = cut or not passage.text
        placed: list[tuple[int, Passage]] = []
        for stretch in (passage,) if passage.text else passage.sentences:
            if stretch.text:
                text += ("\n" if not placed else " ") if text else ""
                placed.append((len(text), stretch))
                text += stretch.text
                parts.append((len(text) - len(stretch.text), len(text)))
        for annotation in (*passage.annotations, *(one for part in passage.sentences for one in part.annotations)):
            if len(annotation.locations) > 1:
                discontinuous += 1
            elif annotation.locations:
                spans.add(_span(annotation, placed, where))
    number = int(name) if name.isdecimal() else 0
    return AnnotatedDocument(
        pmid=number,
        text=text,
        spans=tuple(sorted(spans)),
        parts=() if cut else tuple(parts),
        sentences=tuple(parts) if cut else (),
        name="" if number else name or where,
        discontinuous=discontinuous,
    )


def _span(annotation: Annotation, placed: Iterable[tuple[int, Passage]], where: str) -> Span:
    """Return an annotation's span in the document, found from the stretch that holds it."""
    [(offset, length)] = annotation.locations
    for at, stretch in placed:
        first = offset - stretch.offset
        if length > 0 and first >= 0 and stretch.text[first : first + length] == annotation.text:
            return Span(start_char=at + first, end_char=at + first + length, label=annotation.kind)
    raise AnnotatorError(f"{where}: the offset {offset} and length {length} do not give {annotation.text!r}")
