"""PubMed XML to records: a stream of bytes in, citations, deletions and refusals out, one at a time.

The XML is parsed strictly, record by record, and memory does not grow with the file. Where a record is damaged,
reading resumes at the next record's start tag, so that one bad record costs one record. No DTD, entity or network
address is ever loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from comention.errors import SourceError
from comention.types import MAX_PMID, Citation, DeletedCitation, Record, RefusedRecord
from ingest.medline_prolog import Prolog, describe, read_prolog
from ingest.medline_record import RecordError, parse_article, parse_book_article, parse_deletion
from ingest.medline_stream import MAX_RECORD_BYTES, RecordWindow

if TYPE_CHECKING:
    from lxml.etree import XMLPullParser, _Element

_NUL = re.compile(rb"\0|&#(?:0+|[xX]0+);")
_PMID = re.compile(rb"<PMID(?:\s[^<>]*)?>\s*([0-9]{1,10})\s*</PMID")
_AFTER_OWN_PMID = re.compile(rb"<(?:Article|Journal|CommentsCorrections)")


class _DamageError(Exception):
    """The parser cannot go on: the record that it is in has to be left out."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A record that cannot be used; ``reason`` completes "the record …". Its position is not known yet."""

    reason: str
    pmid: int | None = None


_Parsed = Citation | DeletedCitation | _Refusal


def parse_records(stream: BinaryIO, *, source: str) -> Iterator[Record]:
    """Parse the articles, book articles and deletions of PubMed's XML, and the bare citations of its legacy form.

    Every record is yielded as a citation, as one deletion for each PMID, or as a refusal with its reason; positions
    count what is yielded, from one. ``source`` names the stream in messages.

    Raises:
        SourceError: the stream is empty, not PubMed's XML or declares entities; or, after every whole record has been
            yielded, it turns out to end too early or to be corrupt.
    """
    for position, parsed in enumerate(_parse(RecordWindow(stream), source), start=1):
        if isinstance(parsed, _Refusal):
            yield RefusedRecord(position=position, pmid=parsed.pmid, reason=f"the record {parsed.reason}")
        else:
            yield parsed


def _parse(window: RecordWindow, source: str) -> Iterator[_Parsed]:
    """Parse strictly, and after damage go on at the next record with a fresh parser."""
    prolog = read_prolog(window, source)
    finished = False
    while not finished:
        try:
            yield from _parse_whole(window, prolog)
            finished = yield from _parse_pieces(window, prolog)
        except _DamageError as error:
            region = window.skip_damage()
            is_cut_off = region.ends_stream and not region.closes_set
            if region.holds_records:
                reason = "is cut off: the file ends within it" if is_cut_off else _why_damaged(region.content, error)
                yield _Refusal(reason, _visible_pmid(region.content))
            if is_cut_off and not window.failure:
                raise SourceError(f"{source} ends too early, before </{prolog.root}>: fetch it again") from error
            finished = region.ends_stream
    if window.failure:
        raise SourceError(f"{source} {window.failure}")


