"""A worker of `test_scale`: fetches the PMIDs of a file and stores them; a process of its own, given a JSON file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from comention.settings import NcbiSettings
from ingest.pubmed import PubMed
from ingest.rate_limit import limiter_for
from ingest.sentences import RuleSplitter
from pipeline.stages.ingest_stage import ingest_pmids
from storage.database import Database, parse_url


def main() -> None:
    """Fetch, store, and print why that failed, or nothing."""
    task = json.loads(Path(sys.argv[1]).read_text())
    settings = NcbiSettings.model_validate(task["ncbi"])
    database = Database(parse_url(task["database"], connect_timeout=10))
    pubmed = PubMed(settings, limiter_for(settings, task["redis"]), backoff=0.05)
    report = ingest_pmids(database, pubmed, task["pmids"], RuleSplitter())
    sys.stdout.write(report.failure or "")
    database.close()


if __name__ == "__main__":
    main()
