"""`comention metrics`: what is owed, served to Prometheus."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import click

DEFAULT_PORT = 9108


@click.command()
@click.option("--host", help="Address to listen on.  [default: COMENTION_METRICS__HOST]")
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    help=f"Port to listen on.  [default: COMENTION_METRICS__PORT, or {DEFAULT_PORT}]",
)
def metrics(host: str | None, port: int | None) -> None:
    """Serve what is owed, how long it has waited and what Redis holds, for Prometheus, until it is stopped.

    One a database is enough. What workers do they serve themselves, where COMENTION_METRICS__PORT is set.
    """
    from prometheus_client import CollectorRegistry

    from comention.settings import load_settings
    from pipeline.observability.ledger_metrics import LedgerCollector
    from pipeline.observability.logs import configure, secrets_of
    from pipeline.observability.metrics_server import serve_metrics
    from storage.database import open_database

    settings = load_settings()
    configure(settings.log, secrets=secrets_of(settings))
    registry = CollectorRegistry()
    with ExitStack() as stack:
        database = stack.enter_context(open_database(settings))
        if settings.redis.url is not None:
            from pipeline.app import app
            from pipeline.observability.broker_metrics import BrokerCollector

            queues = [queue.name for queue in app.conf.task_queues]
            steps = app.conf.broker_transport_options["priority_steps"]
            registry.register(BrokerCollector(settings.redis.url.get_secret_value(), queues, steps))
        registry.register(stack.enter_context(LedgerCollector(database, refresh=settings.metrics.refresh)))
        host = host or settings.metrics.host
        port, stop = serve_metrics(registry, host, port or settings.metrics.port or DEFAULT_PORT)
        stack.callback(stop)
        click.echo(f"serving http://{host}:{port}/metrics", err=True)
        threading.Event().wait()  # a signal ends it
