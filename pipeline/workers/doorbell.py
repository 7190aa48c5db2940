"""Messages: they say that somebody should look, after what is to be seen was committed. A lost one costs a sweep's time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from storage.jobs import BACKFILL, SCHEDULED, JobKind

if TYPE_CHECKING:
    from celery import Celery

SILENCE = 5.0
"""Seconds for which nothing is sent after Redis did not answer: whoever has work to do shall not wait for it each time."""


LOST = (KombuError, RedisError, OSError)
"""What is raised where Redis cannot be reached, or is not ready."""


class Doorbell:
    """Sends the messages of one application. What cannot be sent is no error: the sweep sends it when it can."""

    def __init__(self, celery: Celery) -> None:
        self._celery = celery
        self._silent_until = 0.0

    def job(self, job_id: int, kind: JobKind, priority: int) -> None:
        """Say that a job waits."""
        self._send("comention.nightly" if kind == "nightly" else "comention.search", (job_id,), priority)

    def fetch(self, priority: int) -> None:
        """Say that a batch waits to be fetched."""
        self._send("comention.fetch", (), priority)

    def annotate(
        self, name: str, *, job_id: int | None = None, ordinal: int | None = None, priority: int = BACKFILL
    ) -> None:
        """Say that citations are owed to the annotator called ``name``: those of a batch, or any."""
        self._send("comention.annotate", (name, job_id, ordinal), priority)

    def sweep(self) -> None:
        """Ask for a sweep."""
        self._send("comention.sweep", (), SCHEDULED)

    def waiting(self, queue: str) -> int | None:
        """How many messages wait in a queue; ``None`` where Redis does not say."""
        if not self._may_send():
            return None
        try:
            with self._celery.connection_for_write() as connection:
                return int(self._celery.amqp.queues[queue](connection.default_channel).queue_declare().message_count)
        except LOST:
            self._fall_silent()
            return None

    def _send(self, task: str, arguments: tuple[object, ...], priority: int) -> None:
        if not self._may_send():
            return
        try:
            self._celery.send_task(task, arguments, priority=priority, retry=False)
        except LOST:
            self._fall_silent()

    def _may_send(self) -> bool:
        """Without a Redis there is nobody to send to, and after a failure not for a while."""
        return bool(self._celery.conf.broker_url != "memory://" and time.monotonic() >= self._silent_until)

    def _fall_silent(self) -> None:
        self._silent_until = time.monotonic() + SILENCE
