"""Keeps requests to NCBI under its limit: 3 a second, 10 with an API key, counted per address or key.

Both limiters reserve: a caller is told at once when its turn is and waits exactly until then, so nobody polls and
nobody is overtaken. They hold over *any* second, not only over whole ones.

Why not a library: limits 5.8 and pyrate-limiter 4.5 take the time from the client, before Redis is asked. Two processes
that shared a limit of 3 sent 4 in one second; with clocks half a second apart, pyrate-limiter let 6 through.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, urlsplit

from comention.errors import RetryableFetchError, SettingsError

if TYPE_CHECKING:
    from comention.settings import NcbiSettings

ANONYMOUS_RATE = 3
"""Requests a second without an API key (NBK25497, "Usage Guidelines and Requirements")."""

KEYED_RATE = 10
"""Requests a second with an API key (NBK25497)."""

PERIOD = 1.1
"""Seconds in which at most ``rate`` turns are given.

The tenth above one second takes up what the network adds to one request and not to the next: NCBI counts arrivals.
"""


_OVERSLEPT_AT_MOST = 10
"""Turns that a process may oversleep one after the other before it takes one all the same."""


class Limiter(Protocol):
    """Gives callers their turn."""

    def acquire(self) -> None:
        """Return when a request may be sent."""
        ...


class WindowLimiter:
    """Shares out the turns among the threads of one process: at most ``rate`` in any ``period`` seconds."""

    def __init__(
        self,
        rate: int,
        *,
        period: float = PERIOD,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Start with all ``rate`` turns free; ``clock`` and ``sleep`` measure in seconds."""
        self._period = period
        self._clock = clock
        self._sleep = sleep
        self._turns: deque[float] = deque(maxlen=rate)
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Return when it is the caller's turn.

        The wait happens under the lock, so that what counts is when a caller was let go: one that overslept a turn
        reserved for it would come too close to those after it.
        """
        with self._lock:
            if len(self._turns) == self._turns.maxlen:
                turn = self._turns[0] + self._period
                while (wait := turn - self._clock()) > 0:
                    self._sleep(wait)
            self._turns.append(self._clock())


# One atomic step on the server's own clock: clients' clocks differ between machines. The list holds the last turns
# given, newest first. A turn that is a minute away can only mean that the server's clock was set back: begin anew, or
# everybody would wait until it has caught up.
_RESERVE = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local rate, period = tonumber(ARGV[1]), tonumber(ARGV[2])
local turn = now
local oldest = redis.call('LINDEX', KEYS[1], rate - 1)
if oldest then turn = math.max(now, tonumber(oldest) + period) end
if turn > now + 60000000 then
  redis.call('DEL', KEYS[1])
  turn = now
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', turn))
redis.call('LTRIM', KEYS[1], 0, rate - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil((turn - now + period) / 1000) + 1000)
return turn - now
"""


class RedisLimiter:
    """Shares out the turns among all processes that use one Redis or Valkey: ``rate`` in any ``period`` seconds.

    Without its server nobody gets a turn: going on alone would send as many times the limit as there are processes.
    """

    def __init__(
        self, url: str, rate: int = ANONYMOUS_RATE, *, account: str = "anonymous", period: float = PERIOD
    ) -> None:
        """Connect on first use; ``account`` names whose limit it is, so that two API keys have a limit each.

        Raises:
            SettingsError: ``url`` is not an address of a Redis.
        """
        import redis

        try:
            address = client_url(url)
            self._client = redis.Redis.from_url(address, socket_timeout=5, socket_connect_timeout=5)
        except ValueError as error:
            raise SettingsError(
                "COMENTION_REDIS__URL is not an address of a Redis; write it like redis://host:6379/0"
            ) from error
        parts = urlsplit(address)
        # Never the whole address: it may carry a password.
        self._where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"
        self._key = f"comention:ncbi:{account}"
        self._rate = rate
        self._period = period
        self._reserve = self._client.register_script(_RESERVE)

    def acquire(self) -> None:
        """Return when it is the caller's turn.

        Raises:
            RetryableFetchError: the server cannot be reached.
        """
        for _ in range(_OVERSLEPT_AT_MOST):
            turn = time.monotonic() + self._reserve_turn()
            time.sleep(max(0.0, turn - time.monotonic()))
            # A turn that was overslept by more than the margin is left unused: those after it would be too close.
            if time.monotonic() - turn < (self._period - 1.0) / 2:
                return

    def _reserve_turn(self) -> float:
        """Reserve the next turn and return how many seconds it is away."""
        import redis

        try:
            wait = self._reserve(keys=[self._key], args=[self._rate, round(self._period * 1_000_000)])
        except redis.RedisError as error:
            raise RetryableFetchError(
                f"the Redis at {self._where}, which keeps all workers together under NCBI's rate limit, cannot be used "
                f"({type(error).__name__}); start it again, or correct COMENTION_REDIS__URL"
            ) from error
        return int(wait) / 1_000_000


def limiter_for(settings: NcbiSettings, redis_url: str | None = None) -> Limiter:
    """The limiter for ``settings``: shared by all who use ``redis_url``, or by this process where it is ``None``.

    Raises:
        SettingsError: ``redis_url`` is not an address of a Redis.
    """
    # The digest tells accounts apart without leaving the key in Redis.
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    account = hashlib.blake2b(key.encode(), digest_size=8).hexdigest() if key else "anonymous"
    rate = KEYED_RATE if key else ANONYMOUS_RATE
    if redis_url is not None:
        return RedisLimiter(redis_url, rate, account=account)
    return _process_limiter(account, rate, settings.base_url)


@functools.cache
def _process_limiter(account: str, rate: int, base_url: str) -> WindowLimiter:
    """One limiter for an account and server: two objects that fetch in one process share NCBI's limit."""
    return WindowLimiter(rate)


def client_url(url: str) -> str:
    """``url`` for redis-py, where Celery's ``redis+socket:///path?virtual_host=1`` is ``unix:///path?db=1``."""
    parts = urlsplit(url)
    if parts.scheme != "redis+socket":
        return url
    database = parse_qs(parts.query).get("virtual_host", ["0"])[0].strip("/")
    return f"unix://{parts.path}?db={database}"
