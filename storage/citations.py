"""Citations and their sentences: stored, replaced, deleted; with them, in one transaction, everything that hangs on them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from sqlalchemy import Connection, text

from comention.types import Citation, Correction, DeletedCitation, Journal, Sentence, Term
from storage.copy import copy_rows
from storage.database import driver
from storage.runs import IngestCounts, IngestException

MAX_SENTENCES = 100_000
"""Sentences a citation may have: an identifier is PMID times this plus the ordinal."""

_CITATION_COLUMNS = (
    "pmid", "version", "text", "title_length", "journal", "published_on", "published_precision", "publication_types",
    "languages", "keywords", "mesh", "substances", "corrections", "other_abstracts", "vernacular_title", "doi", "pmc",
    "retracted", "revised_on", "content_hash", "record_hash", "splitter", "run_id",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCitation:
    """A citation with its place in its source, from 1, its sentences and the name of the splitter that cut them."""

    position: int
    citation: Citation
    sentences: tuple[Sentence, ...]
    splitter: str

    @property
    def pmid(self) -> int:
        """The citation's PMID."""
        return self.citation.pmid

    @property
    def rank(self) -> tuple[int, dt.date]:
        """What decides between two records of one PMID: the version, then the revision date."""
        return _rank(self.citation.version, self.citation.revised_on)


@dataclass(frozen=True, slots=True)
class _Stored:
    version: int
    revised_on: dt.date | None
    content_hash: bytes
    record_hash: bytes
    splitter: str
    retracted: bool
    published_on: dt.date | None

    @property
    def rank(self) -> tuple[int, dt.date]:
        return _rank(self.version, self.revised_on)

    def holds(self, item: ReadCitation) -> bool:
        """Say whether this is the same record, cut in the same way."""
        return self.record_hash == item.citation.record_hash and self.splitter == item.splitter

    def holds_text(self, item: ReadCitation) -> bool:
        """Say whether the sentences, and with them the annotations, can stay."""
        return self.content_hash == item.citation.content_hash and self.splitter == item.splitter


@dataclass(frozen=True, slots=True)
class _Tombstone:
    """The version and revision up to which a PMID is withdrawn, and the source that says so."""

    version: int
    revised_on: dt.date | None
    source_key: str

    @property
    def rank(self) -> tuple[int, dt.date]:
        return _rank(self.version, self.revised_on)


