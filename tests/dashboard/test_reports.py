"""Reports of wrong mentions: by a plain form of ours alone, within limits, and nothing else may be written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from comention.errors import DatabaseError
from dashboard.forms import Tickets
from storage.database import Database, parse_url
from storage.reading import Reader
from tests.builders import citation
from tests.dashboard.conftest import browse, text_of
from tests.dashboard.made import annotate_words, store

SENTENCE = 700_001
MENTION = "0-9-1-Drug"
CALL = "SELECT analysis.report_mention(700001, 1, 'Drug', 0, 9, 'other', %s)"


@pytest.fixture
def reported(database: Database, database_address: str) -> Iterator[TestClient]:
    store(database, [citation(7, ["Clozapine caused agranulocytosis.", "Nothing else."])])
    annotate_words(database, {"Drug": ["clozapine"], "Condition": ["agranulocytosis"]})
    with browse(database_address) as client:
        yield client


def ticket_of(client: TestClient) -> str:
    found = re.search(r'name="ticket" value="([^"]+)"', client.get(f"/report?sentence={SENTENCE}").text)
    assert found is not None
    return found[1]


def fields(client: TestClient, **changes: str) -> dict[str, str]:
    return {
        "sentence": str(SENTENCE), "mention": MENTION, "reason": "wrong span", "comment": "", "ticket": ticket_of(client),
        **changes,
    }  # fmt: skip


def stored(database: Database) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        rows = connection.execute(
            text("SELECT pmid, sentence_id, annotator, label, text, reason, comment FROM analysis.mention_report")
        )
        return [tuple(row) for row in rows]


def test_a_report_is_stored_once_and_seen_by_analysts(reported: TestClient, database: Database) -> None:
    for _ in range(2):
        answer = reported.post("/report", data=fields(reported, comment="it’s a <b>dose</b>\r\nreally"))
        assert answer.status_code == 303
    row = (7, SENTENCE, "words", "Drug", "Clozapine", "wrong span", "it’s a <b>dose</b>\nreally")
    assert stored(database) == [row]
    page = reported.get(answer.headers["location"])
    assert "Your report is stored" in text_of(page.text)
    assert "it’s a &lt;b&gt;dose&lt;/b&gt;" in page.text


def test_each_mention_leads_to_its_report(reported: TestClient) -> None:
    links = re.findall(r'href="(/report[^"]+)"', reported.get("/citation/7").text)
    assert links == [
        f"/report?sentence={SENTENCE}&amp;mention={MENTION}",
        f"/report?sentence={SENTENCE}&amp;mention=17-32-1-Condition",
    ]
    html = reported.get(links[0].replace("&amp;", "&")).text
    assert re.search(rf'value="{MENTION}" required checked', html)
    assert f"/report?sentence={SENTENCE}" in reported.get("/pair?drug=clozapine&condition=agranulocytosis").text


@pytest.mark.parametrize(
    ("changes", "headers", "status", "said"),
    [
        ({"ticket": ""}, {}, 403, "not ours"),
        ({"ticket": "99999999999.00"}, {}, 403, "not ours"),
        ({}, {"origin": "https://evil.example"}, 403, "not ours"),
        ({}, {"sec-fetch-site": "cross-site"}, 403, "not ours"),
        ({"mention": "0-8-1-Drug"}, {}, 422, "no longer there"),
        ({"mention": ""}, {}, 422, "Choose the mention"),
        ({"reason": "boring"}, {}, 422, "Choose what is wrong"),
        ({"comment": "x" * 1001}, {}, 400, "1,001 characters long"),
        ({"comment": "a\x00b"}, {}, 400, "no text has"),
        ({"sentence": ""}, {}, 400, "names none"),
        ({"sentence": "700099"}, {}, 404, "not stored"),
        ({"sentence": "9" * 19}, {}, 400, "whole number"),
    ],
)
def test_what_is_no_report_is_refused_in_a_sentence_and_not_stored(
    reported: TestClient, database: Database, changes: dict[str, str], headers: dict[str, str], status: int, said: str
) -> None:
    answer = reported.post("/report", data=fields(reported, **changes), headers=headers)
    assert answer.status_code == status, text_of(answer.text)
    assert said in text_of(answer.text)
    assert stored(database) == []


def test_what_was_typed_is_kept_where_a_form_comes_back(reported: TestClient) -> None:
    html = reported.post("/report", data=fields(reported, ticket="", comment="my words")).text
    assert re.search(r">my words</textarea>", html)
    assert re.search(r'value="wrong span" required checked', html)


def test_thirty_reports_a_minute_are_taken_however_many_come_at_once(
    reported: TestClient, database: Database, database_address: str
) -> None:
    def send(number: int) -> str:
        with psycopg.connect(database_address) as connection:
            row = connection.execute(CALL, [f"comment {number}"]).fetchone()
            assert row is not None
            return str(row[0])

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(send, range(40)))
    assert (outcomes.count("stored"), outcomes.count("too many")) == (30, 10)
    answer = reported.post("/report", data=fields(reported))
    assert (answer.status_code, len(stored(database))) == (429, 30)
    assert "Nothing is stored" in text_of(answer.text)
    with database.transaction() as connection:
        connection.execute(text("UPDATE comention.mention_report SET reported_at = now() - interval '2 minutes'"))
    assert reported.post("/report", data=fields(reported)).status_code == 303


def test_the_function_keeps_its_limits_from_whoever_calls_it(reported: TestClient, database_address: str) -> None:
    del reported
    with psycopg.connect(database_address, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="at most 1,000"):
            connection.execute(CALL, ["x" * 1001])
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="a reason is one of"):
            connection.execute("SELECT analysis.report_mention(700001, 1, 'Drug', 0, 9, 'boring')")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg.errors.InvalidTransactionState):
            connection.execute(CALL, [""])


def test_nothing_else_may_be_written_even_where_writing_is_let(reported: TestClient, database_address: str) -> None:
    del reported
    reader = Reader(parse_url(database_address, connect_timeout=10), statement_timeout=5, connections=1)
    try:
        for statement in (
            "INSERT INTO comention.label (name) VALUES ('x') RETURNING 1",
            "DELETE FROM comention.mention_report RETURNING 1",
            "INSERT INTO analysis.mention_report (pmid) VALUES (1) RETURNING 1",
        ):
            with pytest.raises(DatabaseError, match=r"does not allow|cannot insert"), reader.writing() as writing:
                writing.value(statement)
        with pytest.raises(DatabaseError, match="READ COMMITTED"), reader.snapshot() as snapshot:
            snapshot.value("SELECT analysis.report_mention(700001, 1, 'Drug', 0, 9, 'other')")
    finally:
        reader.close()


def test_others_than_analysts_may_not_report(reported: TestClient, database_address: str) -> None:
    del reported
    with psycopg.connect(database_address) as connection:
        allowed = connection.execute(
            "SELECT has_function_privilege('public', oid, 'EXECUTE'), has_function_privilege('analyst', oid, 'EXECUTE') "
            "FROM pg_proc WHERE proname = 'report_mention'"
        ).fetchone()
    assert allowed == (False, True)


def test_a_ticket_is_good_for_its_purpose_and_its_time() -> None:
    tickets = Tickets()
    assert tickets.accepts("report", tickets.new("report"))
    assert not tickets.accepts("other", tickets.new("report"))
    assert not Tickets().accepts("report", tickets.new("report"))
    assert Tickets("a token").accepts("report", Tickets("a token").new("report"))
    assert not Tickets("a token").accepts("report", Tickets("another").new("report"))
    old = Tickets(seconds=-1)
    assert not old.accepts("report", old.new("report"))
