"""Serves a registry to Prometheus, from a thread."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from comention.errors import SettingsError

PORTS = 16
"""How many ports are tried: workers side by side on one machine take one each."""


def serve_metrics(
    registry: CollectorRegistry, host: str, port: int, *, ports: int = 1
) -> tuple[int, Callable[[], None]]:
    """Serve under ``/metrics`` on the first free of ``ports`` ports; return it, and what ends the server.

    Raises:
        SettingsError: none is free, or the address is not this machine's.
    """
    for candidate in range(port, min(port + ports, 65_536)):
        try:
            server, thread = start_http_server(candidate, addr=host, registry=registry)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise SettingsError(
                f"metrics cannot be served on {host}:{candidate}: {error.strerror}; correct COMENTION_METRICS__HOST or __PORT"
            ) from error
        return candidate, functools.partial(_stop, server, thread)
    raise SettingsError(
        f"metrics cannot be served on {host}:{port}: another program has the port; choose another COMENTION_METRICS__PORT"
    )


def _stop(server: WSGIServer, thread: Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
