"""A page is made again when something was written, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from jinja2 import Template
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from dashboard.unchanged import LARGEST_BYTES, Answer, KeptAnswers, Unchanged
from storage.database import Database
from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.dashboard.conftest import browse


@pytest.fixture
def written(postgres: EmbeddedPostgres, template: str) -> Iterator[tuple[TestClient, Database]]:
    """A dashboard over a database of its own, which a test may write to."""
    with analyst_database(postgres, template, "unchanged") as (address, database), browse(address) as client:
        yield client, database


def test_a_browser_is_not_sent_what_it_has_until_somebody_writes(written: tuple[TestClient, Database]) -> None:
    client, database = written
    first = client.get("/sentences?q=clozapine")
    assert first.status_code == 200
    tag = first.headers["etag"]
    again = client.get("/sentences?q=clozapine", headers={"If-None-Match": f'"other", W/{tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE comention.citation SET retracted = NOT retracted")
    changed = client.get("/sentences?q=clozapine", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert changed.text != first.text


def test_an_uncommitted_change_is_not_shown_and_a_committed_one_is(written: tuple[TestClient, Database]) -> None:
    client, database = written
    before = client.get("/")
    with database.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM comention.cooccurrence_total")
        connection.exec_driver_sql("DELETE FROM comention.cooccurrence_delta")
        assert client.get("/").text == before.text
        assert client.get("/").text == before.text
    assert client.get("/").text != before.text


def test_packed_and_plain_answers_are_kept_apart(written: tuple[TestClient, Database]) -> None:
    client, _ = written
    for _ in range(2):
        packed = client.get("/", headers={"Accept-Encoding": "gzip"})
        plain = client.get("/", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.text == plain.text


@pytest.mark.parametrize(
    ("address", "made"),
    [("/operations", 2), ("/report?sentence={sentence}", 2), ("/sentences?q=clozapine", 1)],
    ids=["the moment", "a ticket", "nothing but the database"],
)
def test_a_page_that_says_more_than_the_database_does_is_made_for_each_reader(
    written: tuple[TestClient, Database], monkeypatch: pytest.MonkeyPatch, address: str, made: int
) -> None:
    client, database = written
    with database.transaction() as connection:
        sentence = connection.exec_driver_sql("SELECT min(sentence_id) FROM analysis.mention").scalar_one()
    application = client.app
    assert isinstance(application, FastAPI)
    environment = application.state.environment
    drawn: list[str] = []
    get_template = environment.get_template

    def counted(name: str, *inherited: object) -> Template:
        if not inherited:  # neither what a page is built on nor what it is built of
            drawn.append(name)
        found: Template = get_template(name, *inherited)
        return found

    monkeypatch.setattr(environment, "get_template", counted)
    answers = [client.get(address.format(sentence=sentence)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(drawn) == made
    assert [("no-store" in answer.headers["cache-control"], "etag" in answer.headers) for answer in answers] == [
        (made == 2, made == 1)
    ] * 2


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("x", headers={"Cache-Control": "no-store"}),
        HTMLResponse("x", headers={"Set-Cookie": "a=b"}),
        HTMLResponse("x", status_code=404),
        PlainTextResponse("x"),
    ],
)
def test_what_depends_on_more_than_the_address_is_made_each_time(answer: Response) -> None:
    made = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        made += 1
        await answer(scope, receive, send)

    client = TestClient(Unchanged(app, state=lambda: "same"))
    for _ in range(3):
        assert client.get("/").content == b"x"
    assert made == 3


@pytest.mark.parametrize("size", [LARGEST_BYTES, LARGEST_BYTES + 1])
def test_an_answer_that_is_too_large_is_passed_on_whole(size: int) -> None:
    made = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal made
        made += 1
        await HTMLResponse(b"x" * size)(scope, receive, send)

    client = TestClient(Unchanged(app, state=lambda: "same"))
    assert [len(client.get("/").content) for _ in range(3)] == [size] * 3
    assert made == (1 if size <= LARGEST_BYTES else 3)


def test_the_least_used_is_forgotten_first_and_everything_with_a_change() -> None:
    kept = KeptAnswers(room=10)
    for name in "abc":
        kept.keep("s", name, Answer([], b"1234", name))
        kept.get("s", "a")
    assert [kept.get("s", name) is not None for name in "abc"] == [True, False, True]
    kept.keep("t", "d", Answer([], b"1", "d"))
    assert [kept.get("t", name) is not None for name in "acd"] == [False, False, True]
    assert kept.get("s", "a") is None
