"""How a look at the work is shown on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import datetime as dt

    from pipeline.overview.watching import Look
    from storage.workers import KnownWorker, WorkerRow


def show_look(look: Look) -> RenderableType:
    """Return the tables."""
    parts: list[RenderableType] = [_work(look)]
    if look.backlog.jobs:
        parts.append(_jobs(look))
    parts.append(_workers(look))
    return Group(*parts)


def _work(look: Look) -> Table:
    backlog, rates = look.backlog, look.rates
    table = _table("stage", "messages", "done", "owed", "in hand", "citations/s", "left", "given up")
    table.add_row(
        "fetch",
        _messages(look, "fetch"),
        f"{backlog.citations:,}",
        f"{backlog.to_fetch:,}",
        "",
        f"{rates.fetched:,.1f}",
        duration(look.seconds_to_fetch),
        _alarming(backlog.jobs_failed + backlog.batches_failed),
    )
    for one in backlog.annotators:
        if one.owed or one.promoted:
            table.add_row(
                one.name,
                _messages(look, "annotate"),
                f"{one.done:,}",
                f"{one.owed:,}",
                f"{one.in_hand:,}",
                f"{rates.annotated:,.1f}",
                duration(look.seconds_to_annotate),
                _alarming(one.given_up),
            )
    table.add_row("other", _messages(look, "default"))
    return table


def _jobs(look: Look) -> Table:
    hidden = look.backlog.jobs_open - len(look.backlog.jobs)
    table = _table("fetched", "of", left=("job", "kind", "what", "state"))
    for one in look.backlog.jobs:
        table.add_row(
            f"{one.job_id}",
            one.kind,
            one.source if len(one.source) <= 60 else f"{one.source[:59]}…",
            one.status + (f": {one.detail}" if one.detail else ""),
            f"{one.fetched:,}",
            "" if one.found is None else f"{one.found:,}",
        )
    if hidden > 0:
        table.add_row("", "", f"and {hidden:,} more")
    return table


def _workers(look: Look) -> RenderableType:
    if not look.workers:
        return Text("no worker runs: start `comention up`, or `comention worker` and `comention beat`", style="yellow")
    hosts = {known.row.host for known in look.workers}
    table = _table("process", "fetched", "annotated", "failed", "progress", left=("worker", "state", "in hand"))
    for known in look.workers:
        row = known.row
        table.add_row(
            _name(row, with_host=len(hosts) > 1),
            _state(known),
            row.doing,
            f"{row.pid or ''}",
            f"{row.fetched:,}",
            f"{row.annotated:,}",
            _alarming(row.failed),
            _ago(look.taken_at, row.progressed_at),
            style="dim" if known.is_lost else "",
        )
    return table


def _table(*right: str, left: tuple[str, ...] = ()) -> Table:
    """Return a table whose first columns are text and whose others are figures; without ``left`` the first is text."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", collapse_padding=True)
    left = left or right[:1]
    for heading in left:
        table.add_column(heading, overflow="fold")
    for heading in right:
        if heading not in left:
            table.add_column(heading, justify="right", no_wrap=True)
    return table


def _name(row: WorkerRow, *, with_host: bool) -> str:
    """Return the name without what only Celery needs of it."""
    short = row.name.partition("@")[0].rpartition("-")[0] or row.name
    return f"{short} on {row.host}" if with_host else short


def _messages(look: Look, queue: str) -> str:
    return "no broker" if look.queues is None else f"{look.queues.get(queue, 0):,}"


def _state(known: KnownWorker) -> Text:
    if known.is_lost:
        return Text(f"not heard of for {duration(known.seen_s)}", style="red")
    restarts = f", restarted {known.row.restarts} times" if known.row.restarts else ""
    return Text(known.row.state + restarts, style="green" if known.row.state == "running" else "yellow")


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
