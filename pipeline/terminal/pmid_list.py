"""PMIDs as people write them: separated by commas, semicolons or blanks."""

from __future__ import annotations

import re

import click

from comention.types import MAX_PMID


def split_pmids(text: str) -> list[int]:
    """Read PMIDs, in their order.

    Raises:
        click.BadParameter: a word is none.
    """
    words = re.split(r"[\s,;]+", text.strip())
    wrong = next(
        (word for word in words if not word.isascii() or not word.isdigit() or not 0 < int(word) <= MAX_PMID), None
    )
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not a PMID: a PMID is a whole number such as 31452104")
    return [int(word) for word in words]
