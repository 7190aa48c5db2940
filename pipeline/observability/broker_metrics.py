"""What waits at the broker and whether Redis is as it must be, as figures for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import redis
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingest.rate_limit import client_url

ANSWER_LIMIT_S = 3.0

# How kombu names the list of a priority, and what it holds back until a worker confirms it.
_SEPARATOR = "\x06\x16"
_HELD = "unacked"
_HELD_SINCE = "unacked_index"


class BrokerCollector(Collector):
    """Asks Redis when it is asked itself."""

    def __init__(self, url: str, queues: Sequence[str], priorities: Sequence[int]) -> None:
        """Name the broker, its queues and the steps of their priorities; nothing is connected yet."""
        self._client: Any = redis.Redis.from_url(
            client_url(url), socket_timeout=ANSWER_LIMIT_S, socket_connect_timeout=ANSWER_LIMIT_S
        )
        self._lists = {
            queue: [queue, *(f"{queue}{_SEPARATOR}{step}" for step in priorities if step)] for queue in queues
        }

    def describe(self) -> Iterator[Metric]:
        """Name the figures."""
        yield from (_up(False), *_families(None))

    def collect(self) -> Iterator[Metric]:
        """Ask; where Redis does not answer, nothing but that."""
        try:
            found = self._read()
        except redis.RedisError:
            yield _up(False)
            return
        yield _up(True)
        yield from _families(found)

    def _read(self) -> dict[str, Any]:
        with self._client.pipeline(transaction=False) as asked:
            names = [name for lists in self._lists.values() for name in lists]
            for name in names:
                asked.llen(name)
            asked.hlen(_HELD)
            asked.zrange(_HELD_SINCE, 0, 0, withscores=True)
            asked.info("memory")
            *lengths, held, oldest, memory = asked.execute()
        length = dict(zip(names, lengths, strict=True))
        return {
            "messages": {queue: sum(length[name] for name in lists) for queue, lists in self._lists.items()},
            "held": held,
            "held_for": max(0.0, time.time() - oldest[0][1]) if oldest else 0.0,
            "memory": memory["used_memory"],
            "limit": memory["maxmemory"],
            "evicts": memory["maxmemory_policy"] != "noeviction",
        }


def _up(answers: bool) -> GaugeMetricFamily:
    return GaugeMetricFamily("comention_redis_up", "Whether Redis answers.", value=float(answers))


def _families(found: dict[str, Any] | None) -> Iterator[GaugeMetricFamily]:
    """Yield every figure, without values where Redis was not asked."""
    messages = GaugeMetricFamily("comention_queue_messages", "Messages that wait in a queue.", labels=["queue"])
    for queue, count in found["messages"].items() if found else ():
        messages.add_metric([queue], count)
    yield messages
    for name, key, help_text in (
        ("comention_queue_unacked", "held", "Messages that workers hold and have not confirmed."),
        ("comention_queue_oldest_unacked_seconds", "held_for", "Age of the oldest message that is held."),
        ("comention_redis_memory_bytes", "memory", "Memory that Redis uses."),
        ("comention_redis_memory_limit_bytes", "limit", "Memory that it may use; 0: no limit."),
        ("comention_redis_evicts", "evicts", "1 where Redis may throw messages away: it must not."),
    ):
        yield GaugeMetricFamily(name, help_text, value=None if found is None else float(found[key]))
