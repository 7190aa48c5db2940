"""Measurements of time in tests."""

from __future__ import annotations

from collections.abc import Callable


def on_a_calm_machine(measure: Callable[[], None], rounds: int = 4) -> None:
    """Repeat a measurement that whatever else runs may disturb; a limiter that is wrong is wrong every time."""
    for last in (False,) * (rounds - 1) + (True,):
        try:
            measure()
        except AssertionError:
            if last:
                raise
        else:
            return
