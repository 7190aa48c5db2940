"""Serving the dashboard: the address it listens on, and the process that does."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from comention.errors import ServeError
from dashboard.security import is_loopback

if TYPE_CHECKING:
    from comention.settings import DashboardSettings
    from storage.database import Address


def check_bind(settings: DashboardSettings) -> None:
    """Refuse an address that others reach where nobody has to log in.

    Raises:
        ServeError: the address is not of this machine alone, and there is no token.
    """
    if settings.token is None and not is_loopback(settings.host):
        raise ServeError(
            f"{settings.host} can be reached from other machines and nobody would have to log in: set "
            "COMENTION_DASHBOARD__TOKEN to a secret of 16 characters or more, or listen on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ServeError: the address is taken, or is none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family, backlog=512)
        # Connections take this over. Without it the end of each answer waits for the browser to confirm its beginning, 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        reason = error.strerror or str(error)
        raise ServeError(
            f"{host} port {port} cannot be listened on: {reason.lower()}; name another with --host and --port"
        ) from None


def serve(
    settings: DashboardSettings, url: Address, *, root_path: str = "", ready: Callable[[str], None] = lambda _: None
) -> None:
    """Serve the dashboard over a database until a signal ends it; ``ready`` is told the address once it listens.

    Raises:
        ServeError: it cannot listen there, or may not.
        DatabaseError: the database cannot be read as an analyst.
    """
    check_bind(settings)
    import uvicorn

    from dashboard.app import create_app
    from storage.reading import Reader

    reader = Reader(url, statement_timeout=settings.statement_timeout, connections=settings.connections)
    try:
        with reader.snapshot() as snapshot:
            snapshot.value("SELECT count(*) FROM analysis.annotator")
        with listen(settings.host, settings.port) as listening:
            port = listening.getsockname()[1]
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            config = uvicorn.Config(
                create_app(settings, reader),
                root_path=root_path.rstrip("/"),
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=30,
                limit_concurrency=200,
                h11_max_incomplete_event_size=32_768,
            )
            ready(f"http://{host}:{port}/")
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        reader.close()
