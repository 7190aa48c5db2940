"""Writers and readers at once, through the functions of the product: no error, no deadlock, no drift."""

from __future__ import annotations

import pytest

from benchmarks.store_soak import soak


@pytest.mark.timeout(240)
def test_writers_and_readers_at_once_end_without_error_deadlock_or_drift(database_address: str) -> None:
    soaked = soak(database_address, 20)
    assert soaked.errors == []
    assert (soaked.deadlocks, soaked.drift, soaked.wrong_mentions) == (0, 0, 0)
    assert {"write: annotate", "write: revise", "write: withdraw", "read: evidence"} <= set(soaked.done)
