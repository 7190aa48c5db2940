"""`comention compare`: the conditions of two drugs side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.terminal.console import json_option, print_json, stderr_console, stdout_console
from pipeline.terminal.result_files import result_file_options, write_result_files


@click.command()
@click.argument("first", metavar="DRUG")
@click.argument("second", metavar="DRUG")
@click.option(
    "--show",
    "shown",
    type=click.Choice(["all", "shared", "first", "second"]),
    default="all",
    show_default=True,
    help="All conditions, those of both drugs, or those that only the first or only the second has.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1_000_000), help="How many rows.")
@click.option(
    "--min-sentences",
    default=1,
    show_default=True,
    type=click.IntRange(1, 2**31 - 1),
    help="Leave a condition out that has fewer sentences with each of the two.",
)
@json_option
@result_file_options
def compare(
    first: str,
    second: str,
    shown: str,
    limit: int,
    min_sentences: int,
    as_json: bool,
    csv_name: str | None,
    parquet_path: Path | None,
) -> None:
    """Put the conditions of two drugs side by side: citations, sentences and NPMI of each, those with the most citations first.

    A drug that never stands with a condition has no NPMI there.
    """
    from comention.settings import load_settings
    from pipeline.terminal.no_match import explain_no_match
    from pipeline.terminal.show import comparison_table, inert
    from storage.comparisons import ComparedCondition, compare_drugs
    from storage.database import open_database

    with open_database(load_settings()) as database:
        comparison = compare_drugs(database, first, second, min_sentences=min_sentences)
        found = comparison.conditions
        for drug, has_any in (
            (first, any(one.in_first for one in found)),
            (second, any(one.in_second for one in found)),
        ):
            if not has_any and min_sentences == 1:
                explain_no_match(database, drug=drug, condition=None)
    first, second = comparison.first, comparison.second
    parts = {
        "all": found,
        "shared": [one for one in found if one.in_first and one.in_second],
        "first": [one for one in found if not one.in_second],
        "second": [one for one in found if not one.in_first],
    }
    rows = parts[shown][:limit]
    in_files = write_result_files(
        rows,
        ComparedCondition,
        csv_name=csv_name,
        parquet_path=parquet_path,
        as_json=as_json,
        constants={"first_drug": first, "second_drug": second},
    )
    counts = {name: len(part) for name, part in parts.items() if name != "all"}
    if as_json:
        print_json(
            {
                "first": first,
                "second": second,
                "counts": counts,
                "conditions": [asdict(condition) for condition in rows],
            }
        )
    elif not in_files and found:
        if rows:
            title = inert(f"Conditions of {first} and {second}, by citations")
            stdout_console().print(comparison_table(rows, first=first, second=second, title=title))
        stderr_console().print(
            f"{counts['shared']:,} conditions of both, {counts['first']:,} of {inert(first)} alone, "
            f"{counts['second']:,} of {inert(second)} alone; {len(rows):,} shown",
            markup=False,
            soft_wrap=True,
        )
