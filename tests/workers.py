"""Real Celery workers on a real Valkey and Postgres, for tests: started, killed, stopped, and looked at from outside."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from celery import Celery
from redis import Redis
from sqlalchemy import text

from comention.settings import Settings
from pipeline.app import make_app
from pipeline.workers.doorbell import Doorbell
from pipeline.workers.jobs import hand_in_query
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.jobs import BACKFILL
from tests.conftest import ROOT, command_environment
from tests.forked import Forks
from tests.ncbi import NcbiServer

LEASE = 2.0
CITATIONS = 400
KEY = "0123456789abcdef" * 2
SLOW = {"COMENTION_ANNOTATE__ANNOTATOR": "slow"}

CONTENT = {
    "citation": "SELECT pmid, title, abstract, retracted FROM analysis.citation ORDER BY pmid",
    "sentence": "SELECT sentence_id, section, start_char, end_char, text FROM analysis.sentence ORDER BY sentence_id",
    "mention": "SELECT sentence_id, label, start_char, end_char, name, concept, score FROM analysis.mention "
    "ORDER BY sentence_id, start_char, end_char, label",
    "cooccurrence": "SELECT drug, condition, sentence_count, citation_count, first_year, last_year, npmi "
    "FROM analysis.cooccurrence ORDER BY drug, condition",
    "ledger": "SELECT pmid, status, mention_count, attempts FROM comention.annotation ORDER BY pmid",
    "claims": "SELECT pmid FROM comention.annotation_claim",
    "accounts": "SELECT sum(requested) = sum(read), sum(new) FROM comention.ingest_run WHERE status = 'done'",
}


def content(database: Database) -> dict[str, object]:
    with database.transaction() as connection:
        return {name: [tuple(row) for row in connection.execute(text(query))] for name, query in CONTENT.items()}


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait for a condition and return how long it took; fail where it does not come."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise AssertionError(f"after {seconds:.0f} s still not: {what}")
        time.sleep(0.02)
    return time.monotonic() - began


class Worker:
    """One Celery worker process."""

    def __init__(
        self, forks: Forks, name: str, app: str, arguments: list[str], environment: dict[str, str], log: Path
    ) -> None:
        self.log = log
        self._stream = log.open("ab")
        if arguments[0] != "beat":
            arguments = ["worker", "--without-gossip", "--without-mingle", "--without-heartbeat", *arguments]
            arguments += ["--hostname", f"{name}@test", "--loglevel", "INFO"]
        command = ["celery", "-A", app, *arguments]
        self.process = forks.start(command, environment, self._stream.fileno(), self._stream.fileno(), folder=ROOT)

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return what the process ended with."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def said(self) -> str:
        """What it has written."""
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self._stream.close()


class Plant:
    """A Valkey, workers on it, and the database and NCBI that they work with."""

    def __init__(
        self, forks: Forks, folder: Path, address: str, database: Database, ncbi: NcbiServer, **settings: str
    ) -> None:
        self._forks = forks
        self.folder = folder
        self.database = database
        self.ncbi = ncbi
        self._valkey = EmbeddedValkey(folder / "valkey")
        self._settings = {
            "COMENTION_DATABASE__URL": address,
            "COMENTION_NCBI__BASE_URL": ncbi.base_url,
            "COMENTION_NCBI__EMAIL": "someone@example.org",
            "COMENTION_NCBI__API_KEY": KEY,
            "COMENTION_NCBI__BATCH_SIZE": "200",
            "COMENTION_WORK__LEASE_SECONDS": str(LEASE),
            "COMENTION_WORK__SWEEP_SECONDS": "1",
            "COMENTION_WORK__FETCH_BATCH": "50",
            "COMENTION_ANNOTATE__BATCH_CITATIONS": "16",
            "COMENTION_HOME": str(folder / "home"),
            **settings,
        }
        self.workers: list[Worker] = []

    def __enter__(self) -> Plant:
        self._valkey.start()
        self.redis = Redis.from_url(self._valkey.redis_url)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.close()
        self.redis.close()
        self._valkey.stop()
        if kind is not None:
            for worker in self.workers:
                sys.stderr.write(f"--- {worker.log.name}\n{worker.said()[-4000:]}\n")

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the workers, as environment variables."""
        return {**self._settings, "COMENTION_REDIS__URL": self._valkey.url}

    @property
    def app(self) -> Celery:
        """The application, as in a process beside the workers."""
        environment = os.environ.copy()
        try:
            os.environ.update(self.settings)
            return make_app(Settings())
        finally:
            os.environ.clear()
            os.environ.update(environment)

    @property
    def doorbell(self) -> Doorbell:
        """Who sends messages beside the workers."""
        return Doorbell(self.app)

    def start(self, queues: str, *, threads: int = 2, app: str = "pipeline.app", **settings: str) -> Worker:
        """Start a worker of some queues, or ``beat``."""
        name = f"{queues.replace(',', '-')}-{len(self.workers)}"
        environment = command_environment(**{**self.settings, **settings})
        if queues == "beat":
            arguments = ["beat", "--schedule", str(self.folder / f"{name}.schedule"), "--loglevel", "INFO"]
        else:
            arguments = ["--queues", queues, "--pool", "threads", "--concurrency", str(threads)]
        worker = Worker(self._forks, name, app, arguments, environment, self.folder / f"{name}.log")
        self.workers.append(worker)
        return worker

    def count(self, table: str, where: str = "true") -> int:
        """Count rows of the private schema."""
        with self.database.transaction() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM comention.{table} WHERE {where}")).scalar_one())

    def hand_in(self, query: str = "patient", priority: int = BACKFILL) -> int:
        """Hand a query in, as the command line does, and return its number."""
        number = hand_in_query(self.database, query, priority=priority)
        self.doorbell.job(number, "query", priority)
        return number

    def finish(self, job_id: int, seconds: float = 60) -> float:
        """Wait until a job is done and all annotated, and return how long that took."""
        return wait_until(lambda: self.is_done(job_id), seconds, f"job {job_id} done")

    def is_done(self, job_id: int) -> bool:
        """Whether a job is fetched, and all that is stored annotated."""
        return (
            self.count("job", f"id = {job_id} AND status = 'done'") == 1
            and self.count("annotator") > 0
            and self.count("owed") == 0
        )
