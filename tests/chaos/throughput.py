"""Celery beside `comention run`: the same corpus, annotator and stand-in for NCBI, by the clock and in processor time."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database, parse_url
from tests.chaos.content import Digest, differences, digests
from tests.chaos.ground import Ground, inline_settings
from tests.chaos.outcome import Outcome, same
from tests.conftest import run_command
from tests.ncbi import NcbiServer, make_articles
from tests.processes import children_of

PROCESSES = (1, 2, 4)
OVERHEAD = 0.10
QUICK = {
    "COMENTION_ANNOTATE__ANNOTATOR": "lexicon",
    "COMENTION_ANNOTATE__BATCH_CITATIONS": "64",
    "COMENTION_WORK__FETCH_BATCH": "400",
    "COMENTION_NCBI__BATCH_SIZE": "200",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Seconds of the clock, from the first request to NCBI until all is annotated, and of processor time, Postgres left out."""

    clock: float
    processor: float


def compare_with_inline(ground: Ground) -> Outcome:
    """Run the corpus in one process, then through workers with 1, 2 and 4 fetch processes."""
    citations = ground.scale.throughput_citations
    ncbi = ground.serve(make_articles(citations))
    inline, expected = _inline(ground, ncbi)
    results: list[str] = []
    wrong: list[str] = []
    ratios: list[float] = []
    for processes in PROCESSES:
        taken = _through_workers(ground, ncbi, processes, expected, wrong)
        ratios.append(taken.clock / inline.clock)
        results.append(
            f"{processes} fetch: {citations / taken.clock:,.0f}/s ({taken.clock:.1f} s, {taken.processor:.1f} s of processor)"
        )
    return Outcome(
        fault=f"throughput, {citations:,} citations",
        result=f"inline {citations / inline.clock:,.0f} citations/s ({inline.clock:.1f} s, {inline.processor:.1f} s of "
        f"processor); {'; '.join(results)}; by the clock {', '.join(f'{ratio - 1:+.0%}' for ratio in ratios)}; "
        f"tables {same(wrong)}",
        target=f"Celery takes at most {OVERHEAD:.0%} longer than inline",
        met=not wrong and ratios[0] <= 1 + OVERHEAD,
    )


def _inline(ground: Ground, ncbi: NcbiServer) -> tuple[Taken, dict[str, Digest]]:
    address = ground.new_database("inline-throughput")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    settings = {**inline_settings(address, ncbi), **QUICK}
    outcome = run_command("run", "--query", "patient", "--limit", "0", timeout=900, **settings)
    ended_at = time.monotonic()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert outcome.status == 0, outcome.stderr
    database = Database(parse_url(address, connect_timeout=10))
    found = digests(database)
    database.close()
    ground.postgres.drop_database("inline-throughput")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Taken(clock=ended_at - ncbi.requests[0].at, processor=processor), found


def _through_workers(
    ground: Ground, ncbi: NcbiServer, processes: int, expected: dict[str, Digest], wrong: list[str]
) -> Taken:
    name = f"throughput-{processes}"
    with ground.site(name, ncbi=ncbi, **QUICK) as site:
        site.workers("default", "annotate", *["fetch"] * processes)
        site.start("beat")
        site.wait_ready()
        asked = len(ncbi.requests)
        before = _processor_seconds(site.supervisors())
        site.hand_in()
        site.finish(900)
        ended_at = time.monotonic()
        processor = _processor_seconds(site.supervisors()) - before
        wrong += [f"with {processes}: {one}" for one in differences(site.database, expected)]
        site.end()
    ground.postgres.drop_database(name)
    return Taken(clock=ended_at - ncbi.requests[asked].at, processor=processor)


def _processor_seconds(pids: list[int]) -> float:
    """What processes and those that they started have used so far, in seconds."""
    ticks = 0
    for pid in [*pids, *(child for parent in pids for child in children_of(parent))]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
