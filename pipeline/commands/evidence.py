"""`comention evidence`: the sentences behind a pair."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from pipeline.console import json_option, print_json, stdout_console
from pipeline.filter_options import filter_options


@click.command()
@click.argument("drug")
@click.argument("condition")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many sentences.")
@filter_options
@json_option
def evidence(drug: str, condition: str, limit: int, as_json: bool, **filtering: Any) -> None:
    """Show the sentences that mention DRUG and CONDITION, newest citation first."""
    from comention.settings import load_settings
    from pipeline.no_match import explain_no_match
    from pipeline.show import evidence_list, pairs_table
    from storage.database import open_database
    from storage.queries import Filters, list_evidence, list_pairs

    filters = Filters(**filtering)
    with open_database(load_settings()) as database:
        pairs = list_pairs(database, drug=drug, condition=condition, limit=1, filters=filters)
        sentences = list_evidence(database, drug, condition, limit=limit, filters=filters)
        if not sentences:
            explain_no_match(database, drug=drug, condition=condition, filtered=bool(filters))
    if as_json:
        print_json({"pair": asdict(pairs[0]) if pairs else None, "evidence": [asdict(item) for item in sentences]})
    elif sentences:
        console = stdout_console()
        console.print(pairs_table(pairs, title=f"{drug} and {condition}", width=console.width))
        console.print()
        console.print(evidence_list(sentences))
