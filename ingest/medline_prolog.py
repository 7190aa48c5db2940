"""The beginning of a PubMed file: whether it is one at all, and how its records have to be read.

The document type is looked at here and then left behind: the parsers that read the records never see it, so nothing
that it declares or refers to can be loaded or expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from xml.sax.saxutils import quoteattr

from comention.errors import SourceError

if TYPE_CHECKING:
    from lxml.etree import _Element

    from ingest.medline_stream import RecordWindow

_SET_TAGS = ("PubmedArticleSet", "PubmedBookArticleSet", "MedlineCitationSet")
_RECORD_TAGS = ("PubmedArticle", "PubmedBookArticle", "DeleteCitation", "DeleteDocument")
_LEGACY_RECORD_TAGS = ("MedlineCitation", "DeleteCitation")

# Prefixes that PubMed's DTD binds by default values, which a parser without the DTD does not know.
_DTD_NAMESPACES = {"mml": "http://www.w3.org/1998/Math/MathML", "xlink": "http://www.w3.org/1999/xlink"}
_MAX_BYTES = 1 << 20
_FIRST_TAG = re.compile(rb"<([A-Za-z][A-Za-z0-9_.:-]*)")
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_LINE = re.compile(r",? ?line \d+(?:, column \d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prolog:
    """What the beginning of a file says of the rest: its root element, the namespaces declared there, its encoding."""

    root: str
    namespaces: dict[str, str]
    encoding: str

    @property
    def is_legacy(self) -> bool:
        """Whether a ``MedlineCitation`` is a record; elsewhere it is the inside of a ``PubmedArticle``."""
        return self.root.startswith("MedlineCitation")

    @property
    def is_record(self) -> bool:
        """Whether the root is a single record, not a set of records."""
        return self.root not in _SET_TAGS

    @property
    def record_tags(self) -> tuple[str, ...]:
        """The elements that are records in this file."""
        return _LEGACY_RECORD_TAGS if self.is_legacy else _RECORD_TAGS

    @property
    def opening(self) -> bytes:
        """The start tag of a set of records, with the namespaces of the file: what a fresh parser is given first."""
        attributes = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in self.namespaces.items())
        return f"<{self._set_tag}{attributes}>".encode()

    @property
    def closing(self) -> bytes:
        """The end tag of that set."""
        return f"</{self._set_tag}>".encode()

    @property
    def _set_tag(self) -> str:
        if not self.is_record:
            return self.root
        return "MedlineCitationSet" if self.is_legacy else "PubmedArticleSet"


def read_prolog(window: RecordWindow, source: str) -> Prolog:
    """Read up to the start of the first record.

    Raises:
        SourceError: the stream is empty, not XML, not PubMed's, encoded in a way that does not agree with ASCII, or
            it declares entities.
    """
    from lxml import etree

    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, no_network=True, load_dtd=False)
    prolog = b""
    root: _Element | None = None
    while root is None:
        piece = window.next_tag()
        if not prolog:
            piece = (
                piece.lstrip()
            )  # XML allows nothing before its declaration; saved answers often begin with a line break
        prolog += piece
        if not piece or len(prolog) > _MAX_BYTES:
            raise SourceError(f"{source} {window.failure or _why_no_root(prolog)}")
        try:
            parser.feed(piece)
        except etree.XMLSyntaxError as error:
            found = _FIRST_TAG.search(prolog)
            begins = f": it begins with <{found[1].decode()}>" if found else ""
            raise SourceError(f"{source} is not PubMed XML{begins} ({describe(error)})") from error
        root = next((cast("_Element", event[1]) for event in parser.read_events()), None)
    _require_pubmed(root, prolog, source)
    described = Prolog(
        root=root.tag,
        namespaces=_DTD_NAMESPACES | {prefix: uri for prefix, uri in root.nsmap.items() if prefix},
        encoding=_encoding(prolog),
    )
    if described.is_record:
        window.release(put_back=prolog[prolog.rindex(b"<" + root.tag.encode()) :])
    elif prolog.endswith(b"/>"):
        window.release(put_back=described.closing)
    else:
        window.release()
    if described.is_legacy:
        window.expect_legacy_records()
    return described


def describe(error: SyntaxError) -> str:
    """The parser's message without its line numbers, which count from where reading was last resumed."""
    return " ".join(_LINE.sub(" ", str(error.msg)).split())


def _require_pubmed(root: _Element, prolog: bytes, source: str) -> None:
    if root.tag not in (*_SET_TAGS, *_RECORD_TAGS, *_LEGACY_RECORD_TAGS):
        raise SourceError(
            f"{source} is not PubMed XML: its root element is <{root.tag}>,"
            " not <PubmedArticleSet> or <MedlineCitationSet>"
        )
    document = root.getroottree().docinfo
    declared = cast("Any", document.internalDTD)  # the published type stubs do not know iterentities
    if declared is not None and any(declared.iterentities()):
        raise SourceError(
            f"{source} declares XML entities, which PubMed's files never do, and is refused: fetch it again"
        )
    if b"<" + root.tag.encode() not in prolog:
        raise SourceError(f"{source} is encoded in UTF-16 or the like: convert it to UTF-8, as PubMed's files are")


def _encoding(prolog: bytes) -> str:
    """The encoding that the XML declaration names; the parser tells it only at the end of a document."""
    declared = _ENCODING.match(prolog)
    return declared[1].decode() if declared else "UTF-8"


def _why_no_root(prolog: bytes) -> str:
    if not prolog:
        return "is empty: fetch it again"
    if b"<" in prolog[:4]:  # the byte order mark of UTF-8 takes three
        return "ends too early, before its first element: fetch it again"
    return f"is not PubMed XML: it has no element in its first {_MAX_BYTES} bytes"
