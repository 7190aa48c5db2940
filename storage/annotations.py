"""The annotation ledger and the mentions: what is owed to an annotator, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from comention.types import AnnotationStatus, SentenceAnnotation
from storage.cooccurrence import count_in, take_out_counts
from storage.copy import array_literal, copy_rows
from storage.database import Database
from storage.names import NameTable, Surface

MAX_ATTEMPTS = 3
"""How often a citation that fails is tried before it is left for somebody to look at; the view `comention.owed` says so too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCitation:
    """A citation that an annotator has not seen, or not in its present content. ``ordinals`` and ``sentences`` go in step."""

    pmid: int
    content_hash: bytes
    ordinals: tuple[int, ...]
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotatedCitation:
    """What an annotator says of a pending citation: a result for each of its sentences."""

    pending: PendingCitation
    results: tuple[SentenceAnnotation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnotationCounts:
    """What was written: citations by status, sentences and mentions; ``skipped`` were done or changed meanwhile."""

    done: int = 0
    truncated: int = 0
    failed: int = 0
    skipped: int = 0
    sentences: int = 0
    mentions: int = 0

    def __add__(self, other: AnnotationCounts) -> AnnotationCounts:
        return AnnotationCounts(
            done=self.done + other.done,
            truncated=self.truncated + other.truncated,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            sentences=self.sentences + other.sentences,
            mentions=self.mentions + other.mentions,
        )


def count_pending(database: Database, annotator_id: int) -> tuple[int, int]:
    """Return how many citations, and how many sentences, are owed to an annotator."""
    with database.transaction() as connection:
        row = connection.execute(
            text(
                "SELECT count(DISTINCT o.pmid) AS citations, count(s.pmid) AS sentences FROM comention.owed o "
                "LEFT JOIN comention.sentence s USING (pmid) WHERE o.annotator_id = :annotator"
            ),
            {"annotator": annotator_id},
        ).one()
        return row.citations, row.sentences


def count_given_up(database: Database, annotator_id: int) -> int:
    """Return how many citations failed so often that they are not tried again."""
    with database.transaction() as connection:
        return int(
            connection.execute(
                text(
                    "SELECT count(*) FROM comention.annotation a JOIN comention.citation c USING (pmid, content_hash) "
                    "WHERE a.annotator_id = :annotator AND a.status = 'failed' AND a.attempts >= :attempts"
                ),
                {"annotator": annotator_id, "attempts": MAX_ATTEMPTS},
            ).scalar_one()
        )


def list_pending(
    database: Database, annotator_id: int, *, after_pmid: int = 0, limit: int = 256
) -> list[PendingCitation]:
    """Return the next citations owed to an annotator, in order of PMID, with their sentences."""
    with database.transaction() as connection:
        # One snapshot, so that offsets and text are of one revision.
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        citations = connection.execute(
            text(
                "SELECT pmid, content_hash FROM comention.owed WHERE annotator_id = :annotator AND pmid > :after "
                "ORDER BY pmid LIMIT :limit"
            ),
            {"annotator": annotator_id, "after": after_pmid, "limit": limit},
        ).all()
        return _with_sentences(connection, {row.pmid: bytes(row.content_hash) for row in citations})


def read_pending(database: Database, annotator_id: int, pmids: Sequence[int]) -> list[PendingCitation]:
    """Return those of the citations that are owed to an annotator, in order of PMID, with their sentences."""
    with database.transaction() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        citations = connection.execute(
            text(
                "SELECT pmid, content_hash FROM comention.owed WHERE annotator_id = :annotator AND pmid = ANY(:pmids) "
                "ORDER BY pmid"
            ),
            {"annotator": annotator_id, "pmids": list(pmids)},
        ).all()
        return _with_sentences(connection, {row.pmid: bytes(row.content_hash) for row in citations})


def _with_sentences(connection: Connection, citations: Mapping[int, bytes]) -> list[PendingCitation]:
    """Read the sentences of citations, given with their content hashes in the same snapshot."""
    pmids = {"pmids": list(citations)}
    texts: dict[int, str] = {
        row.pmid: row.text
        for row in connection.execute(text("SELECT pmid, text FROM comention.citation WHERE pmid = ANY(:pmids)"), pmids)
    }
    lines = connection.execute(
        text(
            "SELECT pmid, ordinal, start_char, end_char FROM comention.sentence WHERE pmid = ANY(:pmids) "
            "ORDER BY pmid, ordinal"
        ),
        pmids,
    )
    by_pmid: dict[int, list[tuple[int, str]]] = {pmid: [] for pmid in citations}
    for pmid, ordinal, start, end in lines:
        by_pmid[pmid].append((ordinal, texts[pmid][start:end]))
    return [
        PendingCitation(
            pmid=pmid,
            content_hash=content_hash,
            ordinals=tuple(ordinal for ordinal, _ in by_pmid[pmid]),
            sentences=tuple(line for _, line in by_pmid[pmid]),
        )
        for pmid, content_hash in citations.items()
    ]


def save_annotations(
    database: Database,
    annotator_id: int,
    names: NameTable,
    batch: Sequence[AnnotatedCitation],
    *,
    lease: UUID | None = None,
    give_up: bool = False,
) -> AnnotationCounts:
    """Write mentions, ledger and counts of a batch in one transaction; repeating it changes nothing.

    A citation whose content changed while it was annotated stays owed. With a ``lease``, only what is still claimed under it is
    written, and the claims end in the same transaction: whoever comes late, because others took over, changes nothing. With
    ``give_up`` what failed is not tried again.
    """
    numbers = names.intern_surfaces(
        (mention.label, sentence[mention.start_char : mention.end_char])
        for item in batch
        for sentence, result in zip(item.pending.sentences, item.results, strict=True)
        for mention in result.mentions
    )
    with database.transaction() as connection:
        owed = _lock_owed(connection, annotator_id, [item.pending.pmid for item in batch])
        if lease is not None:
            held = _end_claims(connection, annotator_id, lease, [item.pending.pmid for item in batch])
            owed = {pmid: content_hash for pmid, content_hash in owed.items() if pmid in held}
        todo = sorted(
            (item for item in batch if owed.get(item.pending.pmid) == item.pending.content_hash),
            key=lambda item: item.pending.pmid,
        )
        pmids = [item.pending.pmid for item in todo]
        earlier = _earlier_attempts(connection, annotator_id, pmids)
        if earlier:  # most batches bring citations that this annotator has never seen
            again = sorted(earlier)
            take_out_counts(connection, again, reason="re-annotation", annotator_id=annotator_id)
            connection.execute(
                text("DELETE FROM comention.annotation WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"),
                {"annotator": annotator_id, "pmids": again},
            )
        written = _write(connection, annotator_id, todo, numbers, earlier, give_up=give_up)
        count_in(connection, pmids, annotator_id=annotator_id)
    return written + AnnotationCounts(skipped=len(batch) - len(todo))


def _lock_owed(connection: Connection, annotator_id: int, pmids: Sequence[int]) -> dict[int, bytes]:
    """Lock the citations of a batch and return the content hashes of those that are owed still."""
    rows = connection.execute(
        text("SELECT pmid FROM comention.citation WHERE pmid = ANY(:pmids) ORDER BY pmid FOR NO KEY UPDATE"),
        {"pmids": list(pmids)},
    ).scalars()
    locked = list(rows)
    owed = connection.execute(
        text("SELECT pmid, content_hash FROM comention.owed WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"),
        {"annotator": annotator_id, "pmids": locked},
    )
    return {row.pmid: bytes(row.content_hash) for row in owed}


def _end_claims(connection: Connection, annotator_id: int, lease: UUID, pmids: Sequence[int]) -> set[int]:
    """End the claims of a batch and return the citations that were claimed under this lease to the end."""
    ended = connection.execute(
        text(
            "DELETE FROM comention.annotation_claim WHERE annotator_id = :annotator AND lease = :lease "
            "AND pmid = ANY(:pmids) RETURNING pmid"
        ),
        {"annotator": annotator_id, "lease": lease, "pmids": list(pmids)},
    )
    return set(ended.scalars())


def _write(
    connection: Connection,
    annotator_id: int,
    items: Sequence[AnnotatedCitation],
    numbers: Mapping[Surface, int],
    earlier: Mapping[int, tuple[bytes, int]],
    *,
    give_up: bool,
) -> AnnotationCounts:
    ledger: list[tuple[object, ...]] = []
    exceptions: list[tuple[object, ...]] = []
    lists: list[tuple[object, ...]] = []
    tally = dict.fromkeys(AnnotationStatus, 0)
    total = 0
    for item in items:
        pmid = item.pending.pmid
        seen, attempts = earlier.get(pmid, (b"", 0))
        mentions: list[tuple[int, int, int, int, float]] = []
        for ordinal, sentence, result in zip(item.pending.ordinals, item.pending.sentences, item.results, strict=True):
            if result.status is not AnnotationStatus.DONE:
                exceptions.append((pmid, annotator_id, ordinal, result.status, result.detail or "no reason given"))
            for found in result.mentions:
                start, end = found.start_char, found.end_char
                number = numbers[found.label, sentence[start:end]]
                mentions.append((ordinal, start, end, number, found.score))
        if mentions:
            mentions.sort()
            lists.append((pmid, annotator_id, *map(array_literal, zip(*mentions, strict=True))))
        total += len(mentions)
        status, detail = _citation_status(item.results)
        tally[status] += 1
        ledger.append(
            (
                pmid,
                annotator_id,
                item.pending.content_hash,
                status,
                detail,
                sum(result.status is not AnnotationStatus.FAILED for result in item.results),
                len(mentions),
                MAX_ATTEMPTS if give_up else attempts + 1 if seen == item.pending.content_hash else 1,
            )
        )
    copy_rows(
        connection,
        "annotation",
        ("pmid", "annotator_id", "content_hash", "status", "detail", "sentence_count", "mention_count", "attempts"),
        ledger,
    )
    if exceptions:
        copy_rows(
            connection,
            "annotation_exception",
            ("pmid", "annotator_id", "sentence_ordinal", "status", "detail"),
            exceptions,
        )
    columns = ("pmid", "annotator_id", "sentence_ordinals", "starts", "ends", "name_ids", "scores")
    copy_rows(connection, "citation_mentions", columns, lists)
    return AnnotationCounts(
        done=tally[AnnotationStatus.DONE],
        truncated=tally[AnnotationStatus.TRUNCATED],
        failed=tally[AnnotationStatus.FAILED],
        sentences=sum(len(item.results) for item in items),
        mentions=total,
    )


def _earlier_attempts(connection: Connection, annotator_id: int, pmids: Sequence[int]) -> dict[int, tuple[bytes, int]]:
    """Return the content that the ledger has of each citation, and how often it was tried, where it has a row."""
    rows = connection.execute(
        text(
            "SELECT pmid, content_hash, attempts FROM comention.annotation "
            "WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"
        ),
        {"annotator": annotator_id, "pmids": list(pmids)},
    )
    return {row.pmid: (bytes(row.content_hash), row.attempts) for row in rows}


def _citation_status(results: Sequence[SentenceAnnotation]) -> tuple[AnnotationStatus, str | None]:
    """A citation's status is the worst of its sentences; what the others gave is stored and counted all the same."""
    wrong = [result for result in results if result.status is not AnnotationStatus.DONE]
    if not wrong:
        return AnnotationStatus.DONE, None
    failed = [result for result in wrong if result.status is AnnotationStatus.FAILED]
    worst = failed or wrong
    detail = f"{len(worst)} of {len(results)} sentences: {worst[0].detail or 'no reason given'}"
    return worst[0].status, detail
