"""Citations and their sentences: stored, replaced, deleted; with them, in one transaction, everything that hangs on them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter

from sqlalchemy import Connection, text

from comention.types import Correction, DeletedCitation, Journal, Term
from storage.cooccurrence import count_in, take_out_counts
from storage.copy import copy_rows, copy_text
from storage.database import driver
from storage.precedence import POSITIONS, ReadCitation, StoredRecord, Tombstone
from storage.runs import IngestCounts, IngestException

MAX_SENTENCES = 100_000
"""Sentences a citation may have: an identifier is PMID times this plus the ordinal."""

_CITATION_COLUMNS = (
    "pmid", "version", "text", "title_length", "journal", "published_on", "published_precision", "publication_types",
    "languages", "keywords", "mesh", "substances", "corrections", "other_abstracts", "vernacular_title", "doi", "pmc",
    "retracted", "revised_on", "content_hash", "record_hash", "splitter", "run_id", "bulk_position", "from_bulk",
)  # fmt: skip


def save_citations(connection: Connection, run_id: int, items: Sequence[ReadCitation]) -> IngestCounts:
    """Store a batch in the connection's transaction and say what became of every citation.

    A record replaces the stored one when its version is higher, or the same and it is not older: by the order of PubMed's
    numbered files where both come from there, else by the revision date. Sentences, and with them mentions and counts, are
    replaced only where the text changed. Rows are locked in the order of PMIDs, so batches that overlap wait for one another
    and never deadlock.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock_shared(hashtext('comention.delete'))"))
    counts = IngestCounts()
    latest = _latest_of_each(items, counts)
    tombstones = _tombstones(connection, list(latest))
    alive = _stored(connection, list(tombstones)) if tombstones else {}
    for pmid in list(latest):
        reason = _refusal(latest[pmid], tombstones.get(pmid), alive.get(pmid))
        if reason is not None:
            counts.explain(reason)
            del latest[pmid]
    if not latest:
        return counts

    new = _claim(connection, run_id, latest, tombstones)
    stored = _stored(connection, [pmid for pmid in latest if pmid not in new])
    revised: list[ReadCitation] = []
    confirmed: list[tuple[int, int, bool]] = []
    for pmid, item in latest.items():
        if pmid in new:
            counts.new += 1
            continue
        record = stored[pmid]
        if record.holds(item):
            counts.unchanged += 1
        elif record.supersedes(item):
            counts.explain(_superseded(item, record))
        else:
            counts.revised += 1
            revised.append(item)
            continue
        # Also what changes nothing says how far in PubMed's files the stored record holds.
        if item.bulk_position > record.bulk_position and item.citation.version == record.version:
            confirmed.append((pmid, item.bulk_position, record.from_bulk or record.holds(item)))
    _replace(connection, run_id, revised, stored)
    _confirm(connection, confirmed)
    _save_texts(connection, [latest[pmid] for pmid in sorted(new)])
    return counts


