"""How a look at the work is shown on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import datetime as dt

    from pipeline.watching import Look
    from storage.workers import KnownWorker


def show_look(look: Look) -> RenderableType:
    """Return the tables."""
    parts: list[RenderableType] = [_work(look)]
    if look.backlog.jobs:
        parts.append(_jobs(look))
    parts.append(_workers(look))
    return Group(*parts)


def _work(look: Look) -> Table:
    backlog, rates = look.backlog, look.rates
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True)
    for heading, right in (
        ("stage", 0),
        ("messages", 1),
        ("done", 1),
        ("owed", 1),
        ("rate", 1),
        ("left", 1),
        ("failed", 1),
    ):
        table.add_column(heading, justify="right" if right else "left", no_wrap=bool(right), overflow="fold")
    failed = backlog.jobs_failed + backlog.batches_failed
    table.add_row(
        "fetch",
        _messages(look, "fetch"),
        f"{backlog.citations:,}",
        f"{backlog.to_fetch:,}",
        f"{rates.fetched:,.1f} citations/s",
        duration(look.seconds_to_fetch),
        _alarming(failed),
    )
    for one in backlog.annotators:
        if not (one.owed or one.promoted):
            continue
        table.add_row(
            f"annotate ({one.name})",
            _messages(look, "annotate"),
            f"{one.done:,}",
            f"{one.owed:,}" + (f" ({one.in_hand:,} in hand)" if one.in_hand else ""),
            f"{rates.annotated:,.1f} citations/s, {rates.sentences:,.0f} sentences/s",
            duration(look.seconds_to_annotate),
            _alarming(one.given_up),
        )
    table.add_row("other", _messages(look, "default"), "", "", "", "", "")
    return table


def _jobs(look: Look) -> Table:
    hidden = look.backlog.jobs_open - len(look.backlog.jobs)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True)
    for heading in ("job", "kind", "what", "state", "fetched"):
        table.add_column(heading, justify="right" if heading in ("job", "fetched") else "left", overflow="fold")
    for one in look.backlog.jobs:
        table.add_row(
            f"{one.job_id}",
            one.kind,
            one.source if len(one.source) <= 60 else f"{one.source[:59]}…",
            one.status + (f": {one.detail}" if one.detail else ""),
            f"{one.fetched:,} of {one.found:,}" if one.found is not None else "",
        )
    if hidden > 0:
        table.add_row("", "", f"and {hidden:,} more", "", "")
    return table


def _workers(look: Look) -> RenderableType:
    if not look.workers:
        return Text("no worker runs: start `comention up`, or `comention worker` and `comention beat`", style="yellow")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True)
    for heading in (
        "worker",
        "process",
        "state",
        "in hand",
        "restarts",
        "last progress",
        "fetched",
        "annotated",
        "failed",
    ):
        right = heading not in ("worker", "state", "in hand")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for known in look.workers:
        row = known.row
        table.add_row(
            row.name,
            f"{row.pid or ''}",
            _state(known),
            row.doing,
            f"{row.restarts or ''}",
            _ago(look.taken_at, row.progressed_at),
            f"{row.fetched:,}",
            f"{row.annotated:,}",
            _alarming(row.failed),
            style="dim" if known.is_lost else "",
        )
    return table


def _messages(look: Look, queue: str) -> str:
    return "no broker" if look.queues is None else f"{look.queues.get(queue, 0):,}"


def _state(known: KnownWorker) -> Text:
    if known.is_lost:
        return Text(f"not heard of for {duration(known.seen_s)}", style="red")
    colour = {"running": "green", "starting": "yellow", "stopping": "yellow"}[known.row.state]
    return Text(known.row.state, style=colour)


def _ago(now: dt.datetime, then: dt.datetime | None) -> str:
    return "" if then is None else f"{duration(max((now - then).total_seconds(), 0.0))} ago"


def _alarming(count: int) -> Text:
    return Text(f"{count:,}", style="red" if count else "")


def duration(seconds: float | None) -> str:
    """Return a duration as people say it, ``3 h 20 min``; ``None``: nobody can tell."""
    if seconds is None:
        return "?"
    if seconds < 1:
        return "0 s"
    days, rest = divmod(round(seconds), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next(place for place, (count, _) in enumerate(units) if count)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count)
