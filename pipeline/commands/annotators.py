"""``comention annotators``: list the annotators, look at one, try one, prove one, and average several."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from comention.errors import AnnotatorError
from comention.settings import load_settings
from pipeline.terminal.annotator_options import labels_option, load_chosen
from pipeline.terminal.console import json_option, print_json, stdout_console


@click.group()
def annotators() -> None:
    """List the annotators, look at one, try or check one, average several, and choose which one the views show."""


@annotators.command("list")
@json_option
def list_available(as_json: bool) -> None:
    """List the annotators that can be loaded by name."""
    from annotate.registry import list_annotators

    available = list_annotators()
    if as_json:
        print_json([dataclasses.asdict(annotator) for annotator in available])
        return
    from rich.table import Table

    table = Table()
    for column in ("name", "source", "labels", "heads"):
        table.add_column(column)
    for annotator in available:
        table.add_row(annotator.name, annotator.source, ", ".join(annotator.labels), ", ".join(annotator.heads))
    stdout_console().print(table)


@annotators.command()
@click.argument("name")
@labels_option
@json_option
def info(name: str, labels: Path | None, as_json: bool) -> None:
    """Load the annotator NAME and say what identifies it, and how it computes on this machine."""
    annotator = load_chosen(load_settings().annotate, name, labels)
    facts = dataclasses.asdict(annotator.info)
    computes = getattr(annotator, "computes", None)  # a plugin's annotator need not say
    if computes is not None:
        facts["computes"] = computes
    if as_json:
        print_json(facts)
        return
    from rich.table import Table

    table = Table(show_header=False)
    for field, value in facts.items():
        table.add_row(field, ", ".join(value) if isinstance(value, tuple) else str(value))
    stdout_console().print(table)


@annotators.command("try")
@click.argument("name")
@click.argument("sentence")
@labels_option
@json_option
def try_sentence(name: str, sentence: str, labels: Path | None, as_json: bool) -> None:
    """Show the mentions that the annotator NAME finds in one SENTENCE."""
    (annotation,) = load_chosen(load_settings().annotate, name, labels).annotate([sentence])
    if as_json:
        print_json(dataclasses.asdict(annotation))
        return
    from rich.table import Table

    table = Table()
    for column in ("start", "end", "label", "score", "text"):
        table.add_column(column, justify="right" if column in ("start", "end", "score") else "left")
    for mention in annotation.mentions:
        text = sentence[mention.start_char : mention.end_char]
        table.add_row(str(mention.start_char), str(mention.end_char), mention.label, f"{mention.score:.4f}", text)
    stdout_console().print(table)
    if annotation.detail is not None:
        click.echo(f"{annotation.status}: {annotation.detail}", err=True)


@annotators.command()
@click.argument("name")
@click.argument("sentences", nargs=-1, metavar="[SENTENCE…]")
@labels_option
@click.option("--no-threads", is_flag=True, help="The annotator says that threads may not share it.")
@json_option
def check(name: str, sentences: tuple[str, ...], labels: Path | None, no_threads: bool, as_json: bool) -> None:
    """Prove that the annotator NAME keeps the contract that the pipeline relies on.

    Give a SENTENCE or two in which it finds something, if it finds no drugs, conditions or genes.
    """
    from comention.testing import ContractError, check_annotator

    annotator = load_chosen(load_settings().annotate, name, labels)
    try:
        findings = check_annotator(annotator, examples=sentences, threads=not no_threads)
    except ContractError as error:
        findings = error.findings
    broken = [finding for finding in findings if finding.problem is not None]
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            held = "holds " if finding.problem is None else "BROKEN"
            click.echo(f"{held}  {finding.part}" + (f": {finding.problem}" if finding.problem else ""))
    if broken:
        click.echo(f"{name} breaks {len(broken)} of {len(findings)} parts of the contract", err=True)
        raise click.exceptions.Exit(1)


@annotators.command()
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write the model folder."
)
def average(folders: tuple[Path, ...], out: Path) -> None:
    """Write the mean of the weights of several models, each a FOLDER, that were trained from one base."""
    from annotate.average import average_folders

    average_folders(folders, out)
    click.echo(f"{out}: the mean of {len(folders)} models", err=True)


@annotators.command()
@click.argument("name")
def promote(name: str) -> None:
    """Let the views show what the annotator NAME found: the one of that name that ran here last."""
    from storage.annotators import list_registered, promote_annotator
    from storage.database import open_database

    with open_database(load_settings()) as database:
        registered = list_registered(database)
        found = [one for one in registered if one.info.name == name]
        if not found:
            known = ", ".join(sorted({one.info.name for one in registered})) or "none so far"
            raise AnnotatorError(f"no annotator {name!r} has run on this database; those that have: {known}")
        promote_annotator(database, found[-1].annotator_id)
    click.echo(f"the views show {name} {found[-1].info.revision[:8]}", err=True)
