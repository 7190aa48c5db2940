"""The bytes of a PubMed file, cut at the ends of its records.

A strict parser says *that* a record is damaged but not where the next one starts. Here every piece handed to the
parser ends with the end tag of a record, and the bytes since the last whole record are held: what has to be refused
is known exactly.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO

CHUNK_BYTES = 1 << 16
MAX_RECORD_BYTES = 16 << 20
"""More than this without the end of a record is damage; PubMed's largest, with thousands of authors, stay below."""

_KEPT_DAMAGE_BYTES = 1 << 20
_LONGEST_TAG = 64
_SET_END = rb"</(?:PubmedArticleSet|MedlineCitationSet|PubmedBookArticleSet)[ \t\r\n]*>"
_ANY_SET_END = re.compile(_SET_END)
_RECORD_END = re.compile(rb"</(?:PubmedArticle|PubmedBookArticle|DeleteCitation|DeleteDocument)[ \t\r\n]*>")
# A MedlineCitation is a record only where it stands alone: in a PubmedArticleSet it is the inside of one.
_LEGACY_RECORD_END = re.compile(rb"</(?:MedlineCitation|DeleteCitation)[ \t\r\n]*>")
_BOUNDARY = re.compile(rb"<(?:PubmedArticle|PubmedBookArticle|DeleteCitation|DeleteDocument)[ \t\r\n>/]|" + _SET_END)
_LEGACY_BOUNDARY = re.compile(rb"<(?:MedlineCitation|DeleteCitation)[ \t\r\n>/]|" + _SET_END)
_OUTSIDE_RECORDS = re.compile(
    rb"(?:[ \t\r\n]+|\xef\xbb\xbf|<\?.*?\?>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[[^\]]*\]\s*)?>"
    rb"|</?(?:PubmedArticleSet|MedlineCitationSet|PubmedBookArticleSet)(?:\s[^<>]*)?>"
    rb"|</(?:PubmedArticle|PubmedBookArticle|MedlineCitation|DeleteCitation|DeleteDocument)\s*>)*+"
    rb"(?:<(?:/[A-Za-z]*)?)?",  # an end tag that is cut off
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRegion:
    """What was left out to reach the next record: the beginning of it, and what came after it.

    ``ends_stream`` says that nothing came after, ``closes_set`` that the end tag of the record set lies within.
    """

    content: bytes
    ends_stream: bool
    closes_set: bool

    @property
    def holds_records(self) -> bool:
        """Whether anything but white space, prologs, comments and the tags of the record set was left out."""
        return _OUTSIDE_RECORDS.fullmatch(self.content) is None


class RecordWindow:
    """A stream read forward, holding the bytes since the last whole record and never much more than one record.

    ``failure`` tells why the stream could not be read to its end, once that is known.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Wrap a stream of bytes; nothing is read yet."""
        # A buffered read of a broken gzip file throws away what it had already decompressed; read1 hands it over first.
        self._read = getattr(stream, "read1", stream.read)
        self._held = bytearray()
        self._given = 0
        self._at_end = False
        self._boundary = _BOUNDARY
        self._record_end = _RECORD_END
        self.failure: str | None = None

    def expect_legacy_records(self) -> None:
        """Take a ``MedlineCitation`` for the start of a record, as in a ``MedlineCitationSet``."""
        self._boundary = _LEGACY_BOUNDARY
        self._record_end = _LEGACY_RECORD_END

    def next_tag(self) -> bytes:
        """Bytes up to and including the next ``>``, for reading the prolog; empty at the end of the stream."""
        searched = self._given
        while (position := self._held.find(b">", searched)) < 0:
            searched = len(self._held)
            if not self._read_more():
                return self._give(len(self._held))
        return self._give(position + 1)

    def next_piece(self) -> bytes:
        """Bytes up to the end of the next end tag of a record, or fewer where it is not read yet; empty at the end."""
        while self._given == len(self._held):
            if not self._read_more():
                return b""
        # The end tag may have begun in the piece before.
        for found in self._record_end.finditer(self._held, max(self._given - _LONGEST_TAG, 0)):
            if found.end() > self._given:
                return self._give(found.end())
        return self._give(len(self._held))

    def next_record(self) -> bytes | None:
        """Bytes up to the end of the next end tag of a record; ``None`` where none is near, and nothing is given then.

        To be asked between records only. At the end of the stream, or where a record seems longer than any, the way is
        that by pieces.
        """
        searched = self._given
        while (found := self._record_end.search(self._held, searched)) is None:
            searched = max(len(self._held) - _LONGEST_TAG, self._given)
            if len(self._held) - self._given > MAX_RECORD_BYTES or not self._read_more():
                return None
        return self._give(found.end())

    def take_back(self) -> None:
        """Count the bytes given since the last release as not given."""
        self._given = 0

    def release(self, *, put_back: bytes = b"") -> None:
        """Let go of the bytes given so far; those put back are given again, first."""
        self._held[: self._given] = put_back
        self._given = 0

    @property
    def held_bytes(self) -> int:
        """Bytes given since the last release."""
        return self._given

    def skip_damage(self) -> DamagedRegion:
        """Leave out the damaged record, or whatever lies before the next record, and go on from there.

        Bytes given but not released count as not given.
        """
        self.take_back()
        self._drop_white_space()
        kept = bytearray()
        closes_set = _ANY_SET_END.match(self._held) is not None
        search_from = 1  # a start tag at the beginning is the damaged record's own
        while (found := self._boundary.search(self._held, search_from)) is None:
            # All but the beginning of a tag that is not read to its end yet has been searched in vain.
            if searched := max(len(self._held) - _LONGEST_TAG, 0):
                self._move(searched, kept)
                search_from = 0
            if not self._read_more():
                self._move(len(self._held), kept)
                return DamagedRegion(content=bytes(kept), ends_stream=True, closes_set=closes_set)
        self._move(found.start(), kept)
        return DamagedRegion(content=bytes(kept), ends_stream=False, closes_set=closes_set)

    def _move(self, size: int, kept: bytearray) -> None:
        """Drop the first ``size`` bytes, keeping a copy for as long as there is room."""
        kept += self._held[: min(size, _KEPT_DAMAGE_BYTES - len(kept))]
        del self._held[:size]

    def _drop_white_space(self) -> None:
        """Drop leading white space, and see to it that a tag at the beginning can be recognised."""
        while True:
            del self._held[: len(self._held) - len(self._held.lstrip())]
            if len(self._held) >= _LONGEST_TAG or not self._read_more():
                return

    def _give(self, end: int) -> bytes:
        piece = bytes(self._held[self._given : end])
        self._given = end
        return piece

    def _read_more(self) -> bool:
        """Read a chunk; ``False`` at the end of the stream, or where it breaks off."""
        if self._at_end:
            return False
        try:
            chunk = self._read(CHUNK_BYTES)
        except EOFError:
            self.failure = "ends too early, within its compressed data: fetch it again"
        except zlib.error as error:
            self.failure = f"is corrupt, its compressed data are wrong ({error}): fetch it again"
        except OSError as error:  # gzip.BadGzipFile too, such as a wrong checksum
            self.failure = f"cannot be read to its end ({error}): fetch it again"
        else:
            self._held += chunk
            self._at_end = not chunk
            return bool(chunk)
        self._at_end = True
        return False
