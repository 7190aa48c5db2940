"""The options that choose among sentences, the same for every command that lists what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_YEAR = click.IntRange(1, 9999)

_PLACE = (
    click.option("--since", "from_year", type=_YEAR, metavar="YEAR", help="Only citations of this year or later."),
    click.option("--until", "to_year", type=_YEAR, metavar="YEAR", help="Only citations of this year or earlier."),
    click.option(
        "--section",
        metavar="NAME",
        help="Only sentences of this section: TITLE, METHODS, or as it is labelled; in any case.",
    ),
    click.option(
        "--publication-type", metavar="TYPE", help='Only citations of this type, as PubMed writes it: "Case Reports".'
    ),
)
_SCORE = click.option(
    "--min-score", type=click.FloatRange(0, 1), metavar="0…1", help="Only mentions that the annotator is so sure of."
)


def place_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--since`, `--until`, `--section` and `--publication-type`, by the names of the fields of `Filters`."""
    for option in reversed(_PLACE):
        command = option(command)
    return command


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same and `--min-score`."""
    return place_options(_SCORE(command))
