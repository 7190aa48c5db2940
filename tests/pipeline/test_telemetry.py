"""A real worker on a real Valkey: what it did is in its metrics, its log and its traces."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from storage.citations import save_citations
from storage.database import Database
from storage.embedded import EmbeddedValkey
from storage.runs import open_run
from tests.builders import citation
from tests.conftest import command_environment
from tests.ncbi import Fault, Faults, NcbiServer, make_articles
from tests.processes import service

SECRET = "hunter2hunter2"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.05)


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class Collector:
    """Stands in for an OpenTelemetry collector: keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"


@contextmanager
def worker(redis_url: str, log: Path, ready: Callable[[], bool], **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = command_environment(COMENTION_REDIS__URL=redis_url, COMENTION_LOG__FORMAT="json", **settings)
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tests.telemetry_app",
        "worker",
        "--pool=threads",
        "--concurrency=2",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            env=environment,
            stderr=output,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: ready() or process.poll() is not None, "the worker")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def send(redis_url: str, name: str, *arguments: object, queue: str | None = None) -> None:
    from celery import Celery

    with Celery(broker=redis_url, set_as_current=False) as sender:
        sender.send_task(name, args=arguments, queue=queue, ignore_result=True)


def test_what_a_worker_did_is_counted_logged_and_traced(tmp_path: Path) -> None:
    port, log, collector = free_port(), tmp_path / "log", Collector()
    faults = Faults(schedule=[Fault.TOO_MANY, Fault.SERVER_ERROR])
    with (
        EmbeddedValkey(tmp_path / "valkey") as valkey,
        NcbiServer(make_articles(20), faults=faults) as ncbi,
        worker(
            valkey.url,
            log,
            lambda: bool(scrape(port)),
            COMENTION_METRICS__PORT=str(port),
            COMENTION_TRACING__ENDPOINT=collector.endpoint,
            COMENTION_NCBI__BASE_URL=ncbi.settings().base_url,
            COMENTION_NCBI__EMAIL="somebody@example.org",
            COMENTION_DATABASE__PASSWORD=SECRET,
        ),
    ):
        pmids = [article.pmid for article in make_articles(5)]
        send(valkey.url, "comention.fetch", pmids)
        send(valkey.url, "comention.annotate")
        send(valkey.url, "comention.fail", SECRET)

        def ended(task: str, state: str) -> float:
            return scrape(port).get(("comention_tasks_total", frozenset({("task", task), ("state", state)})), 0.0)

        wait_for(lambda: ended("comention.fetch", "success") == 1, "the fetch")
        wait_for(lambda: ended("comention.annotate", "success") == 1, "the annotation")
        wait_for(lambda: ended("comention.fail", "failure") == 1, "the failure")
        found = scrape(port)
    collector.server.shutdown()
    collector.server.server_close()

    def value(name: str, **labels: str) -> float:
        return found[name, frozenset(labels.items())]

    assert value("comention_records_total", stage="fetch") == 5
    assert value("comention_records_total", stage="annotate") == 48
    assert value("comention_sentences_total") == 480
    assert value("comention_mentions_total") == 96
    assert value("comention_failed_records_total", stage="annotate") == 1
    assert value("comention_batch_fill_ratio_sum", stage="annotate") == pytest.approx(48 / 64)
    assert value("comention_ncbi_requests_total", utility="efetch", outcome="429") == 1
    assert value("comention_ncbi_requests_total", utility="efetch", outcome="500") == 1
    assert value("comention_ncbi_requests_total", utility="efetch", outcome="ok") == 1
    assert value("comention_task_failures_total", task="comention.fail", error="ValueError") == 1
    assert value("comention_log_lines_total", level="warning") >= 2
    assert value("comention_log_lines_total", level="error") == 1
    assert value("comention_tasks_running", task="comention.fetch") == 0
    assert value("comention_task_seconds_count", task="comention.fetch") == 1

    written = log.read_text()
    assert SECRET not in written
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    committed = next(line for line in lines if line["event"] == "committed" and line["stage"] == "fetch")
    assert committed["task"] == "comention.fetch"
    assert committed["pmids"] == pmids
    assert committed["annotator"] == "lexicon"
    retried = next(line for line in lines if line["logger"] == "ingest.entrez")
    assert "429" in retried["event"]
    assert retried["task_id"] == committed["task_id"]
    assert any("the password is [secret]" in line["event"] for line in lines)

    traced = b"".join(collector.bodies)
    assert b"comention.fetch" in traced
    assert b"committed" in traced


def test_a_port_that_is_taken_gives_the_next_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with closing(socket.socket()) as taken, EmbeddedValkey(tmp_path / "valkey") as valkey:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with worker(
            valkey.url, log, lambda: "metrics are served" in log.read_text(), COMENTION_METRICS__PORT=str(port)
        ):
            lines = [json.loads(line) for line in log.read_text().splitlines() if "metrics are served" in line]
            assert scrape(lines[0]["port"])
        assert lines[0]["port"] > port


def test_metrics_that_cannot_be_served_do_not_stop_the_work(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        EmbeddedValkey(tmp_path / "valkey") as valkey,
        worker(
            valkey.url,
            log,
            lambda: "metrics cannot be served on 192.0.2.1" in log.read_text() and "ready" in log.read_text(),
            COMENTION_METRICS__PORT="9108",
            COMENTION_METRICS__HOST="192.0.2.1",
        ),
    ):
        send(valkey.url, "comention.annotate")
        wait_for(lambda: '"records": 48' in log.read_text(), "the annotation")


def test_the_worker_that_is_deployed_says_what_it_did(
    database: Database, database_address: str, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    with open_run(database, kind="file", source="t", source_key="t") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, [citation(pmid) for pmid in range(1, 31)])
    with (
        EmbeddedValkey(tmp_path / "valkey") as valkey,
        service(
            log,
            *("worker", "--queues", "annotate,default"),
            COMENTION_DATABASE__URL=database_address,
            COMENTION_DATABASE__PASSWORD=SECRET,
            COMENTION_REDIS__URL=valkey.url,
            COMENTION_METRICS__PORT=str(port),
            COMENTION_LOG__FORMAT="json",
            COMENTION_ANNOTATE__BATCH_CITATIONS="20",
        ) as started,
    ):
        started.says("ready.")
        send(valkey.url, "comention.annotate", "lexicon", queue="annotate")
        annotated = ("comention_records_total", frozenset({("stage", "annotate")}))
        wait_for(lambda: scrape(port).get(annotated) == 30, "the annotation")
        found = scrape(port)
        assert found["comention_sentences_total", frozenset()] == 60
        assert found["comention_batch_fill_ratio_sum", frozenset({("stage", "annotate")})] == pytest.approx(1.5)
        assert started.end() == 0
    # Celery says by itself, in plain words, that it shuts down.
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    assert {"timestamp", "level", "event", "logger"} <= set.intersection(*(set(line) for line in lines))
    taken = [line for line in lines if line["event"] == "annotating"]
    assert {line["pmid_count"]: line["pmids"] for line in taken} == {20: "1–20", 10: list(range(21, 31))}
    committed = [line for line in lines if line["event"] == "committed" and line["stage"] == "annotate"]
    assert sorted(line["records"] for line in committed) == [10, 20]  # two threads commit in either order
    for line in (*taken, *committed):
        assert (line["task"], line["annotator"]) == ("comention.annotate", "lexicon")
    assert any(line["logger"] == "comention.supervisor" for line in lines)
    assert SECRET not in log.read_text()
