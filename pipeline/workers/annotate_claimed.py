"""Annotation by many workers at once: each claims citations for a time, and writes while they are still its own.

A claim lasts for as long as its worker lives and works, however long a batch takes: see `_LeaseKeeper`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from comention.errors import AnnotatorError, DatabaseError
from comention.types import AnnotationStatus, Annotator, AnnotatorInfo, SentenceAnnotation
from pipeline.observability.logs import about
from pipeline.stages.annotate_stage import FOLD_AFTER, OnProgress, annotate_citations, fold_in_turn
from storage.annotations import (
    MAX_ATTEMPTS,
    AnnotatedCitation,
    AnnotationCounts,
    PendingCitation,
    save_annotations,
)
from storage.claims import (
    ClaimedCitations,
    Holder,
    begin_attempt,
    claim_citations,
    release_quietly,
    renew_citations,
)
from storage.database import Database
from storage.names import NameTable

_logger = logging.getLogger(__name__)

RENEW_EVERY = 0.3
"""The part of a lease after which it is renewed."""


class LockedAnnotator:
    """An annotator that several threads share: one of them annotates at a time, while the others read and write."""

    def __init__(self, annotator: Annotator) -> None:
        self._annotator = annotator
        self._lock = threading.Lock()

    @property
    def info(self) -> AnnotatorInfo:
        """That of the annotator itself."""
        return self._annotator.info

    def annotate(self, sentences: Sequence[str]) -> list[SentenceAnnotation]:
        """Annotate when it is this thread's turn."""
        with self._lock:
            return self._annotator.annotate(sentences)


@dataclass(slots=True)
class Cursor:
    """Where in the order of PMIDs the search for what is owed goes on, so that what is done is not walked over each time."""

    after_pmid: int = 0


@dataclass(slots=True)
class FoldClock:
    """When the deltas were last folded into the counts by this process."""

    folded_at: float = field(default_factory=time.monotonic)

    def fold(self, database: Database) -> None:
        """Fold, where that is due."""
        if time.monotonic() - self.folded_at > FOLD_AFTER:
            self.folded_at = time.monotonic()
            fold_in_turn(database)


