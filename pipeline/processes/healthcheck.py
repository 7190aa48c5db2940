"""What `--healthcheck` prints and how it exits."""

from __future__ import annotations

from collections.abc import Sequence

import click

from comention.settings import Settings
from pipeline.processes.health import find_problems


def report_health(settings: Settings, kind: str, queues: Sequence[str] = ()) -> None:
    """Say how the workers (or beats) of this machine are; exit with status 1 where one is not well."""
    problems = find_problems(settings, kind, queues)
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise click.exceptions.Exit(1)
    click.echo("well")
