"""`comention top`: which drugs and conditions stand together."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.terminal.console import json_option, print_json, stdout_console
from pipeline.terminal.filter_options import filter_options
from pipeline.terminal.result_files import result_file_options, write_result_files


@click.command()
@click.option("--drug", metavar="NAME", help="The conditions of this drug.")
@click.option("--condition", metavar="NAME", help="The drugs of this condition.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many rows.")
@click.option(
    "--min-sentences", default=1, show_default=True, type=click.IntRange(1, 2**31 - 1), help="Leave rarer pairs out."
)
@filter_options
@json_option
@result_file_options
def top(
    drug: str | None,
    condition: str | None,
    limit: int,
    min_sentences: int,
    as_json: bool,
    csv_name: str | None,
    parquet_path: Path | None,
    **filtering: Any,
) -> None:
    """List the conditions of a drug, the drugs of a condition, or the top pairs of all, by citations.

    Names match whatever their case, hyphens, plural or Greek letters. Between years the measures are of those years; under
    another filter there are none, because what a drug or a condition has on its own is not counted under it.
    """
    from comention.settings import load_settings
    from pipeline.terminal.no_match import explain_no_match
    from pipeline.terminal.show import pairs_table
    from storage.database import open_database
    from storage.queries import Filters, Pair, list_pairs

    filters = Filters(**filtering)
    if filters and drug is None and condition is None:
        raise click.UsageError("filters need a drug or a condition: give --drug NAME, --condition NAME or both")
    with open_database(load_settings()) as database:
        pairs = list_pairs(
            database, drug=drug, condition=condition, limit=limit, min_sentences=min_sentences, filters=filters
        )
        if not pairs:
            explain_no_match(database, drug=drug, condition=condition, filtered=bool(filters))
    in_files = write_result_files(pairs, Pair, csv_name=csv_name, parquet_path=parquet_path, as_json=as_json)
    if as_json:
        print_json([asdict(pair) for pair in pairs])
    elif pairs and not in_files:
        title = {
            (False, False): "Drugs and conditions in the same sentences, by citations",
            (True, False): f"Conditions in the same sentences as {drug}",
            (False, True): f"Drugs in the same sentences as {condition}",
            (True, True): f"{drug} and {condition}",
        }[drug is not None, condition is not None]
        console = stdout_console()
        console.print(pairs_table(pairs, title=title, width=console.width))
