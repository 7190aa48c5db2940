"""`comention status --watch`: queues, backlog, rates, time left, failures, workers."""

from __future__ import annotations

import datetime as dt
import io
import os
import pty
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.entity import Queue
from sqlalchemy import text

from pipeline.overview.queue_depths import QueueDepths
from pipeline.overview.watch_view import duration
from pipeline.processes.log_lines import LinePrinter
from storage.backlog import get_backlog
from storage.database import Database
from storage.embedded import EmbeddedPostgres, EmbeddedValkey
from storage.workers import WorkerRow, list_workers, remove_workers, save_workers
from tests.analyst_database import analyst_database
from tests.conftest import COMMAND, Comention, command_environment

STARTED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def broker() -> Iterator[Celery]:
    """A broker in whose queues messages wait: four to fetch, of two priorities, and one to annotate."""
    with tempfile.TemporaryDirectory(prefix="comention-test-") as home, EmbeddedValkey(Path(home)) as server:
        celery = Celery("comention", broker=server.url, set_as_current=False)
        celery.conf.update(task_queues=[Queue(name) for name in ("fetch", "annotate", "default")])
        for queue, priority in (("fetch", 0), ("fetch", 9), ("fetch", 9), ("fetch", 9), ("annotate", 9)):
            celery.send_task("comention.sweep", queue=queue, priority=priority)
        yield celery
        celery.close()


def row(name: str = "fetch-1@here", **fields: object) -> WorkerRow:
    values: dict[str, object] = {
        "name": name,
        "kind": "worker",
        "queues": ("fetch",),
        "concurrency": 4,
        "host": "here",
        "pid": 17,
        "state": "running",
        "doing": "",
        "restarts": 0,
        "started_at": STARTED,
        "progressed_at": None,
    }
    return WorkerRow(**{**values, **fields})  # type: ignore[arg-type]


def grow_old(database: Database, name: str, seconds: int) -> None:
    with database.transaction() as connection:
        connection.execute(
            text("UPDATE comention.worker SET seen_at = now() - make_interval(secs => :seconds) WHERE name = :name"),
            {"seconds": seconds, "name": name},
        )


def test_workers_are_kept_by_name_counted_as_lost_and_forgotten(database: Database) -> None:
    save_workers(database, [row(), row("annotate-1@here")])
    save_workers(database, [row(taken=5, progressed_at=STARTED)])
    known = list_workers(database)
    assert [one.row.name for one in known] == ["annotate-1@here", "fetch-1@here"]
    assert known[1].row == row(taken=5, progressed_at=STARTED)
    assert not any(one.is_lost for one in known)
    grow_old(database, "annotate-1@here", 40)
    assert [one.is_lost for one in list_workers(database)] == [True, False]
    grow_old(database, "annotate-1@here", 4000)
    save_workers(database, [row()])
    assert [one.row.name for one in list_workers(database)] == ["fetch-1@here"]
    remove_workers(database, ["fetch-1@here"])
    assert list_workers(database) == []


def test_the_document_has_what_is_owed_how_fast_it_goes_and_when_it_ends(
    comention: Comention, database: Database, broker: Celery
) -> None:
    with database.transaction() as connection:
        connection.execute(
            text(
                "INSERT INTO comention.job (kind, source, query, priority, status, found) "
                "VALUES ('query', 'lithium', 'lithium', 0, 'fetching', 700), ('query', 'q', 'q', 9, 'failed', NULL)"
            )
        )
        job = connection.execute(text("SELECT min(id) FROM comention.job")).scalar_one()
        connection.execute(
            text(
                "INSERT INTO comention.fetch_batch (job_id, ordinal, pmids, priority, status) VALUES "
                "(:job, 1, array(SELECT generate_series(1, 400)), 0, 'done'), "
                "(:job, 2, array(SELECT generate_series(401, 700)), 0, 'waiting')"
            ),
            {"job": job},
        )
    save_workers(
        database, [row(recent_fetched=120), row("fetch-2@there", host="there", recent_fetched=60), row("gone")]
    )
    grow_old(database, "gone", 100)
    look = comention("status", "--watch", "--json", COMENTION_REDIS__URL=broker.conf.broker_url).document
    assert look["queues"] == {"fetch": 4, "annotate": 1, "default": 0}
    assert look["backlog"]["to_fetch"] == 300
    assert (look["backlog"]["jobs_open"], look["backlog"]["jobs_failed"]) == (1, 1)
    assert look["backlog"]["jobs"] == [
        {
            "job_id": job, "kind": "query", "source": "lithium", "status": "fetching", "detail": None,
            "found": 700, "fetched": 400,
        }
    ]  # fmt: skip
    assert look["rates"]["fetched"] == 3
    assert look["seconds_to_fetch"] == 100
    assert [worker["lost"] for worker in look["workers"]] == [False, False, True]
    shown = comention("status", "--watch", COMENTION_REDIS__URL=broker.conf.broker_url).stdout
    for expected in ("300", "1 min 40 s", "lithium", "fetch on there", "not heard of for 1 min"):
        assert expected in shown


