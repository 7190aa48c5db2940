"""`comention link`: a terminology into the database."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.terminal.console import json_option, print_json, progress_bars, stderr_console, stdout_console

SHOWN = 3
"""Ambiguous names that the message spells out."""


@click.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--label",
    required=True,
    type=click.Choice(["Drug", "Condition"], case_sensitive=False),
    help="What the names of the file name.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["tsv", "obo"]),
    help="How the file is written; without it, obo where its name says so, else tsv.",
)
@json_option
def link(path: Path, label: str, format_name: str | None, as_json: bool) -> None:
    """Let the names of a terminology stand for its concepts, so that spellings of one thing count as one.

    A tsv file has in each line, between tabulators, a name, a CURIE such as mesh:D000638 and, where it likes, the concept's
    preferred name; a first line that names these columns (name, curie, preferred_name) may put them in another order. Empty
    lines and lines that begin with # are left out. Of an obo file, the names and exact synonyms of the terms that are not
    obsolete are taken. Either may be packed (.gz).

    The file is read to its end before anything is written: where a line is wrong it is named, and nothing is loaded. Of a name
    that the file gives to several concepts, the concept whose own name it is goes first, then the first in the file.

    Counts follow at once, those of what was annotated before too. Repeating it changes nothing.
    """
    from comention.settings import load_settings
    from pipeline.stages.terminology import read_terminology
    from pipeline.terminal.show import inert
    from storage.cooccurrence import fold_counts
    from storage.database import open_database
    from storage.linking import LinkCounts, link_names

    terminology = read_terminology(path, format_name)
    total = len(terminology.links)
    with open_database(load_settings()) as database, progress_bars() as progress:
        task = progress.add_task(f"linking {path.name}", total=total, unit="names")

        def advance(so_far: LinkCounts) -> None:
            progress.update(task, completed=so_far.new + so_far.linked + so_far.unchanged)

        counts = link_names(database, label, terminology.links, on_progress=advance)
        fold_counts(database)
    if as_json:
        print_json(
            {
                "label": label,
                "concepts": terminology.concepts,
                "names": total,
                **asdict(counts),
                "ambiguous": len(terminology.ambiguous),
                "too_long": terminology.too_long,
            }
        )
    else:
        stdout_console().print(
            f"{total:,} names of {terminology.concepts:,} concepts: {counts.new:,} new, {counts.linked:,} linked, "
            f"{counts.unchanged:,} unchanged",
            markup=False,
            soft_wrap=True,
        )
    messages = stderr_console()
    if terminology.ambiguous:
        examples = ", ".join(repr(inert(name)) for name in terminology.ambiguous[:SHOWN])
        messages.print(
            f"{len(terminology.ambiguous):,} names stand for several concepts in the file, and for one of them here: "
            f"{examples}{', …' if len(terminology.ambiguous) > SHOWN else ''}",
            markup=False,
            soft_wrap=True,
        )
    if terminology.too_long:
        messages.print(
            f"{terminology.too_long:,} names are longer than any mention may be, and are left out",
            markup=False,
            soft_wrap=True,
        )
