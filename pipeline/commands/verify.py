"""`comention verify`: prove that the counts are what a recount gives."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.terminal.console import json_option, print_json, stdout_console


@click.command()
@click.option(
    "--sample",
    type=click.IntRange(1, 2**31 - 1),
    metavar="N",
    help="Recount only N drugs, taken by chance, with all their pairs.",
)
@json_option
def verify(sample: int | None, as_json: bool) -> None:
    """Recount the co-occurrences from the mentions; exit with 1 where any count differs.

    Of a large database a whole recount takes long; with --sample, repeated, it is checked a little at a time.
    """
    from comention.settings import load_settings
    from storage.cooccurrence import find_drift
    from storage.database import open_database

    with open_database(load_settings()) as database:
        drift = find_drift(database, sample=sample)
    if as_json:
        print_json({"drift": [asdict(cell) for cell in drift]})
    else:
        console = stdout_console()
        for cell in drift[:20]:
            console.print(
                f"annotator {cell.annotator_id}, drug {cell.drug_id}, condition {cell.condition_id}, "
                f"{'all years' if cell.year is None else f'year {cell.year}'}: "
                f"{cell.what} are {cell.counted or 'not there'}, on a recount {cell.recounted or 'not there'}",
                markup=False,
            )
        agrees = (
            "every count agrees with a recount" if sample is None else "every count of the sample agrees with a recount"
        )
        console.print(f"{len(drift):,} counts differ" if drift else agrees)
    if drift:
        raise click.exceptions.Exit(1)
