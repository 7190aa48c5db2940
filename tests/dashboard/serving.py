"""A dashboard on a port of this machine, in a thread: what speaks HTTP with it speaks with a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from comention.settings import DashboardSettings
from dashboard.app import create_app
from storage.database import parse_url
from storage.reading import Reader

STARTS_WITHIN_S = 30


@contextmanager
def serve_dashboard(address: str, **settings: object) -> Iterator[str]:
    """The address of a dashboard over the database at an address."""
    chosen = DashboardSettings(**settings)
    reader = Reader(
        parse_url(address, connect_timeout=10),
        statement_timeout=chosen.statement_timeout,
        connections=chosen.connections,
    )
    server = uvicorn.Server(
        uvicorn.Config(create_app(chosen, reader), log_level="warning", access_log=False, ws="none")
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + STARTS_WITHIN_S
            while not server.started:
                assert thread.is_alive(), "the server ended"
                assert time.monotonic() < until, "the server does not start"
                thread.join(0.02)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join(STARTS_WITHIN_S)
            reader.close()
