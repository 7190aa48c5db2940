"""Texts that attack do nothing in a browser: no dialog, no error, nothing that the policy had to stop, no request to others.

The fixture looks for all of these at the end of each test.
"""

from __future__ import annotations

from urllib.parse import urlencode

from tests.browser.conftest import Open
from tests.dashboard.hostile_corpus import IMAGE, LONG_BYTES, MANY, SCRIPT


def test_pages_of_attacks_are_text(open_page: Open, hostile_server: str) -> None:
    page = open_page(hostile_server)
    for path, values in (
        ("drug", {"name": "evil"}),
        ("drug", {"name": f"Evil{SCRIPT}"}),
        ("drug", {"name": SCRIPT + IMAGE}),
        ("condition", {"name": f"rash{IMAGE}"}),
        ("pair", {"drug": f"Evil{SCRIPT}", "condition": f"rash{IMAGE}"}),
        ("citation/1", {}),
        ("sentences", {"q": SCRIPT + IMAGE}),
        ("search", {"q": SCRIPT + IMAGE}),
        ("network", {"drug": "evil", "others": 9}),
        ("compare", {"first": "evil", "second": f"Evil{SCRIPT}"}),
        ("annotators", {}),
        ("report", {"sentence": 100_001}),
        ("nowhere" + SCRIPT, {}),
    ):
        page.goto(f"{hostile_server}{path}?{urlencode(values)}")
        assert page.locator("main img, main script:not([src]), main iframe").count() == 0, path


def test_an_abstract_and_suggestions_that_scripts_write_are_text(open_page: Open, hostile_server: str) -> None:
    page = open_page(hostile_server, "pair?drug=evil&condition=rash")
    for passage in page.locator("details.abstract").all()[:4]:
        passage.locator("summary").click()
        passage.locator(".abstract-title").wait_for()
    assert page.locator("main img").count() == 0
    page.goto(hostile_server)
    page.get_by_role("combobox").press_sequentially("evil<")
    page.get_by_role("option").first.wait_for()
    assert "<script>" in page.get_by_role("listbox").inner_text()
    assert page.locator("main img").count() == 0


def test_thousands_of_mentions_and_megabytes_are_shown(open_page: Open, hostile_server: str) -> None:
    page = open_page(hostile_server, "citation/2")
    assert page.locator(".abstract-text mark.label-drug").count() >= MANY
    page.goto(hostile_server + "citation/3")
    assert page.evaluate("document.querySelector('.abstract-text').textContent.length") > LONG_BYTES


def test_characters_that_steer_do_not_turn_a_page_around(open_page: Open, hostile_server: str) -> None:
    page = open_page(hostile_server, "citation/1")
    text = page.locator(".abstract-text").inner_text()
    assert "Under \ufffdevil\ufffd the rash \ufffdgrew\ufffd." in text.replace("D", "").replace("C", "")
