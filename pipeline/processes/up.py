"""Everything on one machine: the embedded servers, workers for each queue, beat, and the dashboard where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

from comention.errors import ComentionError
from comention.settings import Settings
from pipeline.cli import COMMANDS
from pipeline.overview.queue_depths import QueueDepths
from pipeline.processes.health import health_file
from pipeline.processes.log_lines import LinePrinter
from pipeline.processes.roles import beat_role, command_role, worker_role
from pipeline.processes.servers import Servers, open_servers
from pipeline.processes.supervise import all_of, every
from pipeline.processes.supervised import Role
from pipeline.processes.supervisor import Supervisor
from pipeline.processes.up_progress import UpProgress
from pipeline.processes.worker_rows import WorkerRows
from storage.embedded_folder import open_lock, try_lock

OURS = "comention"


class AlreadyUpError(ComentionError):
    """Another process runs everything on the same home."""


def run_everything(settings: Settings, *, sample: bool, port: int | None) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP; embedded servers that are lost are started again, and the workers with them.

    Raises:
        AlreadyUpError: another `comention up` runs on this home.
        ComentionError: the servers cannot be started.
    """
    roles = _roles(settings, port)
    printer = LinePrinter([OURS, *(role.name for role in roles)])
    with _only_one(settings):
        while not _run_once(settings, roles, printer, sample=sample):
            printer.say(OURS, "an embedded server was killed together with its supervisor; everything is started again")
            sample = False


def _roles(settings: Settings, port: int | None) -> list[Role]:
    # `default` has a process of its own: what looks for forgotten work must not wait behind work.
    roles = [worker_role(settings, [queue]) for queue in ("fetch", "annotate", "default")]
    roles.append(beat_role(settings))
    if _can_serve():
        roles.append(command_role("serve", ["serve", *(["--port", str(port)] if port is not None else [])]))
    return roles


def _can_serve() -> bool:
    """Whether there is a dashboard, and what it needs is installed."""
    return "serve" in COMMANDS and all(find_spec(name) for name in ("fastapi", "uvicorn"))


def _run_once(settings: Settings, roles: list[Role], printer: LinePrinter, *, sample: bool) -> bool:
    """Run everything until a signal (True), or until an embedded server is lost (False)."""

    def say(line: str) -> None:
        printer.say(OURS, line)

    with ExitStack() as stack:
        servers = stack.enter_context(open_servers(settings, migrate=True))
        _greet(settings, servers, say, [role.name for role in roles])
        health = stack.enter_context(health_file(settings, "worker"))
        depths = stack.enter_context(QueueDepths(servers.broker_url))
        rows = stack.enter_context(WorkerRows(servers.database.url, say))
        if sample:
            from pipeline.processes.sample import hand_in_sample

            hand_in_sample(servers.database, say)
        progress = stack.enter_context(UpProgress(servers.database.url, say))
        supervisor = Supervisor(
            roles,
            {**os.environ, **servers.environment},
            depths=depths,
            grace=settings.worker.grace,
            say=say,
            printer=printer,
            on_look=all_of(health.write, rows.tell, progress.tell),
        )
        return supervisor.run(until=every(2.0, servers.is_lost))


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold the home's lock for as long as everything runs; the kernel lets it go when we end, however we end.

    Raises:
        AlreadyUpError: another process has it.
    """
    home = settings.home.expanduser()
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = open_lock(home / "up.lock")
    except OSError as error:
        raise ComentionError(
            f"the folder {home} cannot be written to ({error.strerror}): set COMENTION_HOME to another one"
        ) from error
    try:
        if not try_lock(lock, exclusive=True):
            raise AlreadyUpError(
                f"another `comention up` runs on {home}: end it first, look on with `comention status --watch`, "
                "or set COMENTION_HOME to another folder"
            )
        yield
    finally:
        os.close(lock)


def _greet(settings: Settings, servers: Servers, say: Callable[[str], None], names: list[str]) -> None:
    kinds = {
        "COMENTION_DATABASE__URL": "Postgres",
        "COMENTION_REDIS__URL": "Valkey",
    }
    embedded = [title for name, title in kinds.items() if name in servers.environment]
    where = (
        f"{' and '.join(embedded)} run in {settings.home}" if embedded else "the configured Postgres and Redis are used"
    )
    lines = [where, f"processes: {', '.join(names)}"]
    lines.append("in another terminal: `comention status --watch`, `comention top`; Ctrl-C ends everything")
    for line in lines:
        say(line)