def delete_citations(
    connection: Connection,
    source_key: str,
    deletions: Sequence[DeletedCitation],
    *,
    bulk_positions: Sequence[int] | None = None,
) -> IngestCounts:
    """Take withdrawn citations out, with all that hangs on them, and remember up to where they are withdrawn.

    ``bulk_positions`` are the deletions' places in PubMed's numbered files: such a deletion takes out what came before it
    and nothing that came after, in whatever order the files are read. Without them, reading a source again does not delete
    what came back after it: a deletion that this source has brought before leaves a newer record alone, and so does the
    deletion of a lower version.
    """
    # Nobody stores while somebody deletes: a save looks for tombstones first, and would miss one not yet committed.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('comention.delete'))"))
    wanted: dict[int, Tombstone] = {}
    for deletion, place in zip(deletions, bulk_positions or [0] * len(deletions), strict=True):
        tombstone = Tombstone(deletion.version, None, source_key, place)
        known = wanted.setdefault(deletion.pmid, tombstone)
        if tombstone.bulk_rank > known.bulk_rank:
            wanted[deletion.pmid] = tombstone
    # Nor does anybody annotate what is counted out below.
    connection.execute(
        text("SELECT FROM comention.citation WHERE pmid = ANY(:pmids) ORDER BY pmid FOR UPDATE"),
        {"pmids": list(wanted)},
    )
    tombstones = _tombstones(connection, list(wanted))
    stored = _stored(connection, list(wanted))
    doomed = []
    buried = {}
    for pmid, new in sorted(wanted.items()):
        record, old = stored.get(pmid), tombstones.get(pmid)
        if record is not None and new.takes_out(record, old):
            doomed.append(pmid)
            buried[pmid] = replace(new, revised_on=record.revised_on)
        elif old is None and record is None:
            buried[pmid] = new
        if new.bulk_position:
            last = max(buried.get(pmid, new), old or new, key=lambda one: one.bulk_rank)
            buried[pmid] = replace(last, revised_on=buried.get(pmid, old or new).revised_on)
    _bury(connection, buried)
    take_out_counts(connection, doomed, reason="deletion")
    connection.execute(text("DELETE FROM comention.annotation WHERE pmid = ANY(:pmids)"), {"pmids": doomed})
    connection.execute(text("DELETE FROM comention.citation WHERE pmid = ANY(:pmids)"), {"pmids": doomed})
    return IngestCounts(deleted=len(deletions))


def _bury(connection: Connection, tombstones: Mapping[int, Tombstone]) -> None:
    if not tombstones:
        return
    connection.execute(
        text(
            "INSERT INTO comention.deleted_citation (pmid, version, revised_on, source_key, bulk_position) "
            "VALUES (:pmid, :version, :revised_on, :source_key, :bulk_position) ON CONFLICT (pmid) DO UPDATE SET "
            "version = EXCLUDED.version, revised_on = EXCLUDED.revised_on, source_key = EXCLUDED.source_key, "
            "bulk_position = EXCLUDED.bulk_position"
        ),
        [{"pmid": pmid, **dataclasses.asdict(tombstone)} for pmid, tombstone in tombstones.items()],
    )


def _latest_of_each(items: Sequence[ReadCitation], counts: IngestCounts) -> dict[int, ReadCitation]:
    """Keep the latest record of each PMID in order of PMID; count the others."""
    latest: dict[int, ReadCitation] = {}
    for item in items:
        other = latest.setdefault(item.pmid, item)
        if other is item:
            continue
        numbered = item.bulk_position and other.bulk_position
        later = item.bulk_rank >= other.bulk_rank if numbered else item.rank >= other.rank
        winner, loser = (item, other) if later else (other, item)
        latest[item.pmid] = winner
        if winner.citation.record_hash == loser.citation.record_hash:
            counts.unchanged += 1
            continue
        reason = f"record {winner.position} of the same source is a later or equal revision of this PMID"
        counts.explain(IngestException(position=loser.position, pmid=loser.pmid, outcome="superseded", reason=reason))
    return dict(sorted(latest.items()))


def _superseded(item: ReadCitation, stored: StoredRecord) -> IngestException:
    reason = (
        f"version {stored.version}, revised on {stored.revised_on or 'an unknown date'}, is stored; this is "
        f"version {item.citation.version}, revised on {item.citation.revised_on or 'an unknown date'}"
    )
    if item.bulk_position and stored.bulk_position and item.citation.version == stored.version:
        reason += f", and PubMed's file {item.bulk_position // POSITIONS % 10_000} comes before what is stored"
        if item.bulk_position > stored.bulk_position:
            reason = reason.rpartition(", and")[0]
    return IngestException(position=item.position, pmid=item.pmid, outcome="superseded", reason=reason)


def _refusal(item: ReadCitation, tombstone: Tombstone | None, stored: StoredRecord | None) -> IngestException | None:
    """Give the reason why a citation stays out, if there is one."""
    if len(item.sentences) > MAX_SENTENCES:
        reason = f"it has {len(item.sentences):,} sentences, more than the {MAX_SENTENCES:,} that can be numbered"
        return IngestException(position=item.position, pmid=item.pmid, outcome="refused", reason=reason)
    if tombstone is not None and tombstone.keeps_out(item, stored):
        reason = "PubMed has withdrawn this PMID (DeleteCitation)"
        return IngestException(position=item.position, pmid=item.pmid, outcome="withdrawn", reason=reason)
    return None


