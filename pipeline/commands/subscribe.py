"""`comention subscribe`: queries that are asked again and again."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from pipeline.commands.ingest import report_document, show_reports
from pipeline.terminal.annotator_options import require_annotator
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console, stdout_console

if TYPE_CHECKING:
    from rich.progress import Progress

    from comention.settings import Settings
    from pipeline.stages.subscriptions import TickReport
    from storage.database import Database
    from storage.subscriptions import Subscription

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class _NameOrCommand(click.Group):
    """A group whose first word may be a new subscription's name instead of a command."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Take what is no command for a name, which `add` is given."""
        return super().get_command(ctx, cmd_name) or (None if cmd_name.startswith("-") else self.commands["add"])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Hand a name on to `add`."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return super().resolve_command(ctx, ["add", *args])
        return super().resolve_command(ctx, args)


@click.group(cls=_NameOrCommand, subcommand_metavar="NAME --query TEXT --every TIME | COMMAND [ARGS]…")
def subscribe() -> None:
    """Keep the citations of a query complete and current.

    `comention subscribe lithium --query 'lithium[tiab]' --every 6h` stores a subscription, `comention subscribe run` does
    what is due. Citations that a query no longer finds are kept. The ledger is analysis.subscription_tick.
    """


@subscribe.command()
@click.argument("name")
@click.option("--query", required=True, metavar="TEXT", help="What PubMed is asked.")
@click.option("--every", required=True, metavar="TIME", help="30m, 6h, 1d, 2w, or a cron expression in UTC.")
@click.option("--annotator", metavar="NAME|PATH", help="The annotator that reads it; else the one of the settings.")
@click.option("--replace", is_flag=True, help="Change the subscription of this name.")
@click.option("--no-check", is_flag=True, help="Do not ask NCBI now whether it understands the query.")
@json_option
def add(name: str, query: str, every: str, annotator: str | None, replace: bool, no_check: bool, as_json: bool) -> None:
    """Store a subscription (the word `add` can be left out)."""
    from comention.settings import load_settings
    from pipeline.stages.schedule import parse_schedule
    from storage.database import open_database
    from storage.subscriptions import add_subscription

    if not _NAME.fullmatch(name) or name in subscribe.commands:
        raise click.UsageError(
            f"{name!r} cannot be a name: letters, digits, '.', '_' and '-', and none of the commands"
        )
    settings = load_settings()
    now = dt.datetime.now(dt.UTC)
    parse_schedule(every, now)
    if annotator is not None:
        require_annotator(annotator)
    with open_database(settings) as database:
        counted = None if no_check else _count(settings, query)
        one = add_subscription(database, name=name, query=query, every=every, annotator=annotator, replace=replace)
    schedule = parse_schedule(one.every, one.created_at)
    if as_json:
        print_json({**_document(one, now), "citations_now": counted})
        return
    said = "" if counted is None else f"PubMed counts {counted:,} citations now; "
    moment = dt.datetime.now(dt.UTC)
    when = "due at once" if schedule.latest(moment) else f"due at {schedule.following(moment):%Y-%m-%d %H:%M} UTC"
    stdout_console().print(
        f"{name} is stored: {said}{when}; `comention subscribe run` fetches what is due", markup=False, soft_wrap=True
    )


def _count(settings: Settings, query: str) -> int:
    from pipeline.stages.fetching import open_pubmed

    console = stderr_console()
    pubmed = open_pubmed(
        settings, lambda remark: console.print(f"PubMed remarks: {remark}", markup=False, soft_wrap=True)
    )
    return pubmed.count(query)


def _document(one: Subscription, now: dt.datetime) -> dict[str, object]:
    from pipeline.stages.subscriptions import next_tick

    return {
        "name": one.name,
        "query": one.query,
        "every": one.every,
        "annotator": one.annotator,
        "paused": one.paused,
        "created_at": one.created_at,
        "last_tick": one.last_tick,
        "last_status": one.last_status,
        "next_tick": next_tick(one, now),
    }


@subscribe.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the subscriptions."""
    from rich import box
    from rich.table import Table

    from comention.settings import load_settings
    from pipeline.terminal.show import inert
    from storage.database import open_database
    from storage.subscriptions import list_subscriptions

    now = dt.datetime.now(dt.UTC)
    with open_database(load_settings()) as database:
        documents = [_document(one, now) for one in list_subscriptions(database)]
    if as_json:
        print_json({"subscriptions": documents})
        return
    if not documents:
        stdout_console().print(
            "there are no subscriptions: comention subscribe NAME --query TEXT --every 6h", markup=False, soft_wrap=True
        )
        return
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("name", "query", "every", "last tick (UTC)", "", "next tick (UTC)"):
        table.add_column(heading, overflow="fold")
    for one in documents:
        table.add_row(
            str(one["name"]),
            inert(str(one["query"])),
            str(one["every"]),
            _moment(one["last_tick"]),
            str(one["last_status"] or ""),
            "paused" if one["paused"] else _moment(one["next_tick"]),
        )
    stdout_console().print(table)


def _moment(moment: object) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}" if isinstance(moment, dt.datetime) else "–"


@subscribe.command()
@click.argument("name")
def pause(name: str) -> None:
    """Stop asking a subscription's query; what it brought stays."""
    _set_paused(name, paused=True)


