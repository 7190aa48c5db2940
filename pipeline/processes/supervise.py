"""Supervision as the commands `worker` and `beat` have it: one process, its row, its health file, until a signal."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack

import click

from comention.errors import ComentionError
from comention.settings import Settings
from pipeline.overview.queue_depths import QueueDepths
from pipeline.processes.health import health_file
from pipeline.processes.servers import open_servers
from pipeline.processes.supervised import Role
from pipeline.processes.supervisor import RoleState, Supervisor
from pipeline.processes.worker_rows import WorkerRows


class ServersLostError(ComentionError):
    """The embedded servers have gone with the process that kept them."""


def supervise(settings: Settings, role: Role) -> None:
    """Keep one process running until SIGTERM, SIGINT or SIGHUP.

    Raises:
        ComentionError: the servers cannot be used, or the embedded ones were lost.
    """
    say = _sayer(settings)
    with ExitStack() as stack:
        servers = stack.enter_context(open_servers(settings))
        health = stack.enter_context(health_file(settings, role.kind))
        depths = stack.enter_context(QueueDepths(servers.broker_url))
        rows = stack.enter_context(WorkerRows(servers.database.url, say))
        supervisor = Supervisor(
            [role],
            {**os.environ, **servers.environment},
            depths=depths,
            grace=settings.worker.grace,
            say=say,
            on_look=all_of(health.write, rows.tell),
        )
        if not supervisor.run(until=every(2.0, servers.is_lost)):
            raise ServersLostError(
                f"an embedded server of {settings.home} was killed together with its supervisor: start this command again"
            )


def _sayer(settings: Settings) -> Callable[[str], None]:
    """Return what writes a line of the supervisor's own: for people, or as JSON where that is asked for."""
    if settings.log.format != "json":
        return lambda line: click.echo(f"comention: {line}", err=True)
    from pipeline.observability.logs import configure, secrets_of

    configure(settings.log, secrets=secrets_of(settings))
    return logging.getLogger("comention.supervisor").info


def all_of(*listeners: Callable[[list[RoleState]], None]) -> Callable[[list[RoleState]], None]:
    """Return one listener that tells all of them."""

    def tell(states: list[RoleState]) -> None:
        for listener in listeners:
            listener(states)

    return tell


def every(seconds: float, question: Callable[[], bool]) -> Callable[[], bool]:
    """Return a question that is asked no more often than that; between, the answer is no."""
    asked_at = time.monotonic()

    def ask() -> bool:
        nonlocal asked_at
        if time.monotonic() - asked_at < seconds:
            return False
        asked_at = time.monotonic()
        return question()

    return ask
