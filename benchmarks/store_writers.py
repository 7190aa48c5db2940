"""Two processes that write mentions on the way that `comention annotate` goes, and how fast they are."""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.synchronize
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.store_corpus import BATCH, MENTIONS_A_CITATION, Corpus
from benchmarks.store_home import Store
from benchmarks.store_load import load_owed, mentions_of
from comention.types import Mention, SentenceAnnotation
from pipeline.stages.annotate_stage import FOLD_AFTER, fold_in_turn
from storage.annotations import AnnotatedCitation, PendingCitation, list_pending, save_annotations
from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.names import NameTable
from storage.priority import LEAST, step_back

SAVE_CITATIONS = 256
"""Citations a transaction, as `annotate_pending` has it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a writer did: mentions, seconds of the clock from the common start, seconds of processor time."""

    mentions: int
    seconds: float
    processor: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Mentions a second: by the clock, and for two seconds of processor time, Postgres included."""

    clock: float
    cores: float


def write(store: Store, mentions: int, *, beside: Callable[[Callable[[], bool]], None] | None = None) -> Speed:
    """Annotate what is owed, in two processes, and return how fast; ``beside`` runs meanwhile."""
    owed = max(2, round(mentions / MENTIONS_A_CITATION / BATCH))
    with store.database.transaction() as connection:
        known = connection.exec_driver_sql("SELECT count(*) FROM comention.citation").scalar_one()
    numbers = list(range(known // BATCH, known // BATCH + owed))
    load_owed(store.database, store.corpus, numbers)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    results: multiprocessing.Queue[Written | str] = context.Queue()
    url = store.database.url.render_as_string(hide_password=False)
    writers = [
        context.Process(
            target=_write, args=(url, store.corpus.citations, numbers[place::2], start, results), daemon=True
        )
        for place in range(2)
    ]
    for writer in writers:
        writer.start()
    start.wait()
    before = postgres_seconds(store.home)
    done: list[Written] = []

    def finished() -> bool:
        while not results.empty():
            outcome = results.get()
            if isinstance(outcome, str):
                raise SystemExit(f"a writer failed: {outcome}")
            done.append(outcome)
        # Once one writer has ended, there is no longer what is to be measured beside.
        return bool(done)

    if beside is not None:
        beside(finished)
    while len(done) < 2:
        outcome = results.get()
        if isinstance(outcome, str):
            raise SystemExit(f"a writer failed: {outcome}")
        done.append(outcome)
    # Backends that have ended are counted with the postmaster: ours are still there until the writers have closed them.
    for writer in writers:
        writer.join()
    used = postgres_seconds(store.home) - before + sum(one.processor for one in done)
    written = sum(one.mentions for one in done)
    return Speed(written / max(one.seconds for one in done), 2 * written / used)


def postgres_seconds(home: Path) -> float:
    """Processor time of the Postgres in a home, and of its backends that have ended."""
    (pid_file,) = home.rglob("postmaster.pid")
    postmaster = pid_file.read_text().split()[0]
    while True:
        own = _clock_ticks(postmaster)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        try:
            of_children = sum(sum(_clock_ticks(pid)[:2]) for pid in children)
        except OSError:
            continue
        # Whoever ended meanwhile has gone over from the children to what the postmaster has waited for.
        if _clock_ticks(postmaster)[2:] == own[2:]:
            return (sum(own) + of_children) / os.sysconf("SC_CLK_TCK")


def _clock_ticks(pid: str) -> list[int]:
    """Processor time of a process in user and kernel mode, and that of the children that it has waited for."""
    return list(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))


def _write(
    url: str,
    citations: int,
    numbers: list[int],
    start: multiprocessing.synchronize.Barrier,
    results: multiprocessing.Queue[Written | str],
) -> None:
    try:
        database = Database(parse_url(url, connect_timeout=10))
        os.setsid()  # as a supervised process is
        step_back(LEAST)  # as workers do where Postgres is on their machine
        corpus = Corpus(citations)
        with database.transaction() as connection:
            annotator_id = int(
                connection.exec_driver_sql("SELECT id FROM comention.annotator WHERE promoted").scalar_one()
            )
        portions = list(_annotated(database, annotator_id, corpus, numbers))
        names = NameTable(database)
        gc.freeze()  # what stands for an annotator's answers is not the writer's to walk over
        start.wait()
        used = time.process_time()
        began = folded = time.monotonic()
        mentions = 0
        for portion in portions:
            mentions += save_annotations(database, annotator_id, names, portion).mentions
            if time.monotonic() - folded > FOLD_AFTER:
                fold_in_turn(database)
                folded = time.monotonic()
        fold_counts(database)
        results.put(Written(mentions, time.monotonic() - began, time.process_time() - used))
        database.close()
    except BaseException as error:
        start.abort()
        results.put(f"{type(error).__name__}: {error}")
        raise


def _annotated(
    database: Database, annotator_id: int, corpus: Corpus, numbers: list[int]
) -> Iterator[list[AnnotatedCitation]]:
    """What an annotator would return for batches, in portions of a transaction."""
    for number in numbers:
        batch = corpus.batch(number)
        found = dict(zip(batch.pmids, mentions_of(corpus, batch), strict=True))
        after = batch.pmids[0] - 1
        while after < batch.pmids[-1]:
            pending = [
                one
                for one in list_pending(database, annotator_id, after_pmid=after, limit=SAVE_CITATIONS)
                if one.pmid in found
            ]
            if not pending:
                break
            yield [_answer(corpus, one, found[one.pmid]) for one in pending]
            after = pending[-1].pmid


def _answer(
    corpus: Corpus, pending: PendingCitation, found: tuple[list[int], list[int], list[int], list[int], list[float]]
) -> AnnotatedCitation:
    by_sentence: dict[int, list[Mention]] = defaultdict(list)
    for ordinal, start, end, name, score in zip(*found, strict=True):
        label = corpus.labels[corpus.names[name - 1].label]
        by_sentence[ordinal].append(Mention(start_char=start, end_char=end, label=label, score=score))
    return AnnotatedCitation(
        pending=pending,
        results=tuple(SentenceAnnotation(mentions=tuple(by_sentence[ordinal])) for ordinal in pending.ordinals),
    )
