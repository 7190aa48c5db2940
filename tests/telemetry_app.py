"""A small Celery application, for a real worker process that is watched: tasks that commit, ask NCBI, and fail."""

from __future__ import annotations

import logging
import os

from celery import Celery

from comention.settings import load_settings
from ingest.pubmed import PubMed
from pipeline.observability import telemetry
from pipeline.observability.logs import about
from pipeline.progress import Progress, report

app = Celery("watched", broker=os.environ["COMENTION_REDIS__URL"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
telemetry.connect()


@app.task(name="comention.fetch")
def fetch(pmids: list[int]) -> None:
    """Ask for citations, and say so."""
    with about(pmids=pmids, annotator="lexicon"):
        records = list(PubMed(load_settings().ncbi, backoff=0.01).fetch(pmids))
        report(Progress(stage="fetch", records=len(records), seconds=0.5))


@app.task(name="comention.annotate")
def annotate() -> None:
    """Commit 48 citations."""
    report(Progress(stage="annotate", records=48, sentences=480, mentions=96, failed=1, seconds=1.5))


@app.task(name="comention.fail")
def fail(secret: str) -> None:
    """Fail with a secret in the message, and in a line of the log."""
    logging.getLogger("some.library").warning("the password is %s", secret)
    raise ValueError(f"refused {secret}")
