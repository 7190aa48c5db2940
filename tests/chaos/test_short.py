"""Rows of `make chaos` with few citations, few kills and short leases: each fault leaves what nobody disturbed leaves.

The other rows, as short, are those of `python -m tests.chaos --short`; what they break, `tests/pipeline` breaks too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.ground import Ground
from tests.chaos.kills import kill_workers
from tests.chaos.outcome import Outcome
from tests.chaos.scale import SHORT
from tests.chaos.servers import lose_postgres, lose_redis
from tests.conftest import fast_folder


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Servers for all rows; Postgres is killed among them."""
    with (
        tempfile.TemporaryDirectory(prefix="comention-test-", dir=fast_folder(), ignore_cleanup_errors=True) as folder,
        Ground(Path(folder), SHORT) as started,
    ):
        yield started


@pytest.mark.parametrize("row", [kill_workers, lose_postgres, lose_redis])
def test_a_fault_leaves_what_nobody_disturbed_leaves(ground: Ground, row: Callable[[Ground], Outcome]) -> None:
    outcome = row(ground)
    assert outcome.met, outcome.result
