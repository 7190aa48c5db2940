"""`comention run`: the whole main job, from records to the pairs they hold."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.commands.annotate import annotation_sentence
from pipeline.commands.ingest import again_option, report_document, show_reports
from pipeline.stages.ingest_stage import SourceReport
from pipeline.terminal.annotator_options import annotator_options, load_chosen, require_annotator
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console, stdout_console
from pipeline.terminal.pmid_list import split_pmids
from pipeline.workers.handing_in import backfill_option, hand_in, queue_option, show_handed_in


def parse_pmids(_context: click.Context, _option: click.Parameter, value: str | None) -> list[int] | None:
    """Read PMIDs separated by commas or blanks, or the file of them that ``@NAME`` names."""
    if value is None:
        return None
    if value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.BadParameter(f"{value[1:]} cannot be read: {error}") from error
    return split_pmids(value)


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH…]")
@click.option("--query", metavar="TEXT", help="Search PubMed and fetch what is found.")
@click.option("--pmids", callback=parse_pmids, metavar="N,N…|@FILE", help="Fetch these PMIDs from PubMed.")
@annotator_options
@again_option
@queue_option
@backfill_option
@click.option(
    "--limit", default=10, show_default=True, type=click.IntRange(0, 1_000_000), help="How many pairs to show."
)
@json_option
def run(
    paths: tuple[Path, ...],
    query: str | None,
    pmids: list[int] | None,
    annotator: str | None,
    labels: Path | None,
    device: str | None,
    precision: str | None,
    again: bool,
    queue: bool,
    backfill: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Ingest, annotate and show what is found.

    Name files of PubMed XML, or give --query or --pmids. A run that was interrupted, even killed, continues where it was when
    the same command is given again.
    """
    if sum((bool(paths), query is not None, pmids is not None)) != 1:
        raise click.UsageError("name files, or give --query, or give --pmids: one of the three")
    if queue and (paths or labels or device or precision):
        raise click.UsageError(
            "--queue is for --query and --pmids; labels, device and precision are settings of the workers"
        )
    if backfill and not queue:
        raise click.UsageError("--backfill says how urgent a job for the workers is: give --queue too")

    from comention.settings import load_settings
    from pipeline.stages.annotating import annotate_owed
    from pipeline.stages.fetching import ingest_from_ncbi
    from pipeline.stages.ingest_files import ingest_files
    from storage.database import open_database
    from storage.queries import count_sample, list_pairs

    settings = load_settings()
    with open_database(settings, background=True) as database:
        if queue:
            if annotator is not None:
                require_annotator(annotator)
            number = hand_in(database, settings, query=query, pmids=pmids or [], annotator=annotator, backfill=backfill)
            show_handed_in(number, as_json=as_json)
            return
        # Before anything is read: a name that is misspelt shows now, and not after hours.
        loaded = load_chosen(settings.annotate, annotator, labels, device=device, precision=precision)
        began = time.monotonic()
        reports: list[SourceReport]
        with progress_bars() as progress:
            if paths:
                reports = ingest_files(database, paths, progress, again=again)
            else:
                reports = [ingest_from_ncbi(database, settings, progress, query=query, pmids=pmids or [])]
        ingest_seconds = time.monotonic() - began
        show_reports(reports)
        show_rate(reports, ingest_seconds)
        if not any(report.counts.read for report in reports) and any(report.failure for report in reports):
            raise click.exceptions.Exit(1)

        began = time.monotonic()
        with progress_bars() as progress:
            counts, given_up = annotate_owed(
                database, loaded, progress, batch_citations=settings.annotate.batch_citations
            )
        annotate_seconds = time.monotonic() - began
        stderr_console().print(annotation_sentence(counts, annotate_seconds, given_up), markup=False, soft_wrap=True)
        sample, others = count_sample(database)
        if sample and others:
            stderr_console().print(
                f"{sample:,} citations of the demo's sample are counted too: `comention demo --remove` takes them out",
                markup=False,
                soft_wrap=True,
            )
        pairs = list_pairs(database, limit=limit) if limit else []
    if as_json:
        print_json(
            {
                "sources": [report_document(report) for report in reports],
                "ingest_seconds": round(ingest_seconds, 3),
                "annotation": asdict(counts),
                "annotate_seconds": round(annotate_seconds, 3),
                "pairs": [asdict(pair) for pair in pairs],
            }
        )
    elif pairs:
        from pipeline.terminal.show import pairs_table

        console = stdout_console()
        title = "Drugs and conditions in the same sentences, by citations"
        console.print(pairs_table(pairs, title=title, width=console.width))
    if counts.failed or not all(report.usable for report in reports):
        raise click.exceptions.Exit(1)


def show_rate(reports: list[SourceReport], seconds: float) -> None:
    """Say how fast the sources were read, where any was."""
    fresh = [report.counts for report in reports if not report.already_read]
    read = sum(counts.read for counts in fresh)
    if read:
        stored = sum(counts.stored + counts.deleted for counts in fresh)
        stderr_console().print(
            f"{read:,} records read = {stored:,} stored or deleted + {read - stored:,} explained, "
            f"{read / seconds:,.0f} records/s",
            markup=False,
        )
