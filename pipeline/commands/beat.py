"""`comention beat`: sends what is due, once a minute and at night; two at once do no harm."""

from __future__ import annotations

import click


@click.command()
@click.option("--healthcheck", is_flag=True, help="Say whether beat gets on (exit code 0) or not (1), and end.")
def beat(healthcheck: bool) -> None:
    """Send what is due at its time, until SIGTERM or Ctrl-C. What is due stands in the database; two at once do no harm."""
    from comention.settings import load_settings

    settings = load_settings()
    if healthcheck:
        from pipeline.processes.healthcheck import report_health

        report_health(settings, "beat")
        return
    from pipeline.processes.roles import beat_role
    from pipeline.processes.supervise import supervise

    supervise(settings, beat_role(settings))
