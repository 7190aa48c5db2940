"""25,000 citations behind a server that keeps NCBI's limits and fails in every way it knows, through four processes.

The short form, of 2,000, runs with every test; `make scale` runs the long one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from ingest.pubmed import PubMed
from ingest.rate_limit import KEYED_RATE, limiter_for
from storage.database import Database
from storage.embedded import EmbeddedValkey
from tests.conftest import ROOT, command_environment
from tests.ncbi import Fault, Faults, NcbiServer, busiest_second, make_articles
from tests.timing import Heartbeat

CITATIONS = int(os.environ.get("COMENTION_TEST_CITATIONS", "2000"))
WORKERS = 4
KEY = "0123456789abcdef" * 2
# Every fault that may pass; those that say "never" would rightly end a run.
PASSING = [fault for fault in Fault if fault not in (Fault.ECHO, Fault.NO_RECORDS)]
# Each once, and after that together 10 %. A server that trickles, or says nothing, takes the whole timeout each time.
FAULTS = Faults(
    schedule=[fault for passing in PASSING for fault in (None, passing, None)],
    probability=dict.fromkeys(PASSING, 0.1 / len(PASSING)),
    seed=11,
)


@pytest.mark.timeout(1_800)
def test_nothing_is_lost_nothing_comes_twice_and_the_limit_holds(
    database: Database, database_address: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with (
        Heartbeat() as heartbeat,
        EmbeddedValkey(tmp_path) as valkey,
        NcbiServer(make_articles(CITATIONS), faults=FAULTS, valid_keys=[KEY]) as ncbi,
    ):
        settings = ncbi.settings(api_key=KEY, batch_size=50, timeout=2.0, attempts=12, tool="comention-test")
        pubmed = PubMed(settings, limiter_for(settings, valkey.url), backoff=0.05)
        found = pubmed.search("patient")
        assert found == list(range(1, CITATIONS + 1))
        workers = []
        for share in range(WORKERS):
            task = {
                "database": database_address,
                "redis": valkey.url,
                "ncbi": {**settings.model_dump(mode="json"), "api_key": KEY},
                "pmids": found[share::WORKERS],
            }
            path = tmp_path / f"share-{share}.json"
            path.write_text(json.dumps(task))
            workers.append(
                subprocess.Popen(
                    [sys.executable, str(ROOT / "tests" / "scale_worker.py"), str(path)],
                    env=command_environment(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                )
            )
        said = [worker.communicate()[0] for worker in workers]
        assert said == [""] * WORKERS
        assert [worker.returncode for worker in workers] == [0] * WORKERS
        moments = [asked.at for asked in ncbi.requests]
        # Where the machine let nobody run, requests that were sent apart are seen together.
        assert busiest_second(moments, apart_from=heartbeat.stalls) <= KEYED_RATE
        record_property("busiest second, stalls left in", ncbi.busiest_second())
        record_property("seconds stalled", round(sum(end - begin for begin, end in heartbeat.stalls), 1))
        record_property("seconds", round(max(moments) - min(moments), 1))
        met = Counter(asked.fault for asked in ncbi.requests if asked.fault is not None)
        asked = len(ncbi.requests)
    assert set(met) == set(PASSING)
    assert sum(met.values()) > 0.08 * asked
    with database.transaction() as connection:
        stored = connection.execute(
            text("SELECT count(*), count(DISTINCT pmid), min(pmid), max(pmid) FROM comention.citation")
        )
        assert tuple(stored.one()) == (CITATIONS, CITATIONS, 1, CITATIONS)
        ledger = connection.execute(
            text(
                "SELECT count(*), sum(requested), sum(new), bool_and(status = 'done' AND "
                "requested = stored + unchanged + deleted + left_out + missing) FROM analysis.ingest_run"
            )
        )
        assert tuple(ledger.one()) == (WORKERS, CITATIONS, CITATIONS, True)
    record_property("requests", asked)
    record_property("faults", {fault.name: times for fault, times in met.items()})
