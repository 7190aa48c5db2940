"""What one worker does, as figures for Prometheus: counted when it is done, by those who do it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

from comention import __version__
from ingest.attempts import Attempt
from pipeline.progress import Progress

if TYPE_CHECKING:
    from comention.settings import Settings

_TASK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900)
_FILL = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


class WorkMetrics:
    """The figures of one process. Thread-safe; a process that is started again begins at nought, as Prometheus expects."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        """Register all figures; none is counted yet."""
        self._sizes = {"fetch": settings.work.fetch_batch, "annotate": settings.annotate.batch_citations}
        self._began = threading.local()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=registry)
        Gauge("comention_info", "The version that runs.", ["version"], registry=registry).labels(__version__).set(1)
        self._records = Counter(
            "comention_records",
            "What was committed, by stage: citations fetched or annotated, PMIDs found, messages sent again.",
            ["stage"],
            registry=registry,
        )
        self._sentences = Counter("comention_sentences", "Sentences annotated and committed.", registry=registry)
        self._mentions = Counter("comention_mentions", "Mentions committed.", registry=registry)
        self._failures = Counter(
            "comention_failed_records",
            "Citations that failed at a stage and are in a ledger.",
            ["stage"],
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "comention_batch_seconds",
            "Seconds from taking a piece of work to its commit, by stage.",
            ["stage"],
            registry=registry,
            buckets=_TASK_SECONDS,
        )
        self._fill = Histogram(
            "comention_batch_fill_ratio",
            "Citations of a batch as a share of what the settings allow it.",
            ["stage"],
            registry=registry,
            buckets=_FILL,
        )
        self._progressed = Gauge(
            "comention_last_progress_timestamp_seconds",
            "When this process last committed something, by stage.",
            ["stage"],
            registry=registry,
        )
        self._requests = Counter(
            "comention_ncbi_requests",
            "Requests to NCBI by utility and outcome: ok, the HTTP status, no answer, complaint, refused.",
            ["utility", "outcome"],
            registry=registry,
        )
        self._tasks = Counter("comention_tasks", "Tasks ended, by how.", ["task", "state"], registry=registry)
        self._task_seconds = Histogram(
            "comention_task_seconds", "Seconds that tasks took.", ["task"], registry=registry, buckets=_TASK_SECONDS
        )
        self._task_failures = Counter(
            "comention_task_failures",
            "Tasks that ended with an error, by its class.",
            ["task", "error"],
            registry=registry,
        )
        self._lines = Counter("comention_log_lines", "Warnings and errors in the log.", ["level"], registry=registry)
        self._running = Gauge("comention_tasks_running", "Tasks in hand.", ["task"], registry=registry)

    def note_progress(self, progress: Progress) -> None:
        """Count what was committed; a listener of `pipeline.progress`."""
        stage = progress.stage
        self._records.labels(stage).inc(progress.records)
        self._failures.labels(stage).inc(progress.failed)
        if stage == "annotate":
            self._sentences.inc(progress.sentences)
            self._mentions.inc(progress.mentions)
        if progress.records or progress.failed:
            self._batch_seconds.labels(stage).observe(progress.seconds)
            self._progressed.labels(stage).set_to_current_time()
            if stage in self._sizes and progress.records:
                self._fill.labels(stage).observe(progress.records / self._sizes[stage])

    def note_request(self, attempt: Attempt) -> None:
        """Count a request to NCBI; a listener of `ingest.attempts`."""
        self._requests.labels(attempt.utility, attempt.outcome).inc()

    def note_line(self, level: str) -> None:
        """Count a line of the log."""
        self._lines.labels(level).inc()

    def begin_task(self, task: str) -> None:
        """Note that this thread begins a task."""
        self._began.at = time.monotonic()
        self._running.labels(task).inc()

    def end_task(self, task: str, state: str) -> None:
        """Note that this thread's task has ended, as Celery's ``state`` has it."""
        self._running.labels(task).dec()
        self._tasks.labels(task, state.lower()).inc()
        self._task_seconds.labels(task).observe(time.monotonic() - getattr(self._began, "at", time.monotonic()))

    def fail_task(self, task: str, error: BaseException) -> None:
        """Note the error that a task ended with."""
        self._task_failures.labels(task, type(error).__name__).inc()
