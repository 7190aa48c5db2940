"""The processes that do the work: workers for queues, and beat."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from comention.settings import Settings
from pipeline.processes.liveness import Limits
from pipeline.processes.supervised import Role

APP = "pipeline.app"


def worker_role(
    settings: Settings,
    queues: Sequence[str],
    *,
    concurrency: int | None = None,
    name: str | None = None,
    app: str = APP,
) -> Role:
    """Return a worker for some queues; without ``concurrency`` with as many threads as the settings say for them."""
    name = name or "-".join(queues)
    node = f"{name}-{os.getpid()}@{socket.gethostname()}"
    concurrency = concurrency or _threads(settings, queues)
    return Role(
        name=name,
        kind="worker",
        arguments=(
            *("--app", app, "--node", node, "--queues", ",".join(queues)),
            *("--concurrency", str(concurrency)),
        ),
        limits=Limits.of(settings.worker),
        node=node,
        queues=tuple(queues),
        concurrency=concurrency,
    )


def beat_role(settings: Settings, *, app: str = APP) -> Role:
    """Return beat."""
    return Role(
        name="beat",
        kind="beat",
        arguments=("--app", app),
        limits=Limits.of(settings.worker),
        node=f"beat-{os.getpid()}@{socket.gethostname()}",
    )


def command_role(name: str, arguments: Sequence[str]) -> Role:
    """Return a command of comention that is to run all the time."""
    return Role(name=name, kind="run", arguments=tuple(arguments))


def _threads(settings: Settings, queues: Sequence[str]) -> int:
    """Return the threads for the queues together: those of each, and one for whatever else comes."""
    wanted = 0
    if "fetch" in queues:
        wanted += settings.worker.fetch_threads
    if "annotate" in queues:
        wanted += settings.worker.annotate_threads
    if "default" in queues:
        wanted += 1
    return wanted