@subscribe.command()
@click.argument("name")
def resume(name: str) -> None:
    """Go on with a paused subscription; of the moments that were missed one is made up."""
    _set_paused(name, paused=False)


def _set_paused(name: str, *, paused: bool) -> None:
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.subscriptions import pause_subscription

    with open_database(load_settings()) as database:
        pause_subscription(database, name, paused=paused)
    stdout_console().print(f"{name} is {'paused' if paused else 'active'}", markup=False)


@subscribe.command()
@click.argument("name")
def remove(name: str) -> None:
    """Remove a subscription and the ledger of its ticks; its citations and its runs in analysis.ingest_run stay."""
    from comention.settings import load_settings
    from storage.database import open_database
    from storage.subscriptions import remove_subscription

    with open_database(load_settings()) as database:
        remove_subscription(database, name)
    stdout_console().print(f"{name} is removed; the citations that it brought stay", markup=False)


@subscribe.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--no-annotate", is_flag=True, help="Only fetch; `comention annotate` reads it later.")
@json_option
def run(names: tuple[str, ...], no_annotate: bool, as_json: bool) -> None:
    """Do what is due, or the subscriptions named whether they are due or not.

    A tick that is done is not done again; one that was interrupted, even killed, or has failed goes on where it was. The exit
    status is 1 where one fails.
    """
    from comention.settings import load_settings
    from storage.database import open_database

    settings = load_settings()
    with open_database(settings) as database:
        with progress_bars() as progress:
            reports = _run_ticks(database, settings, names, progress)
        if not no_annotate:
            _annotate(database, settings, {report.subscription for report in reports if report.source.counts.stored})
    if as_json:
        print_json({"ticks": [_tick_document(report) for report in reports]})
    console = stderr_console()
    if not reports:
        console.print("nothing is due", markup=False)
    for report in reports:
        if report.found is not None:
            console.print(
                f"{report.subscription}: {report.found.found:,} found = {report.known:,} known + "
                f"{len(report.found.due):,} fetched; {report.found.added:,} newly found, {report.found.lost:,} no longer found "
                "(kept)",
                markup=False,
                soft_wrap=True,
            )
    show_reports([report.source for report in reports])
    if not all(report.source.usable for report in reports):
        raise click.exceptions.Exit(1)


def _run_ticks(database: Database, settings: Settings, names: Iterable[str], progress: Progress) -> list[TickReport]:
    from ingest.sentences import RuleSplitter
    from pipeline.stages.fetching import open_pubmed
    from pipeline.stages.subscriptions import due_subscriptions, run_tick
    from storage.subscriptions import get_subscription

    now = dt.datetime.now(dt.UTC)
    due = due_subscriptions(database, now)
    if names:
        waiting = {one.name: (one, tick) for one, tick in due}
        due = [
            waiting.get(name) or (get_subscription(database, name), now.replace(microsecond=0))
            for name in dict.fromkeys(names)
        ]
    if not due:
        return []
    remarks: list[str] = []
    pubmed = open_pubmed(settings, remarks.append)
    reports = []
    for one, tick in due:
        bar = progress.add_task(f"{one.name}: ask NCBI", total=None, unit="records")
        remarks.clear()
        report = run_tick(
            database,
            pubmed,
            one,
            tick,
            RuleSplitter(),
            remarks=remarks,
            on_found=lambda found, bar=bar, one=one: progress.update(  # type: ignore[misc]
                bar, description=f"{one.name}: fetch", total=len(found.due)
            ),
            on_progress=lambda records, bar=bar: progress.advance(bar, records),  # type: ignore[misc]
        )
        for remark in dict.fromkeys(remarks):
            progress.console.print(f"{one.name}: PubMed remarks: {remark}", markup=False, soft_wrap=True)
        if report is not None:
            reports.append(report)
    return reports


def _annotate(database: Database, settings: Settings, names: set[str]) -> None:
    """Annotate what is owed, with the annotators of these subscriptions."""
    from annotate.registry import load_annotator
    from pipeline.commands.annotate import annotation_sentence
    from pipeline.stages.annotating import annotate_owed
    from storage.subscriptions import get_subscription

    wanted = {get_subscription(database, name).annotator or settings.annotate.annotator for name in names}
    for name in sorted(wanted):
        loaded = load_annotator(name, settings.annotate)
        began = dt.datetime.now(dt.UTC)
        with progress_bars() as progress:
            counts, given_up = annotate_owed(
                database, loaded, progress, batch_citations=settings.annotate.batch_citations
            )
        seconds = (dt.datetime.now(dt.UTC) - began).total_seconds()
        stderr_console().print(annotation_sentence(counts, seconds, given_up), markup=False, soft_wrap=True)


def _tick_document(report: TickReport) -> dict[str, object]:
    found = report.found
    return {
        "subscription": report.subscription,
        "tick": report.tick.isoformat(),
        "found": None if found is None else found.found,
        "known": None if found is None else report.known,
        "requested": None if found is None else len(found.due),
        "added": None if found is None else found.added,
        "lost": None if found is None else found.lost,
        **{name: value for name, value in report_document(report.source).items() if name != "source"},
    }
