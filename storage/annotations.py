"""The annotation ledger and the mentions: what is owed to an annotator, and what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from struct import Struct
from uuid import UUID

from sqlalchemy import Connection, text

from comention.types import AnnotationStatus, SentenceAnnotation
from storage.cooccurrence import count_in, take_out_counts
from storage.copy import ArrayElements, copy_binary, copy_rows
from storage.database import Database
from storage.names import NameTable, Surface

MAX_ATTEMPTS = 3
"""How often a citation that fails is tried before it is left for somebody to look at; the view `comention.owed` says so too."""

_Row = tuple[int, int, int, int, float]
"""A mention as it is stored: ordinal of its sentence, start, end, number of its name, score."""

_KEY = Struct(">hiiih")
"""How a row of mentions begins in COPY's binary form: number of fields; the PMID and the annotator, each with its length."""


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
    found = _gather(names, batch)
    with database.transaction() as connection:
        owed = _lock_owed(connection, annotator_id, [item.pending.pmid for item in batch])
        if lease is not None:
            held = _end_claims(connection, annotator_id, lease, [item.pending.pmid for item in batch])
            owed = {pmid: content_hash for pmid, content_hash in owed.items() if pmid in held}
        todo = sorted(
            (
                each
                for each in zip(batch, found, strict=True)
                if owed.get(each[0].pending.pmid) == each[0].pending.content_hash
            ),
            key=lambda each: each[0].pending.pmid,
        )
        pmids = [item.pending.pmid for item, _ in todo]
        earlier = _earlier_attempts(connection, annotator_id, pmids)
        if earlier:  # most batches bring citations that this annotator has never seen
            again = sorted(earlier)
            take_out_counts(connection, again, reason="re-annotation", annotator_id=annotator_id)
            connection.execute(
                text("DELETE FROM comention.annotation WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"),
                {"annotator": annotator_id, "pmids": again},
            )
        written = _write(connection, annotator_id, todo, earlier, give_up=give_up)
        count_in(connection, pmids, annotator_id=annotator_id)
    return written + AnnotationCounts(skipped=len(batch) - len(todo))


def _lock_owed(connection: Connection, annotator_id: int, pmids: Sequence[int]) -> dict[int, bytes]:
    """Lock the citations of a batch and return the content hashes of those that are owed still."""
    locked = connection.execute(
        text(
            "SELECT array_agg(l.pmid) FROM "
            "(SELECT pmid FROM comention.citation WHERE pmid = ANY(:pmids) ORDER BY pmid FOR NO KEY UPDATE) l"
        ),
        {"pmids": list(pmids)},
    ).scalar_one()
    # A statement of its own, which sees what was done while that one waited for the locks.
    owed = connection.execute(
        text("SELECT pmid, content_hash FROM comention.owed WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"),
        {"annotator": annotator_id, "pmids": locked or []},
    ).all()
    return {pmid: bytes(content_hash) for pmid, content_hash in owed}


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


def _gather(names: NameTable, batch: Sequence[AnnotatedCitation]) -> list[list[_Row]]:
    """Return the mentions of each citation in the order in which they are stored."""
    ordinals: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    scores: list[float] = []
    surfaces: list[Surface] = []
    bounds = [0]
    for item in batch:
        for ordinal, sentence, result in zip(item.pending.ordinals, item.pending.sentences, item.results, strict=True):
            for mention in result.mentions:
                start, end = mention.start_char, mention.end_char
                ordinals.append(ordinal)
                starts.append(start)
                ends.append(end)
                scores.append(mention.score)
                surfaces.append((mention.label, sentence[start:end]))
        bounds.append(len(ordinals))
    rows = list(zip(ordinals, starts, ends, names.number_surfaces(surfaces), scores, strict=True))
    return [sorted(rows[first:last]) for first, last in pairwise(bounds)]


def _write(
    connection: Connection,
    annotator_id: int,
    items: Sequence[tuple[AnnotatedCitation, list[_Row]]],
    earlier: Mapping[int, tuple[bytes, int]],
    *,
    give_up: bool,
) -> AnnotationCounts:
    ledger: list[tuple[object, ...]] = []
    exceptions: list[tuple[object, ...]] = []
    tally = dict.fromkeys(AnnotationStatus, 0)
    for item, mentions in items:
        pmid = item.pending.pmid
        seen, attempts = earlier.get(pmid, (b"", 0))
        status, detail = _citation_status(item.results)
        if status is not AnnotationStatus.DONE:
            exceptions += [
                (pmid, annotator_id, ordinal, result.status, result.detail or "no reason given")
                for ordinal, result in zip(item.pending.ordinals, item.results, strict=True)
                if result.status is not AnnotationStatus.DONE
            ]
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
    total = _write_mentions(
        connection, annotator_id, [(item.pending.pmid, mentions) for item, mentions in items if mentions]
    )
    return AnnotationCounts(
        done=tally[AnnotationStatus.DONE],
        truncated=tally[AnnotationStatus.TRUNCATED],
        failed=tally[AnnotationStatus.FAILED],
        sentences=sum(len(item.results) for item, _ in items),
        mentions=total,
    )


def _write_mentions(connection: Connection, annotator_id: int, lists: Sequence[tuple[int, list[_Row]]]) -> int:
    """Write the lists of mentions of citations, none of them empty, and return how many mentions that was."""
    if not lists:
        return 0
    ordinals, starts, ends, numbers, scores = zip(*chain.from_iterable(mentions for _, mentions in lists), strict=True)
    fields = [
        *(ArrayElements.integers(column) for column in (ordinals, starts, ends, numbers)),
        ArrayElements.reals(scores),
    ]
    bounds = accumulate((len(mentions) for _, mentions in lists), initial=0)
    copy_binary(
        connection,
        "citation_mentions",
        ("pmid", "annotator_id", "sentence_ordinals", "starts", "ends", "name_ids", "scores"),
        [
            _KEY.pack(2 + len(fields), 4, pmid, 2, annotator_id)
            + b"".join(column.field(first, last) for column in fields)
            for (pmid, _), (first, last) in zip(lists, pairwise(bounds), strict=True)
        ],
    )
    return len(scores)


def _earlier_attempts(connection: Connection, annotator_id: int, pmids: Sequence[int]) -> dict[int, tuple[bytes, int]]:
    """Return the content that the ledger has of each citation, and how often it was tried, where it has a row."""
    rows = connection.execute(
        text(
            "SELECT pmid, content_hash, attempts FROM comention.annotation "
            "WHERE annotator_id = :annotator AND pmid = ANY(:pmids)"
        ),
        {"annotator": annotator_id, "pmids": list(pmids)},
    ).all()
    return {pmid: (bytes(content_hash), attempts) for pmid, content_hash, attempts in rows}


def _citation_status(results: Sequence[SentenceAnnotation]) -> tuple[AnnotationStatus, str | None]:
    """A citation's status is the worst of its sentences; what the others gave is stored and counted all the same."""
    wrong = [result for result in results if result.status is not AnnotationStatus.DONE]
    if not wrong:
        return AnnotationStatus.DONE, None
    failed = [result for result in wrong if result.status is AnnotationStatus.FAILED]
    worst = failed or wrong
    detail = f"{len(worst)} of {len(results)} sentences: {worst[0].detail or 'no reason given'}"
    return worst[0].status, detail
