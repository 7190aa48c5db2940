"""The first stage: records of a source -> citations and sentences in the database, every record accounted for."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from comention.errors import FetchError, SourceError
from comention.types import Citation, DeletedCitation, Record, RefusedRecord, Splitter
from ingest.files import read_records, source_digest
from ingest.releases import release_number
from ingest.sentences import split_citation
from storage.citations import delete_citations, save_citations
from storage.cooccurrence import fold_counts
from storage.database import Database
from storage.leases import Fence
from storage.precedence import POSITIONS, ReadCitation
from storage.runs import IngestCounts, IngestException, IngestRun, find_finished_run, open_run

if TYPE_CHECKING:
    from ingest.pubmed import PubMed

BATCH_CITATIONS = 500
"""Citations stored in one transaction."""

OnProgress = Callable[[int], None]
"""Called with the number of records that have been stored or explained since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What became of a source. ``failure`` says why it could not be read to its end; what came before it is stored."""

    source: str
    counts: IngestCounts
    failure: str | None = None
    already_read: bool = False
    retryable: bool = False
    """Of a failure: whether the same may succeed later without anybody changing anything."""

    @property
    def usable(self) -> bool:
        """True where the source was read to its end and none of its records had to be refused."""
        return self.failure is None and not self.counts.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class RunName:
    """How a run stands in the ledger; the same ``source_key`` again takes an interrupted run up."""

    kind: str
    source: str
    source_key: str


def ingest_file(
    database: Database,
    path: Path,
    splitter: Splitter,
    *,
    kind: str = "file",
    again: bool = False,
    on_progress: OnProgress | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> SourceReport:
    """Store a file of PubMed XML. A file that this version has read to its end is not read again, unless ``again``.

    A file that has the name of one of PubMed's numbered files takes its place among them, in whatever order they are read.
    ``on_bytes`` is told how far into the file the reader has come.

    Raises:
        SourceError: the file cannot be opened; nothing was read. A file that breaks off later gives a report with a failure.
    """
    source_key = f"file:{source_digest(path)}"
    finished = None if again else find_finished_run(database, source_key)
    if finished is not None:
        return SourceReport(source=printable(str(path)), counts=finished.counts, already_read=True)
    with open_run(database, kind=kind, source=printable(path.name), source_key=source_key) as run:
        records = itertools.islice(read_records(path, on_bytes=on_bytes), run.done, None)
        bulk_start = release_number(path.name) * POSITIONS
        return _ingest(database, run, printable(str(path)), records, splitter, on_progress, bulk_start=bulk_start)


def ingest_pmids(
    database: Database,
    pubmed: PubMed,
    pmids: Iterable[int],
    splitter: Splitter,
    *,
    query: str | None = None,
    ledger: RunName | None = None,
    on_run: Callable[[int], None] = lambda run_id: None,
    on_progress: OnProgress | None = None,
    fence: Fence | None = None,
) -> SourceReport:
    """Fetch citations from NCBI and store them; a PMID that NCBI does not return is in the ledger as missing.

    ``ledger`` says under which name the run stands there, where that is not the query or the PMIDs; ``on_run`` is told its
    number before anything is fetched. ``fence`` is called first in every transaction that stores, and ends it by an error
    where the work is no longer ours.
    """
    wanted = sorted(set(pmids))
    if ledger is None:
        digest = hashlib.sha256(",".join(map(str, wanted)).encode()).hexdigest()
        kind = "pmids" if query is None else "query"
        source = query if query is not None else pmid_summary(wanted)
        ledger = RunName(kind=kind, source=source, source_key=f"{kind}:{query or ''}:{digest}")
    with open_run(
        database, kind=ledger.kind, source=ledger.source, source_key=ledger.source_key, requested=len(wanted)
    ) as run:
        on_run(run.run_id)
        return _ingest(
            database, run, ledger.source, pubmed.fetch(wanted[run.done :]), splitter, on_progress, fence=fence
        )


def printable(text: str) -> str:
    """Return a file's name, or a sentence with one, so that it can be printed and stored also where it is not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def pmid_summary(pmids: list[int]) -> str:
    """Return what a list of PMIDs is called: the first few, and how many more."""
    shown = ", ".join(map(str, pmids[:5]))
    return shown if len(pmids) <= 5 else f"{shown} and {len(pmids) - 5:,} more"


