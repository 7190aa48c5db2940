"""`comention ingest`: PubMed records into the database."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.console import json_option, print_json, progress_bars, stderr_console
from pipeline.ingest_files import ingest_files
from pipeline.ingest_stage import SourceReport
from pipeline.show import counts_sentence

LIST_EXCEPTIONS = "comention db psql -- -c 'SELECT * FROM analysis.ingest_exception'"

again_option = click.option("--again", is_flag=True, help="Read files again that were read to their end before.")
paths_argument = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH…")


@click.group()
def ingest() -> None:
    """Store PubMed citations and their sentences."""


@ingest.command()
@paths_argument
@again_option
@json_option
def files(paths: tuple[Path, ...], again: bool, as_json: bool) -> None:
    """Store the records of files of PubMed XML: baseline and update files or E-utilities answers, .gz or not.

    Every record is stored, or listed with the reason why not. A file that cannot be read is named and the others are stored.
    The exit status is 1 where a file or a record could not be used.
    """
    from comention.settings import load_settings
    from storage.database import open_database

    with open_database(load_settings()) as database, progress_bars() as progress:
        reports = ingest_files(database, paths, progress, again=again)
    if as_json:
        print_json({"sources": [report_document(report) for report in reports]})
    show_reports(reports)
    if not all(report.usable for report in reports):
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
