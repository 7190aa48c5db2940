"""`comention serve`: the dashboard, until it is stopped."""

from __future__ import annotations

import click


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen here; by default 127.0.0.1, which only this machine reaches.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen on this port; 0 takes any that is free.")
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="The path under which a proxy shows the dashboard, and which it takes off.",
)
def serve(host: str | None, port: int | None, root_path: str) -> None:
    """Serve the dashboard: search, drugs, conditions, pairs, sentences and citations in a browser.

    It reads as the role analyst and writes nothing. To listen on anything but this machine's own address, set a token with
    COMENTION_DASHBOARD__TOKEN: whoever reads logs in with it. Put a proxy that speaks TLS before it.
    """
    from comention.errors import ServeError
    from comention.settings import load_settings
    from storage.database import open_database

    settings = load_settings()
    changes = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    dashboard = settings.dashboard.model_copy(update=changes)
    try:
        from dashboard.serving import check_bind
        from dashboard.serving import serve as serve_dashboard

        check_bind(dashboard)
        with open_database(settings) as database:
            serve_dashboard(dashboard, database.url, root_path=root_path, ready=_say)
    except ModuleNotFoundError as error:
        raise ServeError(
            f"the dashboard needs the package {error.name}, which is not installed: pip install 'comention[dashboard]'"
        ) from None


def _say(address: str) -> None:
    click.echo(f"comention is at {address} (Ctrl-C stops it)", err=True)