def _ingest(
    database: Database,
    run: IngestRun,
    source: str,
    records: Iterator[Record],
    splitter: Splitter,
    on_progress: OnProgress | None,
    *,
    bulk_start: int = 0,
    fence: Fence | None = None,
) -> SourceReport:
    """Store a source batch by batch; one batch is written while the next is parsed and split."""
    failure: str | None = None
    retryable = False
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="store") as writer:
        writing: Future[IngestCounts] | None = None

        def settle() -> None:
            if writing is not None:
                counts = writing.result()
                run.counts.add(counts)
                if on_progress is not None:
                    on_progress(counts.read)

        batches = _batches(records, splitter, first=run.done + 1, bulk_start=bulk_start)
        while True:
            try:
                batch = next(batches, None)
            except (SourceError, FetchError) as error:
                failure, retryable = printable(str(error)), error.retryable
                break
            if batch is None:
                break
            settle()
            writing = writer.submit(_save, database, run, batch, fence)
        settle()
    run.finish(failure=failure)
    fold_counts(database)
    return SourceReport(source=source, counts=run.counts, failure=failure, retryable=retryable)


@dataclass(slots=True)
class _Batch:
    """Records that go into one transaction: citations or deletions, never both, so that rows are locked in one order."""

    citations: list[ReadCitation]
    deletions: list[DeletedCitation]
    bulk_positions: list[int]
    """Of the deletions, where they come from a numbered file."""
    refused: list[IngestException]

    def __len__(self) -> int:
        return len(self.citations) + len(self.deletions) + len(self.refused)


def _batches(records: Iterator[Record], splitter: Splitter, *, first: int, bulk_start: int = 0) -> Iterator[_Batch]:
    """Group records, counting them from ``first``; where they end with an error, the last batch comes before it."""
    batch = _Batch([], [], [], [])
    failure: SourceError | FetchError | None = None
    position = first - 1
    while True:
        try:
            record = next(records, None)
        except (SourceError, FetchError) as error:
            failure = error
            break
        if record is None:
            break
        position += 1
        bulk_position = bulk_start + position if bulk_start else 0
        other_kind = batch.deletions if isinstance(record, Citation) else batch.citations
        if len(batch) >= BATCH_CITATIONS or (other_kind and not isinstance(record, RefusedRecord)):
            yield batch
            batch = _Batch([], [], [], [])
        match record:
            case Citation():
                sentences = tuple(split_citation(record, splitter))
                batch.citations.append(
                    ReadCitation(
                        position=position,
                        citation=record,
                        sentences=sentences,
                        splitter=splitter.name,
                        bulk_position=bulk_position,
                    )
                )
            case DeletedCitation():
                batch.deletions.append(record)
                if bulk_position:
                    batch.bulk_positions.append(bulk_position)
            case RefusedRecord(pmid=pmid, reason=reason, missing=missing):
                outcome = "missing" if missing else "refused"
                batch.refused.append(IngestException(position=position, pmid=pmid, outcome=outcome, reason=reason))
    if len(batch):
        yield batch
    if failure is not None:
        raise failure


def _save(database: Database, run: IngestRun, batch: _Batch, fence: Fence | None) -> IngestCounts:
    counts = IngestCounts()
    for refused in batch.refused:
        counts.explain(refused)
    with database.transaction() as connection:
        if fence is not None:
            fence(connection)
        if batch.citations:
            counts.add(save_citations(connection, run.run_id, batch.citations))
        if batch.deletions:
            positions = batch.bulk_positions or None
            counts.add(delete_citations(connection, run.source_key, batch.deletions, bulk_positions=positions))
        run.add(connection, counts)
    return counts
