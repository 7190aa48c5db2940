"""`comention status`: what is stored, annotated, owed and refused."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.terminal.console import json_option, print_json, stdout_console


@click.command()
@click.option(
    "--watch", is_flag=True, help="Show queues, backlog, rates, time left, failures and workers until Ctrl-C."
)
@click.option(
    "--every", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Seconds between looks of --watch."
)
@json_option
def status(watch: bool, every: float, as_json: bool) -> None:
    """Say what is stored, annotated, owed and refused.

    With --watch, what the workers do: every few seconds on a terminal; once with --json, or where stdout is no terminal.
    """
    if watch:
        from comention.settings import load_settings
        from pipeline.overview.watch import watch as watch_work

        watch_work(load_settings(), every_s=every, as_json=as_json)
        return
    _show_store(as_json)


def _show_store(as_json: bool) -> None:
    from rich import box
    from rich.table import Table

    from comention.settings import load_settings
    from storage.database import open_database
    from storage.queries import get_status

    with open_database(load_settings()) as database:
        found = get_status(database)
    if as_json:
        print_json(asdict(found))
        return
    console = stdout_console()
    if not found.citations and not found.runs:
        console.print("the database is empty: try `comention demo`, or `comention run FILE…`", markup=False)
        return
    facts = Table(show_header=False, box=None, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column()
    facts.add_row("citations", f"{found.citations:,}, of them {found.retracted:,} retracted")
    facts.add_row("deleted", f"{found.deleted:,} withdrawn by PubMed")
    if found.sample:
        facts.add_row(
            "sample", f"{found.sample:,} of the citations are the demo's: comention demo --remove takes them out"
        )
    facts.add_row("sentences", f"{found.sentences:,}")
    facts.add_row("pairs", f"{found.pairs:,} drug-condition pairs")
    facts.add_row(
        "search",
        f"{found.unindexed:,} citations are not found by full-text search yet: comention db maintain"
        if found.unindexed
        else "full-text search finds every citation",
    )
    runs = ", ".join(f"{count:,} {name}" for name, count in sorted(found.runs.items()))
    facts.add_row("sources", f"{runs or 'none'}; {found.read:,} records read")
    left_out = ", ".join(f"{count:,} {name}" for name, count in sorted(found.exceptions.items()))
    facts.add_row("left out", f"{left_out or 'none'} (analysis.ingest_exception)")
    facts.add_row("on disk", f"{found.size_bytes / 1e6:,.0f} MB")
    console.print(facts)
    if not found.annotators:
        console.print("\nno annotator has run yet: comention annotate", markup=False)
        return
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    table.add_column("annotator", overflow="fold")
    for heading in ("done", "in part", "failed", "owed", "mentions"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found.annotators:
        table.add_row(
            f"{one.name} {one.revision[:8]}" + (" (promoted)" if one.promoted else ""),
            *(f"{value:,}" for value in (one.done, one.truncated, one.failed, one.owed, one.mentions)),
        )
    console.print(table)