def save_citations(connection: Connection, run_id: int, items: Sequence[ReadCitation]) -> IngestCounts:
    """Store a batch in the connection's transaction and say what became of every citation.

    A record replaces the stored one when its version is higher, or the same and its revision date not earlier. Sentences, and
    with them mentions and counts, are replaced only where the text changed. Rows are locked in the order of PMIDs, so batches
    that overlap wait for one another and never deadlock.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(hashtext('comention.delete'))"))
    counts = IngestCounts()
    latest = _latest_of_each(items, counts)
    tombstones = _tombstones(connection, list(latest))
    for pmid in list(latest):
        reason = _refusal(latest[pmid], tombstones.get(pmid))
        if reason is not None:
            counts.explain(reason)
            del latest[pmid]
    if not latest:
        return counts

    new = _claim(connection, run_id, latest)
    stored = _stored(connection, [pmid for pmid in latest if pmid not in new])
    revised: list[ReadCitation] = []
    for pmid, item in latest.items():
        if pmid in new:
            counts.new += 1
        elif stored[pmid].holds(item):
            counts.unchanged += 1
        elif item.rank < stored[pmid].rank:
            counts.explain(_superseded(item, stored[pmid]))
        else:
            counts.revised += 1
            revised.append(item)
    _replace(connection, run_id, revised, stored)
    _save_texts(connection, [latest[pmid] for pmid in sorted(new)])
    return counts


def delete_citations(connection: Connection, source_key: str, deletions: Sequence[DeletedCitation]) -> IngestCounts:
    """Take withdrawn citations out, with all that hangs on them, and remember up to where they are withdrawn.

    Reading a source again does not delete what came back after it: a deletion that this source has brought before leaves a
    newer record alone, and so does the deletion of a lower version.
    """
    # Nobody stores while somebody deletes: a save looks for tombstones first, and would miss one not yet committed.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('comention.delete'))"))
    versions: dict[int, int] = {}
    for deletion in deletions:
        versions[deletion.pmid] = max(deletion.version, versions.get(deletion.pmid, 0))
    # Nor does anybody annotate what is counted out below.
    connection.execute(
        text("SELECT FROM comention.citation WHERE pmid = ANY(:pmids) ORDER BY pmid FOR UPDATE"),
        {"pmids": list(versions)},
    )
    tombstones = _tombstones(connection, list(versions))
    stored = _stored(connection, list(versions))
    doomed = []
    for pmid, version in sorted(versions.items()):
        record, tombstone = stored.get(pmid), tombstones.get(pmid)
        if record is None:
            if tombstone is None:
                _bury(connection, pmid, _Tombstone(version, None, source_key))
            continue
        came_back = tombstone is not None and tombstone.source_key == source_key and record.rank > tombstone.rank
        if not came_back and record.version <= version:
            doomed.append(pmid)
            _bury(connection, pmid, _Tombstone(version, record.revised_on, source_key))
    append_counts(connection, doomed, sign=-1)
    connection.execute(text("DELETE FROM comention.annotation WHERE pmid = ANY(:pmids)"), {"pmids": doomed})
    connection.execute(text("DELETE FROM comention.citation WHERE pmid = ANY(:pmids)"), {"pmids": doomed})
    return IngestCounts(deleted=len(deletions))


def _bury(connection: Connection, pmid: int, tombstone: _Tombstone) -> None:
    connection.execute(
        text(
            "INSERT INTO comention.deleted_citation (pmid, version, revised_on, source_key) "
            "VALUES (:pmid, :version, :revised_on, :source_key) ON CONFLICT (pmid) DO UPDATE "
            "SET version = EXCLUDED.version, revised_on = EXCLUDED.revised_on, source_key = EXCLUDED.source_key"
        ),
        {
            "pmid": pmid,
            "version": tombstone.version,
            "revised_on": tombstone.revised_on,
            "source_key": tombstone.source_key,
        },
    )


def _latest_of_each(items: Sequence[ReadCitation], counts: IngestCounts) -> dict[int, ReadCitation]:
    """Keep the latest record of each PMID in order of PMID; count the others."""
    latest: dict[int, ReadCitation] = {}
    for item in items:
        other = latest.setdefault(item.pmid, item)
        if other is item:
            continue
        winner, loser = (item, other) if item.rank >= other.rank else (other, item)
        latest[item.pmid] = winner
        if winner.citation.record_hash == loser.citation.record_hash:
            counts.unchanged += 1
            continue
        reason = f"record {winner.position} of the same source is a later or equal revision of this PMID"
        counts.explain(IngestException(position=loser.position, pmid=loser.pmid, outcome="superseded", reason=reason))
    return dict(sorted(latest.items()))


def _rank(version: int, revised_on: dt.date | None) -> tuple[int, dt.date]:
    return version, revised_on or dt.date.min


def _superseded(item: ReadCitation, stored: _Stored) -> IngestException:
    reason = (
        f"version {stored.version}, revised on {stored.revised_on or 'an unknown date'}, is stored; this is "
        f"version {item.citation.version}, revised on {item.citation.revised_on or 'an unknown date'}"
    )
    return IngestException(position=item.position, pmid=item.pmid, outcome="superseded", reason=reason)


def _refusal(item: ReadCitation, tombstone: _Tombstone | None) -> IngestException | None:
    """Give the reason why a citation stays out, if there is one."""
    if len(item.sentences) > MAX_SENTENCES:
        reason = f"it has {len(item.sentences):,} sentences, more than the {MAX_SENTENCES:,} that can be numbered"
        return IngestException(position=item.position, pmid=item.pmid, outcome="refused", reason=reason)
    if tombstone is not None and not _came_back(item.citation, tombstone):
        reason = "PubMed has withdrawn this PMID (DeleteCitation)"
        return IngestException(position=item.position, pmid=item.pmid, outcome="withdrawn", reason=reason)
    return None


def _came_back(citation: Citation, tombstone: _Tombstone) -> bool:
    """Say whether a record is newer than what PubMed withdrew; where that is unknown, only a higher version is."""
    if citation.version != tombstone.version or tombstone.revised_on is None:
        return citation.version > tombstone.version
    return citation.revised_on is not None and citation.revised_on > tombstone.revised_on


def _tombstones(connection: Connection, pmids: list[int]) -> dict[int, _Tombstone]:
    rows = connection.execute(
        text("SELECT pmid, version, revised_on, source_key FROM comention.deleted_citation WHERE pmid = ANY(:pmids)"),
        {"pmids": pmids},
    )
    return {row.pmid: _Tombstone(row.version, row.revised_on, row.source_key) for row in rows}


def _claim(connection: Connection, run_id: int, items: Mapping[int, ReadCitation]) -> set[int]:
    """Insert what is new and lock what is there, in one pass over the PMIDs; return the new ones."""
    columns = ", ".join(_CITATION_COLUMNS)
    # These columns and no others: a later release may add some, with defaults, while this one still runs.
    source = f"SELECT {columns} FROM comention.citation WITH NO DATA"  # noqa: S608 - names from this module
    connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS staged_citation ON COMMIT DELETE ROWS AS {source}"))
    copy_rows(
        connection,
        "staged_citation",
        _CITATION_COLUMNS,
        (_citation_row(item, run_id) for item in items.values()),
        schema="pg_temp",
    )
    # DO UPDATE locks the row that is there even where its WHERE is false, and waits for one that is being inserted.
    inserted = connection.execute(
        text(
            f"INSERT INTO comention.citation ({columns}) "  # noqa: S608 - names from this module
            f"SELECT {columns} FROM pg_temp.staged_citation ORDER BY pmid "
            "ON CONFLICT (pmid) DO UPDATE SET pmid = EXCLUDED.pmid WHERE false RETURNING pmid"
        )
    )
    new = set(inserted.scalars())
    connection.execute(text("DELETE FROM pg_temp.staged_citation"))
    return new


def _citation_row(item: ReadCitation, run_id: int) -> tuple[object, ...]:
    record = item.citation
    return (
        record.pmid,
        record.version,
        record.text,
        record.sections[0].end_char,
        _json(record.journal),
        record.published_on,
        record.published_precision,
        [term.name for term in record.publication_types],
        list(record.languages),
        list(record.keywords),
        _json(record.mesh),
        _json(record.substances),
        _json(record.corrections),
        _ENCODE(dict(record.other_abstracts)),
        record.vernacular_title,
        record.doi,
        record.pmc,
        record.retracted,
        record.revised_on,
        record.content_hash,
        record.record_hash,
        item.splitter,
        run_id,
    )


def _json(value: object) -> str:
    """Write a kernel type, or a tuple of them, as JSON without the fields that say nothing."""
    if isinstance(value, tuple):
        return f"[{','.join(map(_term_json, value))}]" if value else "[]"
    return _ENCODE(_fields(value))


@lru_cache(maxsize=1 << 14)
def _term_json(value: Term | Correction) -> str:
    return _ENCODE(_fields(value))


def _fields(value: object) -> dict[str, object]:
    pairs = zip(*_FIELDS_OF[type(value)](value), strict=True)
    return {name: item for name, item in pairs if item or item == ""}


def _getter(kind: type) -> Callable[[object], tuple[tuple[str, ...], tuple[object, ...]]]:
    names = tuple(field.name for field in dataclasses.fields(kind))
    values = attrgetter(*names)
    return lambda value: (names, values(value))


# Sixty of these stand in one citation: asdict, which copies deeply, took a third of the time of storing it.
_FIELDS_OF = {kind: _getter(kind) for kind in (Correction, Journal, Term)}
_ENCODE = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _stored(connection: Connection, pmids: list[int]) -> dict[int, _Stored]:
    rows = connection.execute(
        text(
            "SELECT pmid, version, revised_on, content_hash, record_hash, splitter, retracted, published_on "
            "FROM comention.citation WHERE pmid = ANY(:pmids)"
        ),
        {"pmids": pmids},
    )
    return {
        row.pmid: _Stored(
            row.version,
            row.revised_on,
            bytes(row.content_hash),
            bytes(row.record_hash),
            row.splitter,
            row.retracted,
            row.published_on,
        )
        for row in rows
    }


def _replace(connection: Connection, run_id: int, items: Sequence[ReadCitation], stored: Mapping[int, _Stored]) -> None:
    """Put revised records in the place of stored ones; counts follow, sentences only where the text changed."""
    if not items:
        return
    rewritten = [item for item in items if not stored[item.pmid].holds_text(item)]
    gone = [item.pmid for item in rewritten]
    recounted = [
        item.pmid
        for item in items
        if stored[item.pmid].holds_text(item)
        and (stored[item.pmid].retracted, stored[item.pmid].published_on)
        != (item.citation.retracted, item.citation.published_on)
    ]
    append_counts(connection, sorted([*gone, *recounted]), sign=-1)
    # The ledger first: it takes most mentions along in one pass.
    connection.execute(text("DELETE FROM comention.annotation WHERE pmid = ANY(:pmids)"), {"pmids": gone})
    connection.execute(text("DELETE FROM comention.section WHERE pmid = ANY(:pmids)"), {"pmids": gone})
    assignments = ", ".join(f"{name} = %s" for name in _CITATION_COLUMNS[1:])
    with driver(connection).cursor() as cursor:
        cursor.executemany(
            f"UPDATE comention.citation SET {assignments} WHERE pmid = %s".encode(),  # noqa: S608 - our own names
            [(*_citation_row(item, run_id)[1:], item.pmid) for item in items],
        )
    _save_texts(connection, rewritten)
    append_counts(connection, recounted, sign=1)


def _save_texts(connection: Connection, items: Sequence[ReadCitation]) -> None:
    """Write the sections and sentences of citations that have none."""
    sections: list[tuple[object, ...]] = []
    sentences: list[tuple[object, ...]] = []
    for item in items:
        parts = item.citation.sections
        sections.extend(
            (item.pmid, ordinal, part.label, part.category, part.start_char, part.end_char)
            for ordinal, part in enumerate(parts)
        )
        current = 0
        for line in item.sentences:
            while parts[current].end_char < line.end_char:
                current += 1
            sentences.append((item.pmid, line.ordinal, current, line.start_char, line.end_char, line.text))
    copy_rows(connection, "section", ("pmid", "ordinal", "label", "category", "start_char", "end_char"), sections)
    copy_rows(
        connection, "sentence", ("pmid", "ordinal", "section_ordinal", "start_char", "end_char", "text"), sentences
    )


def append_counts(connection: Connection, pmids: Sequence[int], *, sign: int, annotator_id: int | None = None) -> None:
    """Take what citations contribute to the counts out (``sign=-1``, before a change) or in (``+1``, after it)."""
    if pmids:
        connection.execute(
            text("SELECT comention.append_counts(:pmids, CAST(:annotator AS smallint), :sign)"),
            {"pmids": list(pmids), "annotator": annotator_id, "sign": sign},
        )
