"""`comention verify`: prove that the counts are what a recount gives."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.console import json_option, print_json, stdout_console


@click.command()
@json_option
def verify(as_json: bool) -> None:
    """Recount the co-occurrences from the mentions; exit with 1 where any count differs."""
    from comention.settings import load_settings
    from storage.cooccurrence import find_drift
    from storage.database import open_database

    with open_database(load_settings()) as database:
        drift = find_drift(database)
    if as_json:
        print_json({"drift": [asdict(cell) for cell in drift]})
    else:
        console = stdout_console()
        for cell in drift[:20]:
            console.print(
                f"annotator {cell.annotator_id}, drug {cell.drug_id}, condition {cell.condition_id}, year {cell.year}: "
                f"{cell.counted} sentences and citations counted, {cell.recounted} on a recount",
                markup=False,
            )
        console.print("every count agrees with a recount" if not drift else f"{len(drift):,} counts differ")
    if drift:
        raise click.exceptions.Exit(1)
