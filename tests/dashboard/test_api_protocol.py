"""How the API speaks HTTP: methods, what has not changed, problems, limits, tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from dashboard.api.limits import CLIENTS, RateLimiter, client_of
from storage.annotators import promote_annotator
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.dashboard.conftest import browse

TOKEN = "correct horse battery staple"
DRUG = "/api/v1/drug?name=lithium"
KEPT = (
    DRUG,
    "/api/v1/status",
    "/api/v1/citation/110",
    "/api/v1/citation/110/document?format=pubtator",
    "/api/v1/citation/110/document?format=bioc-xml",
)


@pytest.fixture(scope="module")
def api(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    with browse(filled_address[0], api_per_minute=0) as client:
        yield client


@pytest.fixture(scope="module")
def locked(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    with browse(filled_address[0], token=TOKEN) as client:
        yield client


def assert_problem(client: TestClient, answer: object, status: int, kind: str) -> dict[str, object]:
    """An answer is a problem of a kind, and the address of its type leads to what it means."""
    from httpx2 import Response

    assert isinstance(answer, Response)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    found: dict[str, object] = answer.json()
    assert (found["status"], found["type"]) == (status, f"/api/v1/problems#{kind}")
    assert found["title"]
    assert found["detail"]
    assert str(found["instance"]).startswith("/api")
    assert answer.headers["x-content-type-options"] == "nosniff"
    return found


def test_every_kind_of_problem_is_listed_with_its_meaning(api: TestClient) -> None:
    listed = {one["name"]: one for one in api.get("/api/v1/problems").json()["problems"]}
    assert {"unknown-name", "bad-parameter", "too-many-requests", "timeout"} <= listed.keys()
    assert all(one["meaning"] for one in listed.values())


@pytest.mark.parametrize("address", KEPT)
def test_head_is_get_without_the_body(api: TestClient, address: str) -> None:
    whole, head = api.get(address), api.head(address)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "etag", "cache-control", "content-length"):
        assert head.headers.get(name) == whole.headers.get(name), name
    assert api.head("/api/v1/drug?name=none").status_code == 404
    assert api.head("/drug?name=lithium").status_code == 200


def test_options_names_what_may_be_done(api: TestClient) -> None:
    for address in (DRUG, "/api/v1/citation/1/document", "/api/v1/openapi.json"):
        answer = api.options(address)
        assert (answer.status_code, answer.headers["allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert_problem(api, api.options("/api/v1/nothing"), 404, "unknown-address")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"])
def test_nothing_but_reading_is_done(api: TestClient, method: str) -> None:
    answer = api.request(method, "/api/v1/status")
    assert_problem(api, answer, 405, "method")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    "address",
    ["/api/", "/api/v1", "/api/v1/", "/api/v2/drug", "/api/v1/drug/", "/api/v1/citation", "/api/v1/citation/1%0A2"],
)
def test_other_addresses_are_problems_and_no_pages(api: TestClient, address: str) -> None:
    assert_problem(api, api.get(address, headers={"Accept": "text/html"}), 404, "unknown-address")


@pytest.mark.parametrize(
    ("address", "parameter"),
    [
        ("drug", "name"),
        ("drug?name=", "name"),
        ("drug?name=x%00", "name"),
        ("drug?name=x&frm=2000", "frm"),
        ("drug?name=x&from=soon", "from"),
        ("drug?name=x&from=", "from"),
        ("drug?name=x&from=2000&to=1999", "from"),
        ("drug?name=x&from=2000&from=2001", "from"),
        ("drug?name=x&score=nan", "score"),
        ("drug?name=x&sort=rank", "sort"),
        ("drug?name=x&limit=201", "limit"),
        ("drug?name=x&page=2", "page"),
        (f"drug?name={'x' * 301}", "name"),
        ("sentences?q=x&score=0.5", "score"),
        ("coverage", "pmid"),
        ("coverage?pmid=0", "pmid"),
        ("coverage?" + "&".join(["pmid=1"] * 101), "pmid"),
        ("citation/0", "pmid"),
        ("citation/99999999999", "pmid"),
        ("citation/1/document?format=pdf", "format"),
        ("citation/1/document", "format"),
        ("status?x=1", "x"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(api: TestClient, address: str, parameter: str) -> None:
    found = assert_problem(api, api.get(f"/api/v1/{address}"), 422, "bad-parameter")
    assert [one["parameter"] for one in found["errors"]] == [parameter]  # type: ignore[attr-defined]


def test_what_has_not_changed_is_not_sent_again(postgres: EmbeddedPostgres, template: str) -> None:
    with analyst_database(postgres, template, "unchanged_api") as (address, database), browse(address) as client:
        tags = {one: client.get(one).headers["etag"] for one in KEPT}
        for one, tag in tags.items():
            for asked in (tag, f'"other", W/{tag}', "*"):
                again = client.get(one, headers={"If-None-Match": asked})
                assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), one
                assert again.headers["cache-control"] == "private, no-cache"
        with database.transaction() as connection:
            connection.exec_driver_sql("UPDATE comention.name SET text = 'lithia' WHERE text = 'lithium'")
            connection.exec_driver_sql("UPDATE comention.citation SET retracted = NOT retracted")
        promote_annotator(database, 2)
        for one, tag in tags.items():
            changed = client.get(one.replace("lithium", "lithia"), headers={"If-None-Match": tag})
            assert changed.status_code == 200, one
            assert changed.headers["etag"] != tag, one


def test_what_is_too_large_is_refused(api: TestClient) -> None:
    assert_problem(api, api.request("GET", DRUG, content=b"x" * 20_000), 413, "too-large")
    assert_problem(api, api.request("GET", DRUG, content=iter([b"x"] * 20_000)), 413, "too-large")
    assert_problem(api, api.get("/api/v1/drug", params={"name": "x" * 9_000}), 414, "address-too-long")
    assert_problem(api, api.get(DRUG, headers={"Host": "evil.example"}), 421, "foreign-host")


def test_the_token_is_sent_with_each_request_and_no_page_asks_for_it(locked: TestClient) -> None:
    for headers in ({}, {"Accept": "text/html"}, {"Authorization": "Bearer no"}, {"Authorization": f"Basic {TOKEN}"}):
        refused = locked.get(DRUG, headers=headers)
        assert_problem(locked, refused, 401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
    assert_problem(locked, locked.get("/api/v1/openapi.json"), 401, "unauthorized")
    let_in = {"Authorization": f"Bearer {TOKEN}"}
    first = locked.get(DRUG, headers=let_in)
    assert first.status_code == 200
    assert "set-cookie" not in first.headers
    assert locked.get(DRUG, headers={**let_in, "If-None-Match": first.headers["etag"]}).status_code == 304
    assert_problem(locked, locked.get(DRUG, headers={"If-None-Match": first.headers["etag"]}), 401, "unauthorized")
    assert locked.get("/api/v1/openapi.json", headers=let_in).json()["security"] == [{"token": []}]


def test_a_client_that_asks_too_often_is_told_when_to_come_again(filled_address: tuple[str, Database]) -> None:
    with browse(filled_address[0], api_per_minute=6, api_burst=3) as client:
        assert [client.get(DRUG).status_code for _ in range(3)] == [200, 200, 200]
        refused = client.get(DRUG)
        assert_problem(client, refused, 429, "too-many-requests")
        assert 0 < int(refused.headers["retry-after"]) <= 10
        assert_problem(
            client, client.head("/api/v1/nothing") and client.get("/api/v1/nothing"), 429, "too-many-requests"
        )
        assert client.get("/drug?name=lithium").status_code == 200


def test_a_question_that_takes_too_long_is_a_problem(
    filled_address: tuple[str, Database],
) -> None:
    address, database = filled_address
    with browse(address, statement_timeout=0.2) as client, database.transaction() as connection:
        connection.exec_driver_sql("LOCK TABLE comention.citation IN ACCESS EXCLUSIVE MODE")
        answer = client.get("/api/v1/citation/110")
        assert_problem(client, answer, 503, "timeout")
        assert answer.headers["retry-after"] == "10"
    with browse(address, statement_timeout=0.2, connections=1) as client:
        with client.app.state.reader.snapshot():  # type: ignore[attr-defined]
            assert_problem(client, client.get("/api/v1/citation/110"), 503, "no-database")
        assert client.get("/api/v1/citation/110").status_code == 200


def test_a_database_that_is_away_is_a_problem() -> None:
    with browse("postgresql://nobody@127.0.0.1:9/none") as client:
        for path in ("status", "drug?name=x", "citation/1"):
            found = assert_problem(client, client.get(f"/api/v1/{path}"), 503, "no-database")
            assert "127.0.0.1" not in str(found)
        assert parse_url("postgresql://nobody@127.0.0.1:9/none", connect_timeout=1).port == 9


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = 100.0
    limiter = RateLimiter(60, 3, now=lambda: now)
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(1)]
    assert limiter.take("b") == 0
    now += 0.5
    assert limiter.take("a") == pytest.approx(0.5)
    now += 0.5
    assert limiter.take("a") == 0
    assert limiter.take("a") == pytest.approx(1)
    now += 60
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(1)]


def made_limiter(burst: int, now: Callable[[], float]) -> RateLimiter:
    return RateLimiter(120, burst, now=now)


@given(waits=st.lists(st.floats(min_value=0, max_value=3), min_size=1, max_size=60), burst=st.integers(1, 5))
def test_in_no_stretch_of_time_are_more_let_in_than_the_rate_and_the_burst(waits: list[float], burst: int) -> None:
    now = 0.0
    limiter = made_limiter(burst, lambda: now)
    let_in: list[float] = []
    for wait in waits:
        now += wait
        refused = limiter.take("a")
        if not refused:
            let_in.append(now)
        else:
            assert limiter.take("a") == refused
            now += refused
            assert limiter.take("a") == 0
            let_in.append(now)
    for first, begin in enumerate(let_in):
        for last, end in enumerate(let_in[first:], start=first):
            assert last - first + 1 <= burst + 2 * (end - begin) + 1e-6


def test_clients_are_told_by_their_network_and_forgotten_in_the_end() -> None:
    def client(host: str) -> str:
        return client_of({"client": (host, 1)})

    assert client("10.0.0.1") != client("10.0.0.2")
    assert client("2001:db8::1") == client("2001:db8::ffff") != client("2001:db8:0:1::1")
    assert client_of({"client": None}) == "nobody"
    limiter = RateLimiter(1, 1, now=lambda: 0)
    for number in range(CLIENTS + 1):
        limiter.take(str(number))
    assert limiter.take("0") == 0
    assert limiter.take(str(CLIENTS)) > 0
