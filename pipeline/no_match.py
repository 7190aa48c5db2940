"""What to tell a user whose question has an empty answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.console import stderr_console
from pipeline.show import inert

if TYPE_CHECKING:
    from storage.database import Database


def explain_no_match(database: Database, *, drug: str | None, condition: str | None) -> None:
    """Say on stderr why there is nothing to show, and what to type next."""
    from storage.queries import has_rows, suggest_names

    console = stderr_console()
    if not has_rows(database, "citation"):
        console.print("the database is empty: try `comention demo`, or `comention run FILE…`", markup=False)
        return
    if not has_rows(database, "annotation"):
        console.print("no citation is annotated yet: run `comention annotate`", markup=False)
        return
    said = " and ".join(repr(name) for name in (drug, condition) if name is not None)
    console.print(f"no sentence mentions {said} together with a match" if said else "no pair was found", markup=False)
    for label, name in (("Drug", drug), ("Condition", condition)):
        similar = suggest_names(database, label, name) if name else []
        if similar:
            console.print(f"{label.lower()}s with a similar name: {', '.join(map(inert, similar))}", markup=False)
