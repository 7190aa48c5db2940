"""Who is let in, and what every answer carries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from dashboard import security
from dashboard.security import Gate, is_loopback, safe_target
from storage.database import Database
from tests.dashboard.conftest import browse, text_of

TOKEN = "correct horse battery staple"


@pytest.fixture
def locked(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    with browse(filled_address[0], token=TOKEN) as client:
        yield client


@pytest.mark.parametrize(
    "address", ["/", "/drug?name=lithium", "/nothing", "/static/comention.css", "/drug.csv?name=lithium"]
)
def test_every_answer_has_a_strict_policy(filled: TestClient, address: str) -> None:
    headers = filled.get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_without_a_token_only_names_of_this_machine_are_answered(filled: TestClient) -> None:
    for host in ("localhost", "127.0.0.1:8417", "[::1]:8417"):
        assert filled.get("/", headers={"Host": host}).status_code == 200
    for host in ("evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.evil.example"):
        assert filled.get("/", headers={"Host": host}).status_code == 421


def test_what_is_too_large_is_refused(filled: TestClient) -> None:
    assert filled.get("/sentences", params={"x": "y" * 9_000}).status_code == 414
    assert filled.post("/login", content=b"x" * 20_000).status_code == 413
    assert filled.post("/login", content=iter([b"x"] * 20_000)).status_code == 413


def test_whoever_has_no_token_sees_the_login_and_nothing_else(locked: TestClient) -> None:
    answer = locked.get("/drug?name=lithium&sort=ic", headers={"Accept": "text/html"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/drug%3Fname%3Dlithium%26sort%3Dic"
    for address in ("/drug?name=lithium", "/suggest?q=l", "/drug.csv?name=lithium", "/citation/110/abstract"):
        refused = locked.get(address, headers={"Accept": "*/*"})
        assert refused.status_code == 401
        assert "lithium" not in refused.text
    assert locked.get("/login").status_code == 200
    assert locked.get("/healthz").text == "ok\n"


def test_the_right_token_gives_a_cookie_that_leads_where_one_was_going(locked: TestClient) -> None:
    wrong = locked.post("/login", data={"token": "wrong", "next": "/sentences"})
    assert wrong.status_code == 401
    assert "That is not the token" in text_of(wrong.text)
    assert "set-cookie" not in wrong.headers
    answer = locked.post("/login", data={"token": TOKEN, "next": "/drug?name=lithium"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/drug?name=lithium")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert TOKEN not in answer.headers["set-cookie"]
    page = locked.get("/drug?name=lithium")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "private, no-store"
    assert locked.post("/logout").status_code == 303
    assert locked.get("/drug?name=lithium").status_code == 401


def test_a_program_sends_the_token_with_each_request(locked: TestClient) -> None:
    assert locked.get("/suggest?q=lith", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert locked.get("/suggest?q=lith", headers={"Authorization": "Bearer no"}).status_code == 401


def test_cookies_end_and_cannot_be_made_by_hand() -> None:
    gate = Gate(TOKEN, 100)
    cookie = gate.new_cookie()
    assert gate.accepts_cookie(cookie)
    until, _, signature = cookie.partition(".")
    assert not gate.accepts_cookie(f"{int(until) + 1}.{signature}")
    assert not gate.accepts_cookie(Gate(TOKEN, -1).new_cookie())
    assert not gate.accepts_cookie(Gate("another token of ours", 100).new_cookie())
    for made in ("", ".", "x.y", "\u0661.é"):
        assert not gate.accepts_cookie(made)


def test_wrong_tokens_are_counted_and_then_not_looked_at(locked: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(security, "FAILURES_PER_MINUTE", 3)
    for _ in range(3):
        locked.get("/suggest", headers={"Authorization": "Bearer no"})
    assert locked.get("/suggest", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 429
    assert locked.post("/login", data={"token": TOKEN}).status_code == 429


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ("/drug?name=x", "/drug?name=x"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/a\r\nX: y", "/"),
        ("", "/"),
    ],
)
def test_a_login_leads_nowhere_else(wanted: str, given: str) -> None:
    assert safe_target(wanted) == given


def test_what_only_this_machine_reaches() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))


def test_files_are_kept_for_a_year_under_their_digest_alone(filled: TestClient) -> None:
    page = filled.get("/").text
    address = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    answer = filled.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert filled.get("/static/comention.css?v=old").headers["cache-control"] == "no-cache"
    assert filled.get(address, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert len(filled.get("/static/plotly.min.js").content) > 10**6
    for name in ("..%2fapp.py", "app.py", "nothing.css", "%2e%2e/app.py"):
        assert filled.get(f"/static/{name}").status_code == 404
