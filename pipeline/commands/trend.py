"""`comention trend`: a pair over the years."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from pipeline.terminal.console import json_option, print_json, stdout_console
from pipeline.terminal.result_files import result_file_options, write_result_files


@click.command()
@click.argument("drug")
@click.argument("condition")
@json_option
@result_file_options
def trend(drug: str, condition: str, as_json: bool, csv_name: str | None, parquet_path: Path | None) -> None:
    """Count the citations and sentences that mention DRUG and CONDITION, by year of publication.

    Every year from the first to the last is listed, those without any too; a last row counts citations whose year PubMed does
    not state.
    """
    from comention.settings import load_settings
    from pipeline.terminal.no_match import explain_no_match
    from pipeline.terminal.show import trend_list
    from storage.comparisons import YearCount, get_trend
    from storage.database import open_database

    with open_database(load_settings()) as database:
        found = get_trend(database, drug, condition)
        if found is None:
            explain_no_match(database, drug=drug, condition=condition)
    in_files = write_result_files(
        found.years if found else (),
        YearCount,
        csv_name=csv_name,
        parquet_path=parquet_path,
        as_json=as_json,
        constants={"drug": found.drug if found else drug, "condition": found.condition if found else condition},
    )
    if as_json:
        print_json(asdict(found) if found else {"drug": drug, "condition": condition, "years": []})
    elif found and not in_files:
        console = stdout_console()
        console.print(trend_list(found, width=console.width))
