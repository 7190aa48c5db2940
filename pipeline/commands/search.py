"""`comention search`: sentences by their words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from pipeline.terminal.console import json_option, print_json, stderr_console, stdout_console
from pipeline.terminal.filter_options import place_options


@click.command()
@click.argument("query")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many sentences.")
@place_options
@json_option
def search(query: str, limit: int, as_json: bool, **filtering: Any) -> None:
    """Find sentences by their words, newest citation first.

    QUERY is words that all must be there, in any form; "a phrase" in quotation marks; or between alternatives; -word for what
    must not be there. Sentences of retracted citations are found too, and say so.
    """
    from comention.settings import load_settings
    from pipeline.terminal.show import found_table, inert
    from storage.database import open_database
    from storage.queries import Filters, has_rows, search_sentences
    from storage.search import count_unindexed

    filters = Filters(**filtering)
    with open_database(load_settings()) as database:
        try:
            found = search_sentences(database, query, limit=limit, filters=filters)
        except ValueError as error:
            raise click.UsageError(inert(str(error))) from error
        unindexed = count_unindexed(database)
        is_empty = not has_rows(database, "citation")
    if as_json:
        print_json({"sentences": [asdict(one) for one in found], "unindexed": unindexed})
    elif found:
        console = stdout_console()
        console.print(found_table(found, width=console.width))
    messages = stderr_console()
    if is_empty:
        messages.print("the database is empty: try `comention demo`, or `comention run FILE…`", markup=False)
    elif not found:
        under = " under these filters" if filters else ""
        messages.print(f"no sentence matches {inert(query)!r}{under}", markup=False, soft_wrap=True)
    if unindexed:
        messages.print(
            f"{unindexed:,} citations are not searched yet: run `comention db maintain`", markup=False, soft_wrap=True
        )
