"""The page of operations: what goes on, what is owed and what failed, as an analyst may see it."""

from __future__ import annotations

import datetime as dt
import re
import threading

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from dashboard.held import Held
from storage.database import Database
from storage.workers import WorkerRow, save_workers
from tests.builders import citation
from tests.dashboard.conftest import browse, text_of
from tests.dashboard.made import annotate_words, store


def spaced(html: str) -> str:
    """What a page says, with a space between the cells of a table."""
    return text_of(re.sub(r"</t[hd]>|</d[td]>|<br>", " ", html))


def section(html: str, name: str) -> str:
    found = re.search(rf'<h2 id="{name}">.*?(?=<h2|</main>)', html, re.DOTALL)
    assert found is not None
    return spaced(found[0])


def test_a_filled_database_shows_what_is_stored_and_owed(filled: TestClient) -> None:
    html = filled.get("/operations").text
    # The new one was read by the first annotator alone.
    assert re.search(r"cautious 20 0 1 0 0 52", section(html, "backlog"))
    assert "lithium lithium[tiab] 6h 2026-01-01 00:00 UTC running" in section(html, "subscriptions")
    assert "annotated 21" in section(html, "coverage")
    assert "expected 1" in section(html, "coverage")
    assert "PMIDs known 22" in spaced(html)


def test_workers_jobs_and_what_was_given_up_are_shown(database: Database, database_address: str) -> None:
    store(database, [citation(7)])
    annotate_words(database, {"Drug": ["clozapine"], "Condition": []})
    now = dt.datetime.now(dt.UTC)
    worker = WorkerRow(
        name="annotate@<b>host</b>", kind="worker", queues=("annotate",), concurrency=1, host="h", pid=1, state="running",
        doing="annotates", restarts=2, started_at=now, progressed_at=now, failed=3, recent_annotated=120, recent_sentences=900,
    )  # fmt: skip
    beat = WorkerRow(
        name="beat@h", kind="beat", queues=(), concurrency=1, host="h", pid=2, state="running", doing="", restarts=0,
        started_at=now, progressed_at=None, recent_annotated=5,
    )  # fmt: skip
    save_workers(database, [worker, beat])
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.worker SET seen_at = now() - interval '1 min' WHERE kind = 'beat'"))
        connection.execute(
            text(
                "UPDATE comention.annotation SET status = 'failed', attempts = 3, detail = 'a <script>reason</script>'"
            )
        )
        connection.execute(
            text(
                "INSERT INTO comention.job (kind, source, priority, status, found) "
                "VALUES ('query', 'lithium[tiab]', 0, 'fetching', 50)"
            )
        )
    with browse(database_address) as client:
        html = client.get("/operations").text
    assert re.search(r"annotate@<b>host</b> annotates running annotate 0 120 3 2", section(html, "workers"))
    assert "beat@h lost" in section(html, "workers")
    assert "Annotated 120 / min" in spaced(html)
    assert "To fetch 50 1 open job" in spaced(html)
    assert "query lithium[tiab] fetching" in section(html, "jobs")
    assert "citation 7, by words 3" in section(html, "failures")
    assert "a <script>reason</script>" in section(html, "failures")
    assert "<script>reason" not in html


def test_an_empty_database_says_what_to_type_in_each_part(empty: TestClient) -> None:
    html = empty.get("/operations").text
    assert "The database is empty" in spaced(html)
    for name, said in (
        ("workers", "comention up"),
        ("backlog", "comention annotate"),
        ("subscriptions", "comention subscribe"),
        ("jobs", "--queue"),
        ("failures", "Nothing was given up"),
    ):
        assert said in section(html, name)


def test_counting_that_takes_too_long_leaves_the_rest_of_the_page(filled_address: tuple[str, Database]) -> None:
    address, database = filled_address
    with browse(address, statement_timeout=1.0) as client, database.transaction() as connection:
        connection.execute(text("LOCK TABLE comention.deleted_citation"))
        html = client.get("/operations").text
    assert "took longer than a question may" in section(html, "coverage")
    assert "lexicon" in section(html, "backlog")


def test_a_held_value_is_made_once_for_all_who_come_together() -> None:
    made: list[int] = []
    first_in, go_on = threading.Event(), threading.Event()

    def make() -> int:
        made.append(len(made))
        first_in.set()
        assert go_on.wait(10)
        return made[-1]

    held = Held(make, seconds=60)
    got: list[int] = []
    readers = [threading.Thread(target=lambda: got.append(held.get().value)) for _ in range(4)]
    for reader in readers:
        reader.start()
    assert first_in.wait(10)
    go_on.set()
    for reader in readers:
        reader.join(10)
    assert (made, got) == ([0], [0, 0, 0, 0])


def test_a_held_value_that_could_not_be_made_is_tried_again() -> None:
    answers = iter([ValueError("no"), 1])

    def make() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    held = Held(make, seconds=60)
    with pytest.raises(ValueError, match="no"):
        held.get()
    assert held.get().value == 1
