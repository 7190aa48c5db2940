"""The requests that were sent to NCBI, and what became of each, told to whoever counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "no answer", "complaint", "refused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request.

    ``outcome`` is ``ok``; or the HTTP status of an error that may pass, such as ``429``; ``no answer``; ``complaint``, where
    a 200 held no usable answer; ``refused``, where the same request would be refused again.
    """

    utility: str
    outcome: str


listeners: list[Callable[[Attempt], None]] = []
"""Called in order, in the thread that sent the request."""


def report(attempt: Attempt) -> None:
    """Tell all who listen."""
    for listener in listeners:
        listener(attempt)
