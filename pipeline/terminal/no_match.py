"""What to tell a user whose question has an empty answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comention.names import normalise_name
from pipeline.terminal.console import stderr_console
from pipeline.terminal.show import inert

if TYPE_CHECKING:
    from storage.database import Database


def explain_no_match(database: Database, *, drug: str | None, condition: str | None, filtered: bool = False) -> None:
    """Say on stderr why there is nothing to show, and what to type next."""
    from storage.queries import has_rows, suggest_names

    console = stderr_console()
    if not has_rows(database, "citation"):
        console.print("the database is empty: try `comention demo`, or `comention run FILE…`", markup=False)
        return
    if not has_rows(database, "annotation"):
        console.print("no citation is annotated yet: run `comention annotate`", markup=False)
        return
    said = " and ".join(repr(inert(name)) for name in (drug, condition) if name is not None)
    under = " under these filters" if filtered else ""
    both = "both " if drug is not None and condition is not None else ""
    console.print(f"no pair with {both}{said} was found{under}" if said else "no pair was found", markup=False)
    for label, name in (("Drug", drug), ("Condition", condition)):
        wanted = normalise_name(name) if name else ""
        similar = (
            [found for found in suggest_names(database, label, wanted) if found != wanted] if len(wanted) > 2 else []
        )
        if similar:
            console.print(f"{label.lower()}s with a similar name: {', '.join(map(inert, similar))}", markup=False)
