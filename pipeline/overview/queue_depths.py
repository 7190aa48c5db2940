"""How many messages wait at the broker: asked again and again in a thread, so that nobody waits for a broker that hangs."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from kombu.connection import Connection
from kombu.exceptions import ChannelError

QUEUES = ("fetch", "annotate", "default")

_EVERY_S = 1.0
_STALE_S = 2.5  # well below the limits of silence: a broker that hangs must be known before its workers are judged
_ANSWER_LIMIT_S = 2.0


class QueueDepths:
    """The depths of queues, as of at most a few seconds ago."""

    def __init__(self, broker_url: str, queues: Sequence[str] = QUEUES) -> None:
        """Name the broker and the queues; asking begins with ``start``."""
        self._url = broker_url
        self._queues = tuple(queues)
        self._depths: dict[str, int] | None = None
        self._asked_at = 0.0
        self._answered = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_for_ever, name="queue-depths", daemon=True)

    def __enter__(self) -> QueueDepths:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def depths(self) -> Mapping[str, int] | None:
        """Return the messages that wait in each queue; ``None`` where the broker did not answer of late."""
        if time.monotonic() - self._asked_at > _STALE_S:
            return None
        return self._depths

    def wait(self, seconds: float) -> Mapping[str, int] | None:
        """Return the depths, as soon as the broker was asked for the first time."""
        self._answered.wait(seconds)
        return self.depths()

    def waiting(self, queues: Sequence[str]) -> int | None:
        """Return how many messages wait in some of the queues; ``None``: not known."""
        depths = self.depths()
        return None if depths is None else sum(depths.get(queue, 0) for queue in queues)

    def _ask_for_ever(self) -> None:
        connection: Connection | None = None
        while not self._over.wait(_EVERY_S if self._asked_at else 0.0):
            found: dict[str, int] | None = None
            try:
                if connection is None:
                    connection = connect(self._url)
                found = read_depths(connection, self._queues)
            except Exception:  # brokers fail in many ways, and each means that the depths are not known now
                if connection is not None:
                    _close(connection)
                connection = None
            self._depths, self._asked_at = found, time.monotonic()
            self._answered.set()
        if connection is not None:
            _close(connection)


def _close(connection: Any) -> None:
    with contextlib.suppress(Exception):
        connection.close()


def connect(broker_url: str) -> Connection:
    """Return a connection that gives up on a broker that does not answer within seconds."""
    return Connection(  # type: ignore[no-untyped-call]
        broker_url,
        transport_options={
            "socket_timeout": _ANSWER_LIMIT_S,
            "socket_connect_timeout": _ANSWER_LIMIT_S,
            "max_retries": 1,
            "interval_start": 0.1,
            "interval_step": 0,
            "interval_max": 0.1,
        },
    )


def read_depths(connection: Connection, queues: Sequence[str]) -> dict[str, int]:
    """Ask how many messages wait in each queue; a queue that nobody has written to yet holds none."""
    channel: Any = connection.default_channel
    depths = {}
    for queue in queues:
        try:
            depths[queue] = int(channel.queue_declare(queue=queue, passive=True).message_count)
        except ChannelError:
            depths[queue] = 0
    return depths
