"""Work for the workers, from the command line: handed in, and a message sent where there is a Redis to send it to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pipeline.terminal.console import print_json, stderr_console
from storage.jobs import BACKFILL, INTERACTIVE

if TYPE_CHECKING:
    from comention.settings import Settings
    from storage.database import Database

queue_option = click.option(
    "--queue", is_flag=True, help="Hand it in for the workers (`comention up`, `comention worker`) and return at once."
)

backfill_option = click.option(
    "--backfill",
    is_flag=True,
    help="With --queue: nobody waits for it, so that it comes after all that somebody waits for.",
)


def hand_in(
    database: Database,
    settings: Settings,
    *,
    query: str | None = None,
    since: dt.date | None = None,
    pmids: Sequence[int] = (),
    annotator: str | None = None,
    backfill: bool = False,
) -> int:
    """Hand in a query, or PMIDs where there is none; return the number of the job.

    Where the message cannot be sent, the next sweep sends it.
    """
    from pipeline.app import make_app
    from pipeline.workers.doorbell import Doorbell
    from pipeline.workers.jobs import hand_in_pmids, hand_in_query

    priority = BACKFILL if backfill else INTERACTIVE
    if query is not None:
        number = hand_in_query(database, query, since=since, annotator=annotator, priority=priority)
    else:
        number = hand_in_pmids(database, pmids, annotator=annotator, priority=priority)
    Doorbell(make_app(settings)).job(number, "pmids" if query is None else "query", priority)
    return number


def show_handed_in(number: int, *, as_json: bool) -> None:
    """Say under which number a job was handed in."""
    if as_json:
        print_json({"job": number})
    stderr_console().print(
        f"job {number} is handed in for the workers; analysis.job says how far it is",
        markup=False,
        soft_wrap=True,
    )
