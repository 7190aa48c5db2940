"""Break everything that workers stand on, and see that nothing is lost and nothing done twice.

    python -m tests.chaos [--only ROW …] [--kills N] [--citations N] [--short]

Real servers, real ``comention worker`` and ``beat`` processes, the stand-in for NCBI, and an annotator of a short list of
words that takes its time, so that faults meet work in hand. After each fault the tables are compared, as ordered
checksums, with those of one undisturbed ``comention run``. Leases, sweeps and limits are the product's own, with
``--short`` some seconds, and the corpus small. Exit status 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.chaos.disk import fill_disk
from tests.chaos.doubles import double_everything
from tests.chaos.ground import Ground
from tests.chaos.kills import kill_workers
from tests.chaos.outcome import Outcome, as_text
from tests.chaos.poison import meet_poison
from tests.chaos.scale import LONG, SHORT
from tests.chaos.servers import lose_postgres, lose_redis
from tests.chaos.throughput import compare_with_inline
from tests.chaos.wedged import stop_workers

ROWS: dict[str, Callable[[Ground], Outcome]] = {
    "kills": kill_workers,
    "redis": lose_redis,
    "postgres": lose_postgres,
    "doubles": double_everything,
    "poison": meet_poison,
    "wedged": stop_workers,
    "disk": fill_disk,
    "throughput": compare_with_inline,
}


def _try(row: str, ground: Ground) -> Outcome:
    """Try a row; one whose work never comes to its end has missed its target."""
    began, load = time.monotonic(), os.getloadavg()[0]
    sys.stderr.write(f"{row} …\n")
    try:
        outcome = ROWS[row](ground)
    except AssertionError as error:
        outcome = Outcome(fault=row, result=str(error), target="comes to its end", met=False)
    took = f"; the row took {time.monotonic() - began:.0f} s, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    return replace(outcome, result=outcome.result + took)


def main() -> int:
    """Print the table; 0 where every target that could be tried is met."""
    parser = argparse.ArgumentParser(description="Break everything that workers stand on.")
    parser.add_argument("--only", choices=tuple(ROWS), nargs="+", default=tuple(ROWS))
    parser.add_argument("--kills", type=int)
    parser.add_argument("--citations", type=int)
    parser.add_argument("--short", action="store_true", help="few citations and kills, leases of seconds")
    arguments = parser.parse_args()
    scale = SHORT if arguments.short else LONG
    scale = replace(scale, kills=arguments.kills or scale.kills, citations=arguments.citations or scale.citations)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # in the background of a script they may be ignored, and nothing be cleaned up
        signal.signal(number, signal.default_int_handler)
    os.environ["no_proxy"] = "127.0.0.1,localhost"
    outcomes = []
    with (
        tempfile.TemporaryDirectory(prefix="comention-chaos-", ignore_cleanup_errors=True) as folder,
        Ground(Path(folder), scale) as ground,
    ):
        for row in arguments.only:
            outcomes.append(_try(row, ground))
            sys.stdout.write(as_text(outcomes[-1]))
            sys.stdout.flush()
    return 1 if any(outcome.met is False for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
