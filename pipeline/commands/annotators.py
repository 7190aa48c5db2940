"""``comention annotators``: list the annotators and look at one."""

from __future__ import annotations

import dataclasses

import click

from comention.settings import load_settings
from pipeline.console import json_option, print_json, stdout_console


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def annotators(context: click.Context, as_json: bool) -> None:
    """List the annotators that can be loaded by name."""
    if context.invoked_subcommand is not None:
        return
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
@json_option
def show(name: str, as_json: bool) -> None:
    """Load the annotator NAME and say what identifies it."""
    from annotate.registry import load_annotator

    info = dataclasses.asdict(load_annotator(name, load_settings().annotate).info)
    if as_json:
        print_json(info)
        return
    from rich.table import Table

    table = Table(show_header=False)
    for field, value in info.items():
        table.add_row(field, ", ".join(value) if isinstance(value, tuple) else str(value))
    stdout_console().print(table)


@annotators.command("try")
@click.argument("name")
@click.argument("sentence")
@json_option
def try_sentence(name: str, sentence: str, as_json: bool) -> None:
    """Show the mentions that the annotator NAME finds in one SENTENCE."""
    from annotate.registry import load_annotator

    (annotation,) = load_annotator(name, load_settings().annotate).annotate([sentence])
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
