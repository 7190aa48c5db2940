"""`comention ingest`: PubMed records into the database."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pipeline.stages.ingest_files import ingest_files
from pipeline.stages.ingest_stage import SourceReport
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console
from pipeline.terminal.show import counts_sentence
from pipeline.workers.handing_in import backfill_option, hand_in, queue_option, show_handed_in

LIST_EXCEPTIONS = "comention db psql -- -c 'SELECT * FROM analysis.ingest_exception'"

again_option = click.option("--again", is_flag=True, help="Read files again that were read to their end before.")
paths_argument = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")


@click.group()
def ingest() -> None:
    """Store PubMed citations and their sentences."""


@ingest.command()
@paths_argument
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 256),
    help="Files read at a time; with more than one, only PubMed's numbered files keep their order.",
)
@again_option
@json_option
def files(paths: tuple[Path, ...], processes: int, again: bool, as_json: bool) -> None:
    """Store the records of files of PubMed XML: baseline and update files or E-utilities answers, .gz or not.

    Every record is stored, or listed with the reason why not. A file that cannot be read is named and the others are stored.
    The exit status is 1 where a file or a record could not be used.
    """
    from comention.settings import load_settings
    from storage.database import open_database

    with open_database(load_settings(), background=True) as database, progress_bars() as progress:
        reports = ingest_files(database, paths, progress, again=again, processes=processes)
    if as_json:
        print_json({"sources": [report_document(report) for report in reports]})
    show_reports(reports)
    if not all(report.usable for report in reports):
        raise click.exceptions.Exit(1)


def parse_numbers(_context: click.Context, _option: click.Parameter, value: str | None) -> range | None:
    """Read ``12`` or ``1-20``."""
    if value is None:
        return None
    found = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", value)
    if found is None or int(found[2] or found[1]) < int(found[1]):
        raise click.BadParameter(f"{value!r} is no range of file numbers: write 1-20, or 12 for one file")
    return range(int(found[1]), int(found[2] or found[1]) + 1)


def _bulk_options(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.argument("place", required=False, metavar="[URL|FOLDER]"),
        click.option(
            "--files", "numbers", callback=parse_numbers, metavar="N[-N]", help="Only files with these numbers."
        ),
        click.option("--processes", type=click.IntRange(1, 256), help="Files read at a time; one a core by default."),
        click.option(
            "--keep",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="FOLDER",
            help="Keep what is downloaded in this folder.",
        ),
        again_option,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@ingest.command()
@_bulk_options
def baseline(**options: Any) -> None:
    """Store PubMed's annual baseline, or go on with it.

    The files pubmedYYnNNNN.xml.gz are taken from COMENTION_NCBI__MIRROR, from another address (https:// or ftp://) or from a
    folder. Each is compared with its .md5 file. What was read to its end before is left out, so the same command goes on
    where it was interrupted, even killed.
    """
    _ingest_bulk("baseline", **options)


@ingest.command()
@_bulk_options
def updates(**options: Any) -> None:
    """Apply PubMed's update files: new and revised records, deletions.

    As for the baseline; files that were applied before are left out. The files' numbers decide which record of a PMID is the
    last, so repeated files and files out of order do no harm. A number that lacks between the first and the last is named.
    """
    _ingest_bulk("updates", **options)


@ingest.command()
@click.argument("text", metavar="TEXT")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Only what came to PubMed, or was changed, on that day or later.",
)
@queue_option
@backfill_option
@json_option
def query(text: str, since: dt.datetime | None, queue: bool, backfill: bool, as_json: bool) -> None:
    """Search PubMed and store what is found; with --queue the workers do so, and annotate it."""
    if backfill and not queue:
        raise click.UsageError("--backfill says how urgent a job for the workers is: give --queue too")
    from comention.settings import load_settings
    from pipeline.stages.fetching import ingest_from_ncbi
    from storage.database import open_database

    settings = load_settings()
    day = None if since is None else since.date()
    if queue:
        with open_database(settings) as database:
            show_handed_in(hand_in(database, settings, query=text, since=day, backfill=backfill), as_json=as_json)
        return
    with open_database(settings, background=True) as database, progress_bars() as progress:
        report = ingest_from_ncbi(database, settings, progress, query=text, since=day)
    if as_json:
        print_json({"sources": [report_document(report)]})
    show_reports([report])
    if not report.usable:
        raise click.exceptions.Exit(1)


def _ingest_bulk(
    kind: str,
    *,
    place: str | None,
    numbers: range | None,
    processes: int | None,
    keep: Path | None,
    again: bool,
    as_json: bool,
) -> None:
    from comention.settings import load_settings
    from pipeline.stages.bulk import ingest_releases, resolve_place, unverified
    from storage.database import open_database

    settings = load_settings()
    found = resolve_place(kind, place, settings.ncbi.mirror)
    with open_database(settings, background=True) as database, progress_bars() as progress:
        report = ingest_releases(
            database,
            kind=kind,
            place=found,
            downloads=keep or settings.home / "downloads",
            processes=processes,
            progress=progress,
            timeout=settings.ncbi.timeout,
            numbers=numbers,
            keep=keep is not None,
            again=again,
        )
    console = stderr_console()
    if as_json:
        print_json({"sources": [report_document(source) for source in report.sources], "gaps": report.gaps})
    fresh = [source for source in report.sources if not source.already_read]
    show_reports(fresh)
    if len(fresh) < len(report.sources):
        console.print(f"{len(report.sources) - len(fresh):,} files were read before: --again reads them again")
    if without := unverified(found, [Path(source.source).name for source in fresh]):
        console.print(f"{without:,} files have no .md5 file beside them and were taken without a check")
    if report.gaps:
        named = ", ".join(report.gaps[:5]) + (f" and {len(report.gaps) - 5:,} more" if len(report.gaps) > 5 else "")
        console.print(
            f"not in {found}: {named}; what they change is not in the database: fetch them and give the same command again",
            markup=False,
            soft_wrap=True,
        )
    if not report.usable:
        raise click.exceptions.Exit(1)


def report_document(report: SourceReport) -> dict[str, object]:
    """Return a report as JSON has it."""
    return {
        "source": report.source,
        "read": report.counts.read,
        **report.counts.by_outcome(),
        "already_read": report.already_read,
        "failure": report.failure,
        "exceptions": [
            {"position": e.position, "pmid": e.pmid, "outcome": e.outcome, "reason": e.reason}
            for e in report.counts.exceptions
        ],
    }


def show_reports(reports: list[SourceReport], *, exceptions_shown: int = 20) -> None:
    """Say on stderr what became of each source, and why records were left out."""
    console = stderr_console()
    left_out = 0
    for report in reports:
        note = " (read before)" if report.already_read else ""
        console.print(f"{report.source}: {counts_sentence(report.counts)}{note}", markup=False, soft_wrap=True)
        for exception in report.counts.exceptions:
            left_out += 1
            if left_out <= exceptions_shown:
                who = f"PMID {exception.pmid}" if exception.pmid else "no PMID"
                console.print(
                    f"  record {exception.position}, {who}, {exception.outcome}: {exception.reason}",
                    markup=False,
                    soft_wrap=True,
                )
        if report.failure:
            console.print(f"  {report.failure}", style="red", markup=False, soft_wrap=True)
    refused = sum(report.counts.refused for report in reports)
    if left_out > exceptions_shown:
        console.print(
            f"  and {left_out - exceptions_shown:,} more: {LIST_EXCEPTIONS}",
            markup=False,
            soft_wrap=True,
        )
    failed = sum(report.failure is not None for report in reports)
    if failed:
        console.print(
            f"{failed:,} of {len(reports):,} source{'s' * (len(reports) > 1)} could not be read to the end, as said above; "
            "what came before is stored: mend the source and give the same command again",
            markup=False,
            soft_wrap=True,
        )
    elif refused:
        console.print(
            f"{refused:,} record{'s' * (refused > 1)} refused, all others stored: correct what is wrong "
            "where it comes from, and give the same command with the corrected file",
            markup=False,
            soft_wrap=True,
        )
