"""`comention quarantine`: what was tried too often, and letting it out."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.terminal.console import json_option, print_json, stdout_console


@click.group()
def quarantine() -> None:
    """Show what was tried too often to be tried again, with the reasons, and let it be tried anew.

    Citations at which an annotator failed three times, or at which the process that annotated them ended three times; batches
    and jobs that NCBI refuses. Everything else goes on without them.
    """


@quarantine.command("list")
@click.option(
    "--limit", default=100, show_default=True, type=click.IntRange(1, 1_000_000), help="How many of each kind."
)
@json_option
def list_(limit: int, as_json: bool) -> None:
    """List what is in quarantine, the latest first."""
    from rich import box
    from rich.table import Table

    from comention.settings import load_settings
    from pipeline.terminal.show import inert
    from storage.database import open_database
    from storage.quarantine import list_quarantined

    with open_database(load_settings()) as database:
        found = list_quarantined(database, limit=limit)
    if as_json:
        print_json({"quarantined": [asdict(one) for one in found]})
        return
    console = stdout_console()
    if not found:
        console.print("nothing is in quarantine", markup=False)
        return
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, collapse_padding=True)
    for heading in ("what", "annotator", "since (UTC)", "attempts", "reason"):
        table.add_column(heading, overflow="fold")
    for one in found:
        table.add_row(
            _called(one.pmid, one.job_id, one.ordinal),
            inert(one.annotator or "–"),
            f"{one.since:%Y-%m-%d %H:%M}",
            str(one.attempts),
            inert(one.reason),
        )
    console.print(table)


def _called(pmid: int | None, job_id: int | None, ordinal: int | None) -> str:
    if pmid is not None:
        return f"PMID {pmid}"
    return f"job {job_id}" if ordinal is None else f"job {job_id}, batch {ordinal}"


@quarantine.command()
@click.argument("pmids", nargs=-1, type=click.IntRange(1, 2**31 - 1), metavar="[PMID…]")
@click.option(
    "--job", "job_ids", multiple=True, type=click.IntRange(1, 2**63 - 1), metavar="N", help="A job with its batches."
)
@click.option("--all", "everything", is_flag=True, help="All of it.")
@json_option
def retry(pmids: tuple[int, ...], job_ids: tuple[int, ...], everything: bool, as_json: bool) -> None:
    """Let citations or jobs be tried anew, by the workers or by `comention annotate`."""
    if everything == bool(pmids or job_ids):
        raise click.UsageError("name PMIDs, or --job N, or give --all")

    from comention.settings import load_settings
    from pipeline.app import make_app
    from pipeline.workers.doorbell import Doorbell
    from storage.database import open_database
    from storage.quarantine import retry_quarantined

    settings = load_settings()
    with open_database(settings) as database:
        chosen = {} if everything else {"pmids": pmids, "job_ids": job_ids}
        retried = retry_quarantined(database, **chosen)
    if retried:
        Doorbell(make_app(settings)).sweep()
    if as_json:
        print_json({"retried": retried})
    else:
        stdout_console().print(f"{retried:,} let out of quarantine, to be tried anew", markup=False)
    if not retried and not everything:
        raise click.ClickException("none of these is in quarantine: see `comention quarantine list`")
