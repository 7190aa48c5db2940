"""``comention evaluate``: score an annotator on an annotated corpus."""

from __future__ import annotations

from pathlib import Path

import click

from comention.settings import load_settings
from pipeline.annotator_options import annotator_options, load_chosen
from pipeline.console import json_option, print_json, progress_bars, stdout_console


@click.command()
@click.option(
    "--corpus",
    required=True,
    type=click.Path(path_type=Path),
    help="A PubTator file or a folder with DRUG-AE.rel, gzipped or not.",
)
@annotator_options
@click.option("--threads", type=click.IntRange(min=1), help="Worker threads; unset: one a core.")
@json_option
def evaluate(
    corpus: Path,
    annotator: str | None,
    labels: Path | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score an annotator on an annotated corpus.

    A mention counts when its offsets and its label are exactly the corpus's. Only labels that the corpus annotates
    count.
    """
    from annotate.corpora import load_corpus
    from annotate.evaluate import evaluate as score
    from ingest.sentences import RuleSplitter

    settings = load_settings().annotate
    if threads is not None:
        settings = settings.model_copy(update={"threads": threads})
    loaded = load_corpus(corpus)
    chosen = load_chosen(settings, annotator, labels, device=device, precision=precision)
    with progress_bars() as progress:
        task = progress.add_task(f"Evaluating {chosen.info.name}", unit="sentences", total=None)
        evaluation = score(
            chosen,
            loaded,
            RuleSplitter(),
            on_sentences=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if as_json:
        print_json(evaluation.to_json())
        return
    from rich.table import Table

    table = Table(title=f"{evaluation.annotator} on {evaluation.corpus}", caption="strict: exact offsets and label")
    for column in ("label", "precision", "recall", "F1", "support"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, row in [*evaluation.labels.items(), ("all", evaluation.micro)]:
        table.add_row(label, f"{row.precision:.3f}", f"{row.recall:.3f}", f"{row.f1:.3f}", f"{row.support:,}")
    stdout_console().print(table)
