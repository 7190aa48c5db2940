"""``comention evaluate``: score annotators on annotated corpora."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import Progress

from comention.errors import ComentionError
from comention.settings import load_settings
from pipeline.terminal.annotator_options import compute_options, labels_option, load_chosen
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console, stdout_console

if TYPE_CHECKING:
    from annotate.corpora import Corpus
    from annotate.evaluate import Evaluation
    from annotate.scores import Difference
    from comention.types import Annotator


def _read_map(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    renamed: dict[str, str] = {}
    for value in values:
        name, equals, label = value.partition("=")
        if not (name and equals and label) or name in renamed:
            raise click.BadParameter(f"{value!r} is not FROM=TO, or FROM is given twice")
        renamed[name] = label
    return renamed


def _in_a_folder(_context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that could not be written before hours of work, not after them."""
    if path is not None and not path.absolute().parent.is_dir():
        raise click.BadParameter(f"the folder {path.absolute().parent} does not exist")
    return path


_new_file = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--corpus",
    "references",
    required=True,
    multiple=True,
    help="A corpus: ADE, PubTator, BioC, IOB or CRAFT standoff, gzipped or not; a part of it: 'ade?fold=0/10&part=test'. "
    "May be repeated.",
)
@click.option(
    "--annotator",
    "names",
    multiple=True,
    help="A name, NAME:HEAD or a model folder; unset: the one of the settings. Repeated: they are compared.",
)
@click.option(
    "--head",
    default="auto",
    show_default=True,
    help="auto: the head named as the corpus's guideline, where the model has one; default: the annotator as it comes; "
    "or a head's name.",
)
@click.option(
    "--map",
    "renamed",
    multiple=True,
    callback=_read_map,
    metavar="FROM=TO",
    help="Read the annotator's label FROM as the corpus's label TO. May be repeated.",
)
@click.option("--report", type=_new_file, callback=_in_a_folder, help="Write the JSON report to this file as well.")
@click.option("--errors", type=_new_file, callback=_in_a_folder, help="List every error in this file, tab-separated.")
@labels_option
@compute_options
@click.option("--threads", type=click.IntRange(min=1), help="Worker threads; unset: one a core.")
@json_option
def evaluate(
    references: tuple[str, ...],
    names: tuple[str, ...],
    head: str,
    renamed: dict[str, str],
    report: Path | None,
    errors: Path | None,
    labels: Path | None,
    device: str | None,
    precision: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score annotators on annotated corpora.

    A mention counts when its offsets and its label are exactly the corpus's; beside it stands seqeval's strict figure on
    tags of words. Intervals are of 95 %, by drawing articles 1,000 times. Labels that only one of the two sides has do not
    count.
    """
    from annotate.corpora import load_corpus

    settings = load_settings().annotate
    if threads is not None:
        settings = settings.model_copy(update={"threads": threads})
    corpora = [load_corpus(reference) for reference in dict.fromkeys(references)]
    by_corpus: list[list[Evaluation]] = []
    with progress_bars() as progress:
        load = cache(lambda name: load_chosen(settings, name, labels, device=device, precision=precision))
        for corpus in corpora:
            by_corpus.append(
                [
                    _score(name, corpus, head, renamed, load, progress)
                    for name in dict.fromkeys(names or (settings.annotator,))
                ]
            )
    evaluations = [evaluation for row in by_corpus for evaluation in row]
    differences = [
        (first, second, _difference(first, second)) for row in by_corpus for first, second in combinations(row, 2)
    ]
    document = _to_json(evaluations, differences)
    if report is not None:
        _write(report, json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    if errors is not None:
        _write(errors, _errors_table(evaluations))
    if as_json:
        print_json(document)
    else:
        _print_tables(evaluations, differences)


def _score(
    name: str,
    corpus: Corpus,
    head: str,
    renamed: dict[str, str],
    load: Callable[[str], Annotator],
    progress: Progress,
) -> Evaluation:
    """Score one annotator on one corpus, and say on stderr what a reader of the figure must know."""
    from annotate.evaluate import evaluate as score
    from annotate.guideline_heads import choose_head
    from ingest.sentences import RuleSplitter

    chosen = choose_head(name, corpus, head)
    full_name = f"{name}:{chosen}" if chosen else name
    annotator = load(full_name)
    _check_map(renamed, annotator, corpus)
    task = progress.add_task(f"{full_name} on {corpus.name}", unit="sentences", total=None)
    evaluation = score(
        annotator,
        corpus,
        RuleSplitter(),
        on_sentences=lambda done, total: progress.update(task, completed=done, total=total),
        head=chosen,
        renamed=renamed,
    )
    for note in _notes(evaluation, head):
        progress.console.print(note, markup=False, soft_wrap=True)
    return evaluation


def _check_map(renamed: dict[str, str], annotator: Annotator, corpus: Corpus) -> None:
    for name, label in renamed.items():
        if annotator.info.labels and name not in annotator.info.labels:
            raise ComentionError(
                f"--map {name}={label}: {annotator.info.name} has no label {name!r}; "
                f"it has {', '.join(annotator.info.labels)}"
            )
        if label not in corpus.labels:
            raise ComentionError(
                f"--map {name}={label}: {corpus.name} has no label {label!r}; it has {', '.join(corpus.labels)}"
            )


def _notes(evaluation: Evaluation, head: str) -> list[str]:
    notes = []
    if evaluation.head and head == "auto":
        notes.append(
            f"{evaluation.annotator}: the head {evaluation.head} is scored, since {evaluation.corpus} follows that "
            "guideline; --head default scores the annotator as it comes"
        )
    gold = evaluation.gold
    aside = [
        f"{gold.discontinuous:,} gold mentions with gaps are left out" if gold.discontinuous else "",
        f"{gold.across_sentences:,} run across sentences and are missed by any annotator"
        if gold.across_sentences
        else "",
        f"{gold.overlapping:,} overlap a longer one and are left out of the tags" if gold.overlapping else "",
        f"not scored, since {evaluation.annotator} has no such label: "
        + ", ".join(f"{label} ({count:,})" for label, count in gold.unscored.items())
        if gold.unscored
        else "",
        f"{evaluation.failed:,} sentences could not be annotated" if evaluation.failed else "",
    ]
    if any(aside):
        notes.append(f"{evaluation.corpus}: {'; '.join(filter(None, aside))}")
    return notes


def _difference(first: Evaluation, second: Evaluation) -> Difference | None:
    """Compare two annotators that were scored on the same labels of one corpus."""
    from annotate.scores import compare

    return compare(first.mentions, second.mentions) if first.mentions.labels == second.mentions.labels else None


Differences = Sequence[tuple["Evaluation", "Evaluation", "Difference | None"]]


def _to_json(evaluations: Sequence[Evaluation], differences: Differences) -> object:
    """Return one evaluation as it is, several in a list with the differences between annotators."""
    if len(evaluations) == 1:
        return evaluations[0].to_json()
    return {
        "evaluations": [evaluation.to_json() for evaluation in evaluations],
        "differences": [
            {
                "corpus": first.corpus,
                "annotators": [first.shown_as, second.shown_as],
                "f1": difference.f1,
                "interval": [difference.low, difference.high],
                "p": difference.p,
            }
            for first, second, difference in differences
            if difference is not None
        ],
    }


def _errors_table(evaluations: Sequence[Evaluation]) -> str:
    from annotate.mention_errors import COLUMNS, error_rows, list_errors

    rows = (row for evaluation in evaluations for row in error_rows(evaluation, list_errors(evaluation)))
    return "".join("\t".join(row) + "\n" for row in (list(COLUMNS), *rows))


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ComentionError(f"{path} cannot be written: {error.strerror or error}") from error


def _print_tables(evaluations: Sequence[Evaluation], differences: Differences) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = stdout_console()
    for evaluation in evaluations:
        table = Table(
            title=f"{evaluation.shown_as} on {evaluation.corpus}",
            caption=f"strict: exact offsets and label; 95 % intervals over {evaluation.mentions.articles:,} articles",
            box=SIMPLE_HEAD,
        )
        columns = ("label", "precision", "recall", "F1", "95 % of F1", "seqeval F1", "support")
        for column in columns:
            table.add_column(column, justify="left" if column == "label" else "right")
        intervals, micro = evaluation.mentions.intervals()
        for label in (*evaluation.mentions.labels, None):
            score, interval = evaluation.mentions.score(label), micro if label is None else intervals[label]
            table.add_row(
                "all" if label is None else label,
                *(f"{figure:.3f}" for figure in (score.precision, score.recall, score.f1)),
                "–".join(f"{bound:.3f}" for bound in interval.f1),
                f"{evaluation.tags.score(label).f1:.3f}",
                f"{score.support:,}",
            )
        console.print(table)
    for first, second, difference in differences:
        named = f"{first.shown_as} less {second.shown_as} on {first.corpus}"
        if difference is None:
            stderr_console().print(f"{named}: not compared, for they are scored on different labels", markup=False)
        else:
            console.print(
                f"{named}: F1 {difference.f1:+.3f} ({difference.low:+.3f} to {difference.high:+.3f}), p = {difference.p:.3f}",
                markup=False,
                soft_wrap=True,
            )
