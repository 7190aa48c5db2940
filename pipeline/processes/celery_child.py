"""A Celery worker, or beat, that gives signs of life from the very loop that takes messages, or sends them."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from typing import Any

from celery import Celery, bootsteps, signals
from celery.beat import Scheduler
from celery.platforms import SecurityWarning

from pipeline import progress
from pipeline.processes.signs import SignWriter

SIGN_EVERY_S = 1.0


def run_worker(app_module: str, signs: SignWriter, *, node: str, queues: str, concurrency: int) -> None:
    """Run a worker until it is told to end: threads, no gossip, and one message in hand for each thread."""
    app = _load(app_module)
    app.steps["consumer"].add(_signing(signs))
    progress.listeners.append(signs.note)

    def taken(**_: object) -> None:
        signs.take()

    def begun(task: Any, **_: object) -> None:
        signs.begin(str(task.name))

    def ended(**_: object) -> None:
        signs.end()

    signals.task_received.connect(taken)
    signals.task_prerun.connect(begun)
    signals.task_postrun.connect(ended)
    # Not `app.worker_main`: it imports Celery's whole command line, a shell among it.
    worker = app.Worker(
        quiet=True,
        loglevel=logging.INFO,
        pool="threads",
        queues=queues.split(","),
        concurrency=concurrency,
        hostname=node,
        without_gossip=True,
        without_mingle=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


def run_beat(app_module: str, signs: SignWriter) -> None:
    """Run beat. It remembers in memory what it sent: what is due stands in Postgres, so a file would add nothing."""
    app = _load(app_module)

    class SigningScheduler(Scheduler):  # type: ignore[misc]
        """Celery's scheduler, with a sign at each turn of its loop."""

        def tick(self, *arguments: Any, **named: Any) -> float:
            """Send what is due; return the seconds to sleep."""
            pause: float = super().tick(*arguments, **named)
            signs.write()
            return min(pause, SIGN_EVERY_S)

        def apply_entry(self, entry: Any, producer: Any = None) -> None:
            """Send one entry."""
            super().apply_entry(entry, producer)
            signs.take()

    app.Beat(scheduler_cls=SigningScheduler, loglevel="INFO", quiet=True).run()


def _load(module: str) -> Celery:
    # Celery warns of root because of pickle, which this application does not accept.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app: Celery = importlib.import_module(module).app
    return app


def _signing(signs: SignWriter) -> type[bootsteps.StartStopStep]:
    """Return a step that signs while the consumer consumes; Celery takes it up again after each loss of the broker."""

    class Signing(bootsteps.StartStopStep):  # type: ignore[misc]
        """Writes a sign from the event loop."""

        requires = ("celery.worker.consumer.tasks:Tasks",)

        def __init__(self, consumer: Any, **options: Any) -> None:
            super().__init__(consumer, **options)
            self._timer: Any = None

        def start(self, consumer: Any) -> None:
            """Begin."""
            self._cancel()
            signs.write()
            self._timer = consumer.timer.call_repeatedly(SIGN_EVERY_S, signs.write)

        def stop(self, consumer: Any) -> None:
            """The consumer has stopped, or lost its broker."""
            self._cancel()

        def _cancel(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return Signing
