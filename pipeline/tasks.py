"""The tasks. Each is one call to a plain function; what can be told in one sentence needs no traceback in the log."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down

from comention.errors import ComentionError
from pipeline.app import TIME_LIMIT_SECONDS, app
from pipeline.workers import work
from pipeline.workers.doorbell import Doorbell
from pipeline.workers.workplace import leave_workplace, stop_working, workplace

_logger = logging.getLogger(__name__)

_limited = {"soft_time_limit": TIME_LIMIT_SECONDS, "time_limit": TIME_LIMIT_SECONDS + 30}


def _task(name: str, **options: Any) -> Callable[[Callable[..., None]], Any]:
    def register(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def run(*arguments: Any) -> None:
            try:
                function(*arguments)
            except ComentionError as error:  # noted where the work is owed, and tried again from there
                _logger.warning("%s%r: %s", name, arguments, error)

        return app.task(name=name, **options)(run)

    return register


@_task("comention.search", **_limited)
def search(job_id: int) -> None:
    """Do what a job asks first."""
    work.search(workplace(), job_id)


@_task("comention.fetch", **_limited)
def fetch() -> None:
    """Fetch batches that wait."""
    work.fetch(workplace())


@_task("comention.annotate", **_limited)
def annotate(name: str, job_id: int | None = None, ordinal: int | None = None) -> None:
    """Annotate what is owed."""
    work.annotate(workplace(), name, job_id, ordinal)


@_task("comention.sweep", **_limited)
def sweep() -> None:
    """Send what is owed and nobody has in hand."""
    work.sweep(workplace())


@_task("comention.tick", **_limited)
def tick() -> None:
    """Hand in the subscriptions that are due."""
    work.tick(workplace())


@_task("comention.nightly")
def nightly(job_id: int | None = None) -> None:
    """Do the upkeep of the night."""
    work.night(workplace(), job_id)


def _look_once(**_: Any) -> None:
    """Let somebody look for what is owed when a worker comes, as after everything was stopped."""
    Doorbell(app).sweep()


def _stop(**_: Any) -> None:
    stop_working()


def _leave(**_: Any) -> None:
    leave_workplace()


worker_ready.connect(_look_once)
worker_shutting_down.connect(_stop)
worker_shutdown.connect(_leave)
