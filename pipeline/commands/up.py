"""`comention up`: everything on this machine, in one foreground process tree."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--sample", is_flag=True, help="Bring in the bundled sample of `comention demo` for the workers to annotate."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the dashboard. Without: that of the settings.")
def up(sample: bool, port: int | None) -> None:
    """Run Postgres, Valkey, workers, schedule and dashboard on this machine until Ctrl-C, which leaves no process behind.

    Servers that the settings name are used instead of embedded ones. What was not finished is taken up by the next `up`.
    Look on from another terminal with `comention status --watch`.
    """
    from comention.settings import load_settings
    from pipeline.processes.up import run_everything

    run_everything(load_settings(), sample=sample, port=port)
