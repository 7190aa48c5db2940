"""`comention annotate`: mentions for the sentences that have none yet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.terminal.annotator_options import annotator_options, load_chosen
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console

if TYPE_CHECKING:
    from storage.annotations import AnnotationCounts

LIST_FAILURES = "comention quarantine list"


@click.command()
@annotator_options
@json_option
def annotate(
    annotator: str | None, labels: Path | None, device: str | None, precision: str | None, as_json: bool
) -> None:
    """Annotate every citation that the annotator has not seen, or not in its present text."""
    from comention.settings import load_settings
    from pipeline.stages.annotating import annotate_owed
    from storage.database import open_database

    settings = load_settings()
    with open_database(settings, background=True) as database:
        loaded = load_chosen(settings.annotate, annotator, labels, device=device, precision=precision)
        began = time.monotonic()
        with progress_bars() as progress:
            counts, given_up = annotate_owed(
                database, loaded, progress, batch_citations=settings.annotate.batch_citations
            )
    seconds = time.monotonic() - began
    if as_json:
        print_json(
            {
                "done": counts.done,
                "truncated": counts.truncated,
                "failed": counts.failed,
                "skipped": counts.skipped,
                "sentences": counts.sentences,
                "mentions": counts.mentions,
                "given_up": given_up,
                "seconds": round(seconds, 3),
            }
        )
    stderr_console().print(annotation_sentence(counts, seconds, given_up), markup=False, soft_wrap=True)
    if counts.failed:
        raise click.exceptions.Exit(1)


def annotation_sentence(counts: AnnotationCounts, seconds: float, given_up: int) -> str:
    """Say in one sentence what annotation came to; ``given_up`` citations are not tried again."""
    citations = counts.done + counts.truncated + counts.failed
    if citations:
        said = (
            f"{citations:,} citations annotated: {counts.mentions:,} mentions in {counts.sentences:,} sentences, "
            f"{counts.sentences / seconds:,.0f} sentences/s"
        )
    else:
        said = "nothing to annotate"
    if counts.truncated:
        said += f"; {counts.truncated:,} read in part"
    if counts.failed:
        said += f"; {counts.failed:,} failed"
    if given_up:
        said += f"; {given_up:,} failed too often to be tried again: {LIST_FAILURES}"
    return said
