"""Files side by side: one process each, all on one database, a report for each file in the order given."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from typing import Protocol

from comention.errors import ComentionError
from pipeline.parent import end_with_parent
from pipeline.stages.ingest_stage import SourceReport
from storage.database import Address, Database


class IngestJob(Protocol):
    """A file to be read, wherever it is; it travels to another process."""

    def run(self, database: Database, on_progress: Callable[[int], None]) -> SourceReport:
        """Read it. A file that cannot be read gives a report with a failure; an error stops all other files too."""
        ...


class WorkerLostError(ComentionError):
    """A worker process has gone, as one that takes too much memory does."""

    retryable = True


class _StoppedError(Exception):
    """The others have stopped: this file is left where it is, and taken up there by the next run."""


def run_jobs(
    database: Database,
    jobs: Sequence[IngestJob],
    *,
    processes: int,
    on_records: Callable[[int], None] = lambda records: None,
    on_report: Callable[[SourceReport], None] = lambda report: None,
) -> list[SourceReport]:
    """Run the jobs, begun in their order, at most ``processes`` at a time; with one, in this process.

    Raises:
        WorkerLostError: a worker was killed. What it had committed is kept; the same jobs again go on there.
    """
    if processes == 1 or len(jobs) <= 1:
        reports = []
        for job in jobs:
            reports.append(job.run(database, on_records))
            on_report(reports[-1])
        return reports
    # Spawned, not forked: a fork would share the connections and whatever threads hold.
    context = multiprocessing.get_context("spawn")
    progress: SimpleQueue[int | None] = context.SimpleQueue()
    stop = context.Event()
    listener = threading.Thread(target=_listen, args=(progress, on_records), name="progress")
    listener.start()
    workers = ProcessPoolExecutor(
        min(processes, len(jobs)), context, initializer=_begin, initargs=(database.url, progress, stop, os.getpid())
    )
    try:
        futures = [workers.submit(_run_job, job) for job in jobs]
        reports = []
        for future in futures:
            reports.append(future.result())
            on_report(reports[-1])
        return reports
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "a worker process was killed, perhaps for want of memory: run the same command again, if need be with fewer "
            "--processes; it goes on where it was"
        ) from error
    finally:
        stop.set()
        workers.shutdown(wait=True, cancel_futures=True)
        progress.put(None)
        listener.join()


def _listen(progress: SimpleQueue[int | None], on_records: Callable[[int], None]) -> None:
    while (records := progress.get()) is not None:
        on_records(records)


# What follows runs in the workers.

_worker: tuple[Database, SimpleQueue[int | None], Event]


def _begin(address: Address, progress: SimpleQueue[int | None], stop: Event, parent: int) -> None:
    """Prepare a worker: it ends with its parent, even a killed one, and leaves Ctrl-C to it."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(parent)
    # Records are trees without cycles: the collector would walk over all that was imported, again and again, for nothing.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    _worker = Database(address), progress, stop


def _run_job(job: IngestJob) -> SourceReport:
    database, progress, stop = _worker

    def on_progress(records: int) -> None:
        if stop.is_set():
            raise _StoppedError
        progress.put(records)

    return job.run(database, on_progress)
