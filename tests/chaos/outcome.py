"""A line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a fault. ``met`` is ``None`` where it could not be tried; ``result`` says why."""

    fault: str
    result: str
    target: str
    met: bool | None


def same(wrong: Sequence[str]) -> str:
    """Say whether the tables are those of an undisturbed run."""
    return "identical" if not wrong else "; ".join(wrong)


def as_text(outcome: Outcome) -> str:
    """Return a line of the table, over several lines of text."""
    met = {True: "met", False: "MISSED", None: "not tried"}[outcome.met]
    return f"{outcome.fault}\n    result: {outcome.result}\n    target: {outcome.target}: {met}\n"