def _parse_whole(window: RecordWindow, prolog: Prolog) -> Iterator[_Parsed]:
    """Yield records for as long as each lies there from its start tag to its end tag, well-formed, and nothing else.

    Parsed one by one and without events, they take half the time. What is not as plain as that is left in the window.
    """
    from lxml import etree

    parser = etree.XMLParser(
        encoding=prolog.encoding, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    opening, closing = prolog.opening, prolog.closing
    while (piece := window.next_record()) is not None:
        try:
            if b"\0" in piece or len(piece) > MAX_RECORD_BYTES:
                break
            root = etree.fromstring(opening + _without_references(piece) + closing, parser)
        except etree.XMLSyntaxError:
            break
        record = root[0] if len(root) == 1 else None
        if record is None or record.tag not in prolog.record_tags or (record.tail or root.text or "").strip():
            break
        yield from _parse_element(record)
        window.release()
    window.take_back()


def _without_references(piece: bytes) -> bytes:
    """Leave out the list of references, two thirds of a recent record, of which nothing is read.

    Only where its end is certain: no comment or CDATA outside that may hold what looks like its tags, and within as many
    end as start tags of references, and no list in the list. Damage within it then costs nothing.
    """
    start = piece.find(b"<ReferenceList>")
    if start < 0:
        return piece
    end = piece.rfind(b"</ReferenceList>")
    if end < start or piece.count(b"<Reference", start + 1, end) != piece.count(b"</Reference>", start, end):
        return piece
    shorter = piece[:start] + piece[end + len(b"</ReferenceList>") :]
    return piece if b"<!" in shorter or b"<?" in shorter else shorter


def _parse_pieces(window: RecordWindow, prolog: Prolog) -> Generator[_Parsed, None, bool]:
    """Yield the next record, or what is left before the end of the root element; return whether that was reached.

    Raises:
        _DamageError: the XML is not well-formed; the window still holds everything since the last record yielded.
    """
    from lxml import etree

    # Without comments every child is an element. There is no document type here, so no entity to resolve but XML's own
    # five; resolve_entities=False would not keep others out but pass over them without an error.
    parser = etree.XMLPullParser(
        events=("end",),
        tag=prolog.record_tags,
        encoding=prolog.encoding,
        no_network=True,
        load_dtd=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        parser.feed(prolog.opening)
        while piece := window.next_piece():
            if b"\0" in piece:  # which some versions of libxml2 take for the end of their input
                raise _DamageError("it holds a NUL character")
            if window.held_bytes > MAX_RECORD_BYTES:
                raise _DamageError(f"it is longer than {MAX_RECORD_BYTES} bytes")
            parser.feed(piece)
            if (record := _finished_record(parser)) is not None:
                if (parent := record.getparent()) is not None:
                    yield from _refuse_strays(parent, prolog)
                yield from _parse_element(record)
                window.release()
                return False
        if prolog.is_record:
            parser.feed(prolog.closing)
        yield from _refuse_strays(parser.close(), prolog)
        return True
    except etree.XMLSyntaxError as error:
        raise _DamageError(describe(error)) from error


def _finished_record(parser: XMLPullParser) -> _Element | None:
    """The record whose end tag was the last thing the parser read, if it was one.

    Raises:
        _DamageError: a record lies within another element, so an end tag is missing before it.
    """
    record = None
    for _, element in cast("Iterator[tuple[str, _Element]]", parser.read_events()):
        parent = element.getparent()
        if record is not None or parent is None or parent.getparent() is not None:
            raise _DamageError("the next record begins before its end tag")
        record = element
    return record


def _parse_element(record: _Element) -> Iterator[_Parsed]:
    if record.tag in ("DeleteCitation", "DeleteDocument"):
        for element in record.iterchildren("PMID"):
            yield _attempt(parse_deletion, element)
    elif record.tag == "PubmedBookArticle":
        yield _attempt(parse_book_article, record)
    else:
        yield _attempt(parse_article, record)


def _attempt(parse: Callable[[_Element], Citation | DeletedCitation], element: _Element) -> _Parsed:
    try:
        return parse(element)
    except RecordError as error:
        return _Refusal(str(error), error.pmid)


def _refuse_strays(root: _Element, prolog: Prolog) -> Iterator[_Refusal]:
    """Refuse whatever the root holds that is not a record."""
    if root.text and root.text.strip():
        yield _loose(root.text)
    for element in root:
        if element.tag not in prolog.record_tags:
            own = element.find("PMID")
            pmid = own.text.strip() if own is not None and own.text else ""
            yield _Refusal(
                f"is a <{element.tag}>, which a <{prolog.root}> does not hold", int(pmid) if pmid.isdecimal() else None
            )
        if element.tail and element.tail.strip():
            yield _loose(element.tail)


def _loose(text: str) -> _Refusal:
    return _Refusal(f"is lost: loose text stands between two records ({text.strip():.40})")


def _why_damaged(content: bytes, error: _DamageError) -> str:
    if _NUL.search(content):
        return "holds a NUL character, which neither XML nor Postgres can keep"
    return f"is not well-formed XML: {error}"


def _visible_pmid(content: bytes) -> int | None:
    """The record's own PMID, if it can be seen; one of a reference or comment further down is not its own."""
    body = _AFTER_OWN_PMID.search(content)
    found = _PMID.search(content, 0, body.start() if body else len(content))
    if found is None or not 1 <= int(found[1]) <= MAX_PMID:
        return None
    return int(found[1])
