"""How often a client may ask: a token bucket each, kept as one moment.

The bucket is the generic cell rate algorithm (ITU-T I.371, annex A): instead of tokens it keeps the moment at which the bucket
would be full again, so that it is exact and has nothing to refill.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard.api.problems import is_api, problem

CLIENTS = 10_000
"""Clients that are remembered; of more, the one that has waited longest is forgotten."""


class RateLimiter:
    """So many requests a minute from each client, of which ``burst`` may come at once. Not thread-safe."""

    def __init__(self, per_minute: int, burst: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._interval = 60 / per_minute
        self._tolerance = self._interval * (burst - 1)
        self._now = now
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, client: str) -> float:
        """Count a request and return 0, or return the seconds until one may come again; then it is not counted."""
        now = self._now()
        full_at = max(self._full_at.get(client, now), now)
        wait = full_at - now - self._tolerance
        if wait > 1e-9:
            return wait
        self._full_at[client] = full_at + self._interval
        self._full_at.move_to_end(client)
        if len(self._full_at) > CLIENTS:
            self._full_at.popitem(last=False)
        return 0


class LimitRate:
    """Refuses what comes too often to the API."""

    def __init__(self, app: ASGIApp, *, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and is_api(scope):
            wait = self._limiter.take(client_of(scope))
            if wait:
                seconds = str(math.ceil(wait))
                refusal = problem(
                    Request(scope),
                    "too-many-requests",
                    f"too many requests came from {client_of(scope)}: wait {seconds} s",
                    headers={"Retry-After": seconds},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def client_of(scope: Scope) -> str:
    """Return what a client is told by: its address, of IPv6 the network of its site."""
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "nobody"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
