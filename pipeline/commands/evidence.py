"""`comention evidence`: the sentences behind a pair."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.terminal.console import json_option, print_json, stdout_console
from pipeline.terminal.filter_options import filter_options
from pipeline.terminal.result_files import result_file_options, write_result_files


@click.command()
@click.argument("drug")
@click.argument("condition")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many sentences.")
@filter_options
@json_option
@result_file_options
def evidence(
    drug: str,
    condition: str,
    limit: int,
    as_json: bool,
    csv_name: str | None,
    parquet_path: Path | None,
    **filtering: Any,
) -> None:
    """Show the sentences that mention DRUG and CONDITION, newest citation first."""
    from comention.settings import load_settings
    from pipeline.terminal.no_match import explain_no_match
    from pipeline.terminal.show import evidence_list, pairs_table
    from storage.database import open_database
    from storage.queries import Evidence, Filters, list_evidence, list_pairs

    filters = Filters(**filtering)
    with open_database(load_settings()) as database:
        pairs = list_pairs(database, drug=drug, condition=condition, limit=1, filters=filters)
        sentences = list_evidence(database, drug, condition, limit=limit, filters=filters)
        if not sentences:
            explain_no_match(database, drug=drug, condition=condition, filtered=bool(filters))
    in_files = write_result_files(
        sentences,
        Evidence,
        csv_name=csv_name,
        parquet_path=parquet_path,
        as_json=as_json,
        constants={"drug": pairs[0].drug, "condition": pairs[0].condition}
        if pairs
        else {"drug": drug, "condition": condition},
    )
    if as_json:
        print_json({"pair": asdict(pairs[0]) if pairs else None, "evidence": [asdict(item) for item in sentences]})
    elif sentences and not in_files:
        console = stdout_console()
        console.print(pairs_table(pairs, title=f"{drug} and {condition}", width=console.width))
        console.print()
        console.print(evidence_list(sentences))
