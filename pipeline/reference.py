"""The reference pages under `docs/reference/`, written from the program itself: `make reference`.

A test fails where a page differs from what this module writes.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from pydantic import BaseModel

from comention.settings import Settings, file_names, setting_names
from pipeline.cli import cli

if TYPE_CHECKING:
    from storage.database import Database

NOTE = "<!-- Written by `make reference`; change the program, not this page. -->"


def commands_page() -> str:
    """Return the page of commands: the help of each, as the terminal shows it at 100 columns."""
    parts = [
        NOTE,
        "# Commands",
        "Exit codes: 0 done, 1 failed, 2 usage error, 128 + n stopped by signal n (130 for Ctrl-C).",
    ]
    for context in _walk(cli, None, "comention"):
        parts += [f"## {context.command_path}", f"```\n{context.command.get_help(context)}\n```"]
    return "\n\n".join(parts) + "\n"


def _walk(command: click.Command, parent: click.Context | None, name: str) -> Iterator[click.Context]:
    """Yield a context for the command and each below it, with what a child takes over from its parent."""
    context = click.Context(
        command, parent=parent, info_name=name, max_content_width=100, terminal_width=100, **command.context_settings
    )
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _walk(found, context, child)


def settings_page() -> str:
    """Return the page of settings, with their defaults and meanings."""
    lines = [
        NOTE,
        "",
        "# Settings",
        "",
        "Environment variables, or the same in `comention.toml` in the working folder "
        "(`COMENTION_NCBI__EMAIL` is `email` under `[ncbi]`). The environment goes first.",
        "",
        "A secret may stand in a file that a variable names instead: "
        + ", ".join(f"`{name}`" for name in file_names())
        + ".",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    meanings = {}
    for name, field in Settings.model_fields.items():
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for inner, inner_field in group.model_fields.items():
                default = "" if inner_field.default is None else f"`{inner_field.default}`"
                meanings[f"COMENTION_{name}__{inner}".upper()] = (default, inner_field.description)
        else:
            meanings[f"COMENTION_{name}".upper()] = ("the platform's folder for user data", field.description)
    lines += [f"| `{name}` | {meanings[name][0]} | {meanings[name][1]} |" for name in setting_names()]
    return "\n".join(lines) + "\n"


def analysis_page(database: Database) -> str:
    """Return the page of the analyst schema, from the comments in the database."""
    from storage.describe import list_functions, list_views

    parts = [
        NOTE,
        "# The schema `analysis`",
        "What analysts read, as the role `analyst` or any role that is a member of it.",
    ]
    for view in list_views(database):
        rows = "\n".join(f"| `{c.name}` | {c.type} | {_cell(c.comment)} |" for c in view.columns)
        parts += [f"## analysis.{view.name}", f"{view.comment}.", f"| column | type | meaning |\n|---|---|---|\n{rows}"]
    functions = list_functions(database)
    parts.append("## Functions")
    for one in functions:
        if not one.is_statistic:
            signature = f"{_wrapped(f'analysis.{one.name}({one.arguments})')}\n{_wrapped(f'  → {one.result}')}"
            parts += [f"### {one.name}", f"```\n{signature}\n```", f"{one.comment}."]
    parts += [
        "## Statistics",
        "Functions of counts alone, which read nothing: [which to use](../statistics.md). Arguments go by their places.",
    ]
    statistics = [one for one in functions if one.is_statistic]
    for arguments in dict.fromkeys(one.arguments for one in statistics):
        rows = "\n".join(
            f"| `{one.name}` | {one.result} | {_cell(one.comment)} |"
            for one in statistics
            if one.arguments == arguments
        )
        parts += [f"Of `({arguments})`:", f"| function | result | meaning |\n|---|---|---|\n{rows}"]
    return "\n\n".join(parts) + "\n"


def _cell(comment: str) -> str:
    """Return a comment as a cell of a table takes it."""
    return comment.replace("|", r"\|")


def _wrapped(signature: str) -> str:
    """Break a signature between arguments, where a line would be longer than 120; types of defaults are left out."""
    plain = re.sub(r"(DEFAULT (?:NULL|'[^']*'))::[a-z ]+(?=[,)])", r"\1", signature)
    inseparable = re.sub(r"(?<!,) ", "\u00a0", plain)
    lines = textwrap.wrap(inseparable, 118, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\u00a0", " ")


def write_pages(folder: Path) -> None:
    """Write all pages; the database that the analyst page is read from is made for it and thrown away."""
    from storage.database import open_database

    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")
    with (
        tempfile.TemporaryDirectory(prefix="comention-reference-") as home,
        open_database(Settings(home=Path(home))) as database,
    ):
        (folder / "analysis.md").write_text(analysis_page(database), encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(__file__).parent.parent / "docs" / "reference")