def _tombstones(connection: Connection, pmids: list[int]) -> dict[int, Tombstone]:
    rows = connection.execute(
        text(
            "SELECT pmid, version, revised_on, source_key, bulk_position FROM comention.deleted_citation "
            "WHERE pmid = ANY(:pmids)"
        ),
        {"pmids": pmids},
    )
    return {row.pmid: Tombstone(row.version, row.revised_on, row.source_key, row.bulk_position) for row in rows}


def _claim(
    connection: Connection, run_id: int, items: Mapping[int, ReadCitation], tombstones: Mapping[int, Tombstone]
) -> set[int]:
    """Insert what is new and lock what is there, in one pass over the PMIDs; return the new ones."""
    columns = ", ".join(_CITATION_COLUMNS)
    # These columns and no others: a later release may add some, with defaults, while this one still runs.
    source = f"SELECT {columns} FROM comention.citation WITH NO DATA"  # noqa: S608 - names from this module
    connection.execute(text(f"CREATE TEMPORARY TABLE IF NOT EXISTS staged_citation ON COMMIT DELETE ROWS AS {source}"))
    copy_rows(
        connection,
        "staged_citation",
        _CITATION_COLUMNS,
        (
            # What came back after a deletion is at least as new as the file that brought it.
            _citation_row(item, run_id, tombstones[pmid].bulk_position if pmid in tombstones else 0)
            for pmid, item in items.items()
        ),
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


def _citation_row(item: ReadCitation, run_id: int, known_position: int) -> tuple[object, ...]:
    """The row of a record that is at least as new as ``known_position`` in PubMed's files, if it is not from there."""
    record = item.citation
    return (
        record.pmid,
        record.version,
        record.text,
        record.sections[0].end_char,
        _ENCODE(_fields(record.journal)),
        record.published_on,
        record.published_precision,
        [term.name for term in record.publication_types],
        list(record.languages),
        list(record.keywords),
        _terms_json(record.mesh),
        _terms_json(record.substances),
        # Hardly ever the same twice: they would only drive terms out of the cache.
        _ENCODE([_fields(correction) for correction in record.corrections]) if record.corrections else "[]",
        _ENCODE(dict(record.other_abstracts)) if record.other_abstracts else "{}",
        record.vernacular_title,
        record.doi,
        record.pmc,
        record.retracted,
        record.revised_on,
        record.content_hash,
        record.record_hash,
        item.splitter,
        run_id,
        item.bulk_position or known_position,
        item.bulk_position > 0,
    )


def _terms_json(terms: tuple[Term, ...]) -> str:
    return f"[{','.join(map(_term_json, terms))}]" if terms else "[]"


@lru_cache(maxsize=1 << 14)
def _term_json(term: Term) -> str:
    return _ENCODE(_fields(term))


def _fields(value: Correction | Journal | Term) -> dict[str, object]:
    """The fields of a kernel type, less those that say nothing."""
    pairs = zip(*_FIELDS_OF[type(value)](value), strict=True)
    return {name: item for name, item in pairs if item or item == ""}


def _getter(kind: type) -> _Getter:
    names = tuple(field.name for field in dataclasses.fields(kind))
    values = attrgetter(*names)
    return lambda value: (names, values(value))


_Getter = Callable[[object], tuple[tuple[str, ...], tuple[object, ...]]]

# Sixty of these stand in one citation: asdict, which copies deeply, took a third of the time of storing it.
_FIELDS_OF: dict[type, _Getter] = {kind: _getter(kind) for kind in (Correction, Journal, Term)}
_ENCODE = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _stored(connection: Connection, pmids: list[int]) -> dict[int, StoredRecord]:
    rows = connection.execute(
        text(
            "SELECT pmid, version, revised_on, content_hash, record_hash, splitter, retracted, published_on, "
            "bulk_position, from_bulk "
            "FROM comention.citation WHERE pmid = ANY(:pmids)"
        ),
        {"pmids": pmids},
    )
    return {
        row.pmid: StoredRecord(
            row.version,
            row.revised_on,
            bytes(row.content_hash),
            bytes(row.record_hash),
            row.splitter,
            row.retracted,
            row.published_on,
            row.bulk_position,
            row.from_bulk,
        )
        for row in rows
    }


def _replace(
    connection: Connection, run_id: int, items: Sequence[ReadCitation], stored: Mapping[int, StoredRecord]
) -> None:
    """Put revised records in the place of stored ones; counts follow, sentences only where the text changed."""
    if not items:
        return
    rewritten = [item for item in items if not stored[item.pmid].holds_text(item)]
    gone = [item.pmid for item in rewritten]
    kept = [item for item in items if stored[item.pmid].holds_text(item)]
    retracted = [item.pmid for item in kept if stored[item.pmid].retracted != item.citation.retracted]
    corrected = [
        item.pmid
        for item in kept
        if item.pmid not in retracted and stored[item.pmid].published_on != item.citation.published_on
    ]
    take_out_counts(connection, gone, reason="revision")
    take_out_counts(connection, retracted, reason="retraction")
    take_out_counts(connection, corrected, reason="correction")
    # The ledger first: it takes most mentions along in one pass.
    connection.execute(text("DELETE FROM comention.annotation WHERE pmid = ANY(:pmids)"), {"pmids": gone})
    connection.execute(text("DELETE FROM comention.section WHERE pmid = ANY(:pmids)"), {"pmids": gone})
    assignments = ", ".join(f"{name} = %s" for name in _CITATION_COLUMNS[1:])
    with driver(connection).cursor() as cursor:
        cursor.executemany(
            f"UPDATE comention.citation SET {assignments} WHERE pmid = %s".encode(),  # noqa: S608 - our own names
            [(*_citation_row(item, run_id, stored[item.pmid].bulk_position)[1:], item.pmid) for item in items],
        )
    _save_texts(connection, rewritten)
    count_in(connection, sorted([*retracted, *corrected]))


def _confirm(connection: Connection, confirmed: Sequence[tuple[int, int, bool]]) -> None:
    """Note for (PMID, bulk position, whether the record stands as there) that the stored record is as new as that."""
    if confirmed:
        pmids, positions, from_bulk = zip(*confirmed, strict=True)
        connection.execute(
            text(
                "UPDATE comention.citation c SET bulk_position = n.bulk_position, from_bulk = n.from_bulk "
                "FROM unnest(CAST(:pmids AS integer[]), CAST(:positions AS bigint[]), CAST(:from_bulk AS boolean[])) "
                "AS n (pmid, bulk_position, from_bulk) WHERE c.pmid = n.pmid"
            ),
            {"pmids": list(pmids), "positions": list(positions), "from_bulk": list(from_bulk)},
        )


def _save_texts(connection: Connection, items: Sequence[ReadCitation]) -> None:
    """Write the sections and sentences of citations that have none."""
    sections: list[tuple[object, ...]] = []
    sentences: list[str] = []
    for item in items:
        pmid, parts = item.pmid, item.citation.sections
        sections.extend(
            (pmid, ordinal, part.label, part.category, part.start_char, part.end_char)
            for ordinal, part in enumerate(parts)
        )
        current = 0
        for line in item.sentences:
            while parts[current].end_char < line.end_char:
                current += 1
            sentences.append(f"{pmid}\t{line.ordinal}\t{current}\t{line.start_char}\t{line.end_char}\n")
    copy_rows(connection, "section", ("pmid", "ordinal", "label", "category", "start_char", "end_char"), sections)
    copy_text(
        connection, "sentence", ("pmid", "ordinal", "section_ordinal", "start_char", "end_char"), "".join(sentences)
    )
    connection.execute(
        text(
            "INSERT INTO comention.unindexed_citation (pmid) SELECT unnest(CAST(:pmids AS integer[])) "
            "ON CONFLICT DO NOTHING"
        ),
        {"pmids": [item.pmid for item in items]},
    )
