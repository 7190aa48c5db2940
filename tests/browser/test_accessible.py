"""Every page passes axe-core without a violation: in light and in dark, filled, empty, in error, and with texts that attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from storage.embedded import EmbeddedPostgres
from tests.browser.conftest import Open
from tests.dashboard.served import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

OPTIONS = {"rules": {"target-size": {"enabled": True}}, "resultTypes": ["violations"]}

FILLED = (
    "", "search?q=lith", "search?q=zzzz", "search", "drug?name=clozapine", "drug?name=clozapine&section=RESULTS&sort=name",
    "drug?name=clozapine&from=2026", "drug?name=clozapnie", "drug?name=clozapine&page=9", "condition?name=tremor",
    "pair?drug=clozapine&condition=agranulocytosis", "pair?drug=clozapine&condition=rash",
    "pair?drug=lithium&condition=tremor&from=2026", "citation/112", "citation/115", "citation/112?annotator=1&annotator=2",
    "citation/999", "sentences", "sentences?q=lithium", "sentences?q=the", "sentences?q=zzzz",
    "network?drug=lithium", "network?condition=hepatitis", "network?drug=lithium&ic=15", "compare", "compare?first=lithium",
    "compare?first=clozapine&second=lithium", "compare?first=clozapine&second=lithium&from=2026", "annotators",
    "annotators?first=1&second=1", "annotators?label=Drug", "operations", "report?sentence=11200001",
    "report?sentence=11200001&mention=0-7-1-Drug&sent=1", "report?sentence=999", "nowhere", "drug?name=x&from=z",
)  # fmt: skip
EMPTY = ("", "search?q=x", "drug?name=x", "sentences", "sentences?q=x", "compare", "annotators", "operations")
HOSTILE = (
    "", "drug?name=evil", "condition?name=rash", "pair?drug=evil&condition=rash", "citation/1", "sentences?q=rash",
    "network?drug=evil", "annotators", "report?sentence=100001", "search?q=%3Cscript%3E",
)  # fmt: skip


def violations(page: Page) -> list[str]:
    """What axe-core finds, a sentence each."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="make test-dashboard installs axe-core"
    ).Axe()
    found: dict[str, Any] = axe.run(page, options=OPTIONS).response
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("half", [0, 1])
def test_filled_pages_and_errors(open_page: Open, filled_server: str, scheme: str, half: int) -> None:
    page = open_page(filled_server, color_scheme=scheme)
    for path in FILLED[half::2]:
        page.goto(filled_server + path)
        assert violations(page) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_empty_pages(open_page: Open, empty_server: str, scheme: str) -> None:
    page = open_page(empty_server, color_scheme=scheme)
    for path in EMPTY:
        page.goto(empty_server + path)
        assert violations(page) == [], path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_texts_that_attack(open_page: Open, hostile_server: str, scheme: str) -> None:
    page = open_page(hostile_server, color_scheme=scheme)
    for path in HOSTILE:
        page.goto(hostile_server + path)
        assert violations(page) == [], path


def test_what_is_opened_on_a_page(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, viewport={"width": 360, "height": 740})
    page.get_by_role("combobox").press_sequentially("c")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("ArrowDown")
    assert violations(page) == []
    page.goto(filled_server + "pair?drug=clozapine&condition=agranulocytosis")
    for summary in page.locator("summary").all():
        summary.click()
    page.locator(".place .abstract-title").first.wait_for()
    page.locator(".chart .plot .main-svg").first.wait_for()
    page.locator("button.tip").first.click()
    assert violations(page) == []
    page.goto(filled_server + "citation/112")
    page.locator("summary").click()
    assert violations(page) == []


def test_the_login(open_page: Open, postgres: EmbeddedPostgres, template: str) -> None:
    address = postgres.create_database("browser_login", template=template)
    with serving(address, COMENTION_DASHBOARD__TOKEN="a token of 16 or more") as (_, server):
        page = open_page(server)
        assert page.url.endswith("/login?next=/")
        assert violations(page) == []
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").wait_for()
        assert violations(page) == []
        page.get_by_label("Token").fill("a token of 16 or more")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(server)
        assert violations(page) == []
    postgres.drop_database("browser_login")
