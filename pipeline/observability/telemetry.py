"""Hangs logs, metrics and traces on a worker, through Celery's signals: tasks know nothing of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog
from celery import signals

from comention.errors import SettingsError
from comention.settings import load_settings
from ingest import attempts
from pipeline import progress
from pipeline.observability.logs import LineCounter, configure, log_progress, secrets_of

if TYPE_CHECKING:
    from comention.settings import Settings
    from pipeline.observability.metrics import WorkMetrics


def connect() -> None:
    """Do so for every worker and beat that this process becomes. Repeating it is harmless."""
    for signal, receiver in (
        (signals.setup_logging, _set_up_logs),
        (signals.worker_init, _start),
        (signals.worker_shutdown, _stop),
        (signals.task_prerun, _begin),
        (signals.task_failure, _fail),
        (signals.task_postrun, _end),
    ):
        signal.connect(receiver, dispatch_uid=f"comention{receiver.__name__}")


class _Running:
    """What a worker process has started."""

    def __init__(self) -> None:
        self.metrics: WorkMetrics | None = None
        self.stops: list[Callable[[], None]] = []


_running = _Running()


def _set_up_logs(**_: object) -> None:
    settings = load_settings()
    configure(settings.log, secrets=secrets_of(settings))


def _start(**_: object) -> None:
    """Begin to count, and to serve what is counted. What cannot be had is said, and the work goes on without."""
    settings = load_settings()
    configure(settings.log, secrets=secrets_of(settings))  # Celery asks for its logs only later
    logger = structlog.stdlib.get_logger("comention.worker")
    progress.listeners.append(log_progress)
    for start in (_start_metrics, _start_tracing):
        try:
            start(settings)
        except SettingsError as error:
            logger.warning(str(error))


def _start_metrics(settings: Settings) -> None:
    if settings.metrics.port is None:
        return
    from prometheus_client import CollectorRegistry

    from pipeline.observability.gpu_metrics import register_gpus
    from pipeline.observability.metrics import WorkMetrics
    from pipeline.observability.metrics_server import PORTS, serve_metrics

    registry = CollectorRegistry()
    metrics = WorkMetrics(settings, registry)
    register_gpus(registry)
    port, stop = serve_metrics(registry, settings.metrics.host, settings.metrics.port, ports=PORTS)
    structlog.stdlib.get_logger("comention.worker").info("metrics are served", host=settings.metrics.host, port=port)
    progress.listeners.append(metrics.note_progress)
    attempts.listeners.append(metrics.note_request)
    logging.getLogger().addHandler(LineCounter(metrics.note_line))
    _running.metrics = metrics
    _running.stops.append(stop)


def _start_tracing(settings: Settings) -> None:
    if settings.tracing.endpoint is None:
        return
    from pipeline.observability.tracing import start_tracing, trace_progress

    _running.stops.append(start_tracing(settings.tracing))
    progress.listeners.append(trace_progress)


def _stop(**_: object) -> None:
    for stop in reversed(_running.stops):
        stop()
    _running.stops.clear()


def _begin(task_id: str, task: Any, args: Any = (), **_: object) -> None:
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)
    if args:
        structlog.contextvars.bind_contextvars(arguments=list(args))
    if _running.metrics is not None:
        _running.metrics.begin_task(task.name)


def _fail(sender: Any, exception: BaseException, **_: object) -> None:
    if _running.metrics is not None:
        _running.metrics.fail_task(sender.name, exception)


def _end(task: Any, state: str | None = None, **_: object) -> None:
    if _running.metrics is not None:
        _running.metrics.end_task(task.name, state or "unknown")
    structlog.stdlib.get_logger("comention.work").debug("task ended", state=state)
    structlog.contextvars.clear_contextvars()