class _LeaseKeeper:
    """Renews what is claimed until it is written; a process that is stopped or killed renews nothing. A context manager."""

    def __init__(self, database: Database, holder: Holder) -> None:
        self._database = database
        self._holder = holder
        self._lock = threading.Lock()
        self._kept: dict[UUID, ClaimedCitations] = {}
        self._lost: set[UUID] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="keep-claims", daemon=True)

    def __enter__(self) -> Self:
        """Begin to renew."""
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Renew nothing any more."""
        self._done.set()
        self._thread.join()

    def keep(self, claimed: ClaimedCitations) -> None:
        """Renew these from now on."""
        with self._lock:
            self._kept[claimed.lease] = claimed

    def let_go(self, claimed: ClaimedCitations) -> None:
        """Renew these no more: on return no renewal is under way that could meet the rows of who writes them."""
        with self._lock:
            self._kept.pop(claimed.lease, None)

    def has_lost(self, claimed: ClaimedCitations) -> bool:
        """Whether others have had any of these meanwhile, as when Postgres was away for longer than the lease."""
        return claimed.lease in self._lost

    def _renew(self) -> None:
        while not self._done.wait(RENEW_EVERY * self._holder.lease_seconds):
            with self._lock:
                for lease, claimed in list(self._kept.items()):
                    with contextlib.suppress(DatabaseError):  # it may be back next time
                        if not renew_citations(self._database, claimed, self._holder):
                            self._lost.add(lease)
                            del self._kept[lease]


def annotate_claimed(
    database: Database,
    annotator: Annotator,
    annotator_id: int,
    holder: Holder,
    *,
    batch_citations: int,
    among: Sequence[int] | None = None,
    cursor: Cursor | None = None,
    names: NameTable | None = None,
    clock: FoldClock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    on_progress: OnProgress | None = None,
) -> tuple[AnnotationCounts, bool]:
    """Annotate what is owed and nobody else has in hand: of the PMIDs ``among``, or all of it.

    Returns what was written, and whether there was nothing left; where ``stopping`` said so, what was claimed and not begun is
    given back. A citation that ended its worker is tried alone the next two times, and then given up, with all others done.
    The next batch is claimed and the last one written while one is annotated, as in `annotate_pending`.
    """
    names = names or NameTable(database)
    clock = clock or FoldClock()
    total = AnnotationCounts()
    with (
        _LeaseKeeper(database, holder) as keeper,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as reader,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as writer,
    ):
        search = _Search(database, annotator_id, holder, batch_citations, among, cursor or Cursor(), keeper)
        writing: Future[AnnotationCounts] | None = None
        reading = reader.submit(search.claim)
        batch: ClaimedCitations | None = None
        try:
            while True:
                batch = reading.result()
                stopped = batch is not None and stopping()
                if batch is not None and not stopped:
                    reading = reader.submit(search.claim)
                    save = _annotate(database, annotator, holder, names, batch, clock, keeper)
                if writing is not None:
                    total = _settle(writing, total, on_progress)
                    writing = None
                if batch is None or stopped:
                    break
                writing, batch = writer.submit(save), None
        finally:
            # What is in hand still, because of an error or a stop, others may have at once.
            for left in (batch, _outcome(reading)):
                if left is not None:
                    keeper.let_go(left)
                    release_quietly(database, holder, left)
    return total, not stopped


@dataclass(slots=True)
class _Search:
    """Finds the next citations to claim."""

    database: Database
    annotator_id: int
    holder: Holder
    limit: int
    among: Sequence[int] | None
    cursor: Cursor
    keeper: _LeaseKeeper

    def claim(self) -> ClaimedCitations | None:
        claimed = self._next()
        if claimed is None and self.among is None and self.cursor.after_pmid:
            self.cursor.after_pmid = 0
            claimed = self._next()
        if claimed is None:
            return None
        if self.among is None and not claimed.are_suspects:
            self.cursor.after_pmid = max(claimed.attempts)
        self.keeper.keep(claimed)
        return claimed

    def _next(self) -> ClaimedCitations | None:
        return claim_citations(
            self.database,
            self.annotator_id,
            self.holder,
            limit=self.limit,
            among=self.among,
            after_pmid=self.cursor.after_pmid,
        )


_Save = Callable[[], AnnotationCounts]


def _annotate(
    database: Database,
    annotator: Annotator,
    holder: Holder,
    names: NameTable,
    claimed: ClaimedCitations,
    clock: FoldClock,
    keeper: _LeaseKeeper,
) -> _Save:
    """Annotate a batch and return what writes it, or gives it back."""
    guilty: list[AnnotatedCitation] = []
    with about(pmids=sorted(claimed.attempts)):
        _logger.info("annotating")  # before it is done: should it end this process, the last line says what was in hand
    if claimed.are_suspects:
        annotated, guilty = _try_one_by_one(database, annotator, holder, claimed)
    elif keeper.has_lost(claimed):
        annotated = []
    else:
        annotated = annotate_citations(annotator, claimed.pending)

    def save() -> AnnotationCounts:
        counts = AnnotationCounts()
        keeper.let_go(claimed)
        try:
            if guilty:
                counts += save_annotations(
                    database, claimed.annotator_id, names, guilty, lease=claimed.lease, give_up=True
                )
            if annotated:
                counts += save_annotations(database, claimed.annotator_id, names, annotated, lease=claimed.lease)
        except BaseException:
            release_quietly(database, holder, claimed)
            raise
        if len(annotated) + len(guilty) < len(claimed.attempts):  # some were no longer there to be read
            release_quietly(database, holder, claimed)
        clock.fold(database)
        return counts

    return save


def _try_one_by_one(
    database: Database, annotator: Annotator, holder: Holder, claimed: ClaimedCitations
) -> tuple[list[AnnotatedCitation], list[AnnotatedCitation]]:
    """Annotate suspects, each under an attempt that is counted beforehand; return those with a result and those given up.

    Only the one that is in hand when the worker ends stays under suspicion, and only for as long as that takes: a worker that
    is killed for other reasons accuses hardly anybody twice.
    """
    annotated: list[AnnotatedCitation] = []
    guilty: list[AnnotatedCitation] = []
    survived: int | None = None
    for item in claimed.pending:
        if claimed.attempts[item.pmid] >= MAX_ATTEMPTS:
            guilty.append(_given_up(item, claimed.attempts[item.pmid]))
            continue
        if not begin_attempt(database, claimed, holder, pmid=item.pmid, survived=survived):
            return annotated, guilty
        try:
            annotated += annotate_citations(annotator, [item])
        except AnnotatorError:  # the annotator's fault, and no crash
            begin_attempt(database, claimed, holder, pmid=None, survived=item.pmid)
            raise
        survived = item.pmid
    if survived is not None:
        begin_attempt(database, claimed, holder, pmid=None, survived=survived)
    return annotated, guilty


def _given_up(item: PendingCitation, attempts: int) -> AnnotatedCitation:
    reason = f"each of {attempts} processes that annotated this citation ended without a result"
    failure = SentenceAnnotation(status=AnnotationStatus.FAILED, detail=reason)
    return AnnotatedCitation(pending=item, results=(failure,) * len(item.sentences))


def _settle(
    writing: Future[AnnotationCounts], total: AnnotationCounts, on_progress: OnProgress | None
) -> AnnotationCounts:
    counts = writing.result()
    if on_progress is not None:
        on_progress(counts)
    return total + counts


def _outcome(reading: Future[ClaimedCitations | None]) -> ClaimedCitations | None:
    """What a claim came to, also where nobody has looked at it."""
    return None if reading.exception() is not None else reading.result()