def test_annotators_are_shown_with_what_they_owe(postgres: EmbeddedPostgres, template: str) -> None:
    with analyst_database(postgres, template, "watched") as (_, database):
        with database.transaction() as connection:
            connection.execute(text("DELETE FROM comention.annotation WHERE pmid = 101"))
        backlog = get_backlog(database)
        promoted = next(one for one in backlog.annotators if one.promoted)
        assert promoted.owed >= 1
        assert promoted.done + promoted.owed + promoted.given_up == backlog.citations


def test_a_broker_that_is_not_there_is_said_and_hinders_nothing(comention: Comention) -> None:
    with QueueDepths("redis://127.0.0.1:9/0") as depths:
        assert depths.wait(10) is None
        assert depths.waiting(["fetch"]) is None
    outcome = comention("status", "--watch", COMENTION_REDIS__URL="redis://127.0.0.1:9/0")
    assert outcome.status == 0
    assert "no broker" in outcome.stdout
    assert "no worker runs: start `comention up`" in outcome.stdout
    assert (
        comention("status", "--watch", "--json", COMENTION_REDIS__URL="redis://127.0.0.1:9/0").document["queues"]
        is None
    )


def test_a_terminal_is_drawn_again_and_again_until_ctrl_c(
    database: Database, database_address: str, broker: Celery
) -> None:
    leader, follower = pty.openpty()
    settings = {"COMENTION_DATABASE__URL": database_address, "COMENTION_REDIS__URL": str(broker.conf.broker_url)}
    with subprocess.Popen(
        [*COMMAND, "status", "--watch", "--every", "0.1"],
        env={**command_environment(**settings), "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(follower)
        shown = read_until(leader, "no worker runs")
        save_workers(database, [row(doing="fetch")])
        shown = read_until(leader, "running")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(leader)
    assert "fetch" in shown


def read_until(terminal: int, wanted: str) -> str:
    """Read what is drawn until something is seen; the time limit of the test is the limit."""
    seen = ""
    while wanted not in seen:
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


def test_durations_are_said_in_two_units_at_most() -> None:
    cases = {None: "?", 0: "0 s", 59.6: "1 min", 61: "1 min 1 s", 7200: "2 h", 90061: "1 d 1 h"}
    assert {seconds: duration(seconds) for seconds in cases} == cases


def test_a_terminal_that_was_closed_does_not_end_what_prints_to_it() -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        printer = LinePrinter(["fetch"], stream)
        printer.say("fetch", "seen")
        os.close(leader)
        printer.say("fetch", "not seen")
        # What stays in the stream's buffer would be written again when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_lines_of_processes_are_printed_whole_and_behind_their_names() -> None:
    stream = io.StringIO()
    printer = LinePrinter(["fetch", "annotate"], stream)
    printer.write("fetch", b"one\ntw")
    printer.write("annotate", "né".encode() + b"\xff\n\n")
    printer.write("fetch", b"o\n")
    printer.write("fetch", b"rest")
    printer.write("fetch", b"")
    assert stream.getvalue().splitlines() == [
        "fetch    │ one",
        "annotate │ né\ufffd",
        "fetch    │ two",
        "fetch    │ rest",
    ]
