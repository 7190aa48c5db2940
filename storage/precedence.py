"""Which of two records of a PMID stands, and whether a deletion takes one out.

PubMed numbers its baseline and update files and says that they are to be applied in that order. Here each record and each
deletion of them has a bulk position, made of the number of its file and its place in it, and the highest of a PMID, by
version and then bulk position, decides: so the same files leave the same behind in whatever order, and however often, they are
read. Records from elsewhere (E-utilities, files without a number) stand against others by version and revision date.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from comention.types import Citation, Sentence

POSITIONS = 1_000_000
"""Records a numbered file of PubMed's may have: a bulk position is the file's number times this plus the record's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCitation:
    """A citation with its place in its source, from 1, its sentences and the name of the splitter that cut them.

    ``bulk_position`` is its place in all of PubMed's numbered files, 0 where it comes from elsewhere.
    """

    position: int
    citation: Citation
    sentences: tuple[Sentence, ...]
    splitter: str
    bulk_position: int = 0

    @property
    def pmid(self) -> int:
        """The citation's PMID."""
        return self.citation.pmid

    @property
    def rank(self) -> tuple[int, dt.date]:
        """What decides between two records of one PMID where their files do not: the version, then the revision date."""
        return _rank(self.citation.version, self.citation.revised_on)

    @property
    def bulk_rank(self) -> tuple[int, int]:
        """What decides between two records, or a record and a deletion, of PubMed's numbered files."""
        return self.citation.version, self.bulk_position


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """What is known of a stored record; ``from_bulk`` where it stands as at ``bulk_position`` in PubMed's files."""

    version: int
    revised_on: dt.date | None
    content_hash: bytes
    record_hash: bytes
    splitter: str
    retracted: bool
    published_on: dt.date | None
    bulk_position: int
    from_bulk: bool

    @property
    def rank(self) -> tuple[int, dt.date]:
        """What decides where PubMed's files do not."""
        return _rank(self.version, self.revised_on)

    @property
    def bulk_rank(self) -> tuple[int, int]:
        """What decides within PubMed's numbered files."""
        return self.version, self.bulk_position

    def holds(self, item: ReadCitation) -> bool:
        """Say whether this is the same record, cut in the same way."""
        return self.record_hash == item.citation.record_hash and self.splitter == item.splitter

    def holds_text(self, item: ReadCitation) -> bool:
        """Say whether the sentences, and with them the annotations, can stay."""
        return self.content_hash == item.citation.content_hash and self.splitter == item.splitter

    def supersedes(self, item: ReadCitation) -> bool:
        """Say whether this is newer than the record that was read.

        Between PubMed's numbered files their order decides, whatever the dates. What was fetched is newer than the files
        whose record it took the place of, and stands against later ones by its revision date.
        """
        if not item.bulk_position or item.citation.version != self.version:
            return item.rank < self.rank
        if self.from_bulk:
            return item.bulk_position < self.bulk_position
        return item.bulk_position <= self.bulk_position or item.rank < self.rank


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The version and revision up to which a PMID is withdrawn, the source that says so and its place in bulk."""

    version: int
    revised_on: dt.date | None
    source_key: str
    bulk_position: int = 0

    @property
    def rank(self) -> tuple[int, dt.date]:
        """What decides where PubMed's files do not."""
        return _rank(self.version, self.revised_on)

    @property
    def bulk_rank(self) -> tuple[int, int]:
        """What decides within PubMed's numbered files."""
        return self.version, self.bulk_position

    def keeps_out(self, item: ReadCitation, stored: StoredRecord | None) -> bool:
        """Say whether the record that was read is withdrawn; one that is stored came back after the deletion."""
        if item.bulk_position and self.bulk_position:
            return item.bulk_rank <= self.bulk_rank
        return stored is None and not _came_back(item.citation, self)

    def takes_out(self, record: StoredRecord, old: Tombstone | None) -> bool:
        """Say whether this deletion takes the stored record out; ``old`` is what was known to be withdrawn before."""
        if self.bulk_position:
            return record.bulk_rank < self.bulk_rank
        came_back = old is not None and old.source_key == self.source_key and record.rank > old.rank
        return not came_back and record.version <= self.version


def _rank(version: int, revised_on: dt.date | None) -> tuple[int, dt.date]:
    return version, revised_on or dt.date.min


def _came_back(citation: Citation, tombstone: Tombstone) -> bool:
    """Say whether a record is newer than what PubMed withdrew; where that is unknown, only a higher version is."""
    if citation.version != tombstone.version or tombstone.revised_on is None:
        return citation.version > tombstone.version
    return citation.revised_on is not None and citation.revised_on > tombstone.revised_on
