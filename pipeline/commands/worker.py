"""`comention worker`: a Celery worker and the supervisor that replaces it when it does not get on."""

from __future__ import annotations

import click

QUEUES = ("fetch", "annotate", "default")


class QueueList(click.ParamType[tuple[str, ...]]):
    """Names of queues, separated by commas."""

    name = "queues"

    def convert(
        self, value: str | tuple[str, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Split and check."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        unknown = [name for name in names if name not in QUEUES]
        if unknown or not names:
            self.fail(f"{', '.join(unknown) or 'an empty list'} is no queue: they are {', '.join(QUEUES)}", param, ctx)
        return names


@click.command()
@click.option(
    "--queues",
    type=QueueList(),
    metavar="QUEUE,…",
    help="Queues to work for: fetch, annotate, default. Without: all of them.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    help="Tasks at once, in threads. Without: as the settings say for these queues.",
)
@click.option(
    "--healthcheck",
    is_flag=True,
    help="Say whether the workers of this machine get on (exit code 0) or not (1), and end.",
)
def worker(queues: tuple[str, ...] | None, concurrency: int | None, healthcheck: bool) -> None:
    """Work for queues until SIGTERM or Ctrl-C, which let work in hand be finished; a second one does not.

    The work is done by a process below this one. It is killed and replaced when it ends, gives no sign of life, takes
    no messages although some wait, or commits nothing for too long; whatever it had in hand is taken up again.
    """
    from comention.settings import load_settings

    settings = load_settings()
    if healthcheck:
        from pipeline.processes.healthcheck import report_health

        report_health(settings, "worker", queues or ())
        return
    from pipeline.processes.roles import worker_role
    from pipeline.processes.supervise import supervise

    supervise(
        settings, worker_role(settings, queues or QUEUES, concurrency=concurrency, name=None if queues else "worker")
    )
