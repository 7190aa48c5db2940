"""The way of an analyst: from a drug to the sentence, by pointer and by keyboard, on a wide and on a narrow screen."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Open

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

PAIR = "pair?drug=clozapine&condition=agranulocytosis"
NARROW = {"width": 360, "height": 740}


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


def rows(page: Page) -> list[str]:
    return page.locator("table.ranking tbody th").all_inner_texts()


def test_from_the_search_to_the_sentence_its_abstract_and_a_file(
    open_page: Open, filled_server: str, tmp_path: Path
) -> None:
    page = open_page(filled_server)
    page.get_by_role("combobox", name="Drug or condition").press_sequentially("clozapnie")
    page.get_by_role("option", name="clozapine").click()
    page.wait_for_url("**/drug?name=clozapine")
    assert heading(page) == "clozapine"
    page.get_by_role("link", name="agranulocytosis").click()
    page.wait_for_url("**/pair?*")
    passage = page.locator("article.passage").first
    assert passage.locator("mark.label-drug").inner_text() == "clozapine"
    passage.get_by_text("Whole abstract").click()
    passage.locator(".place .abstract-title").wait_for()
    assert "later syncope" in passage.locator(".place").inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    path = tmp_path / "sentences.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8", newline="") as lines:
        assert [row["pmid"] for row in csv.DictReader(lines)] == ["104", "103", "102", "101"]
    passage.get_by_role("link", name="Report 104").click()
    page.wait_for_url("**/citation/104")
    assert page.locator(".abstract-text mark.label-condition").all_inner_texts() == ["agranulocytosis", "syncope"]


def test_the_chart_is_drawn_where_it_is_scrolled_to(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, PAIR)
    page.locator(".chart").scroll_into_view_if_needed()
    page.locator(".chart .plot .main-svg").first.wait_for()
    page.locator(".chart svg.bars").wait_for(state="detached")


def test_filters_stand_in_the_address_and_back_takes_them_away(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, "drug?name=clozapine")
    assert rows(page) == ["agranulocytosis", "nausea", "syncope"]
    page.locator(".filters > summary").click()
    page.get_by_label("Publication type").select_option("Case Reports")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("type=Case"))
    assert rows(page) == ["agranulocytosis", "syncope"]
    page.go_back()
    page.wait_for_url("**/drug?name=clozapine")
    assert rows(page) == ["agranulocytosis", "nausea", "syncope"]
    page.go_forward()
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url(lambda address: "type" not in address)
    assert rows(page) == ["agranulocytosis", "nausea", "syncope"]


def test_a_link_shows_what_was_seen_when_it_was_copied(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, "drug?name=clozapine&from=2011&sort=name")
    seen, address = rows(page), page.url.removeprefix(filled_server)
    page.get_by_role("link", name="nausea").click()
    page.wait_for_url("**/pair?*")
    assert "from=2011" in page.url
    other = open_page(filled_server, address)
    assert rows(other) == seen == ["nausea"]
    assert other.get_by_label("From year").input_value() == "2011"


def test_ticks_of_a_citation_are_sent_as_they_are_set(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, "citation/112")
    page.get_by_role("checkbox", name=re.compile("Condition")).uncheck()
    page.wait_for_url("**/citation/112?label=Drug*")
    assert page.locator(".abstract-text mark").all_inner_texts() == ["Lithium"]


def test_the_keyboard_alone_gets_from_the_search_to_a_report(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.locator(":focus").get_attribute("role") == "combobox"
    page.keyboard.type("lith")
    page.get_by_role("option").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drug?name=lithium")
    tab_to(page, "tremor")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pair?*")
    tab_to(page, "Report a wrong mention")
    page.keyboard.press("Enter")
    page.wait_for_url("**/report?*")
    tab_to(page, "", tag="INPUT", kind="radio")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    tab_to(page, "Send the report")
    page.keyboard.press("Enter")
    page.wait_for_url("**sent=1")
    page.get_by_role("status").filter(has_text="Your report is stored").wait_for()


def test_a_choice_outlives_suggestions_that_come_late(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server)
    late: list[Route] = []
    page.route("**/suggest?q=lith", lambda route: late.append(route))
    page.get_by_role("combobox").first.press_sequentially("lit")
    page.get_by_role("option").first.wait_for()
    with page.expect_request("**/suggest?q=lith"):
        page.keyboard.type("h")
    page.keyboard.press("ArrowDown")
    with page.expect_response("**/suggest?q=lith"):
        late[0].continue_()
    page.get_by_role("status").filter(has_text="suggestions").wait_for(state="attached")
    page.keyboard.press("Enter")
    page.wait_for_url("**/drug?name=lithium")


def tab_to(page: Page, text: str, *, tag: str = "", kind: str = "") -> None:
    """Press the tabulator until something is reached; each place on the way can be seen to have the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const e = document.activeElement; const s = getComputedStyle(e); "
            "return [e.innerText.trim(), e.tagName, e.type ?? '', s.outlineStyle, s.outlineWidth]; }"
        )
        assert found[3] != "none", found
        assert found[4] not in ("0px", ""), found
        if (not text or found[0] == text) and (not tag or found[1] == tag) and (not kind or found[2] == kind):
            return
    raise AssertionError(f"the tabulator does not reach {text or kind}")


def test_two_drugs_are_chosen_from_suggestions_and_compared(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, "compare")
    for name, typed in (("Drug A", "cloz"), ("Drug B", "lith")):
        page.get_by_role("combobox", name=name).press_sequentially(typed)
        page.get_by_role("option").first.wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("listbox").first.wait_for(state="hidden")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_url("**/compare?first=clozapine&second=lithium")
    assert heading(page) == "clozapine beside lithium"
    page.get_by_role("link", name="With both").click()
    page.wait_for_url("**show=both")
    assert sorted(rows(page)) == ["nausea", "syncope"]


def test_a_node_of_the_network_leads_to_its_page(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, "drug?name=lithium")
    page.get_by_role("link", name="Network around it").click()
    page.wait_for_url("**/network?drug=lithium")
    page.locator("svg.network a.node", has_text="tremor").click()
    page.wait_for_url("**/condition?name=tremor")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_narrow_screen(open_page: Open, filled_server: str, scheme: str) -> None:
    page = open_page(filled_server, viewport=NARROW, color_scheme=scheme)
    for path in (
        "", "drug?name=clozapine", PAIR, "citation/112", "sentences?q=lithium", "search?q=lith", "network?drug=lithium",
        "compare?first=clozapine&second=lithium", "annotators", "operations", "report?sentence=11200001",
    ):  # fmt: skip
        page.goto(filled_server + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path


def test_dark_mode_is_dark_and_light_mode_light(open_page: Open, filled_server: str) -> None:
    for scheme, is_dark in (("light", False), ("dark", True)):
        page = open_page(filled_server, "drug?name=clozapine", color_scheme=scheme)
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        red = int(re.findall(r"\d+", ground)[0])
        assert (red < 64) == is_dark


def test_it_all_works_without_scripts(open_page: Open, filled_server: str) -> None:
    page = open_page(filled_server, java_script_enabled=False)
    page.get_by_label("Drug or condition").fill("lithium")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=re.compile("lithium")).first.click()
    page.get_by_role("link", name="syncope").click()
    assert page.locator(".chart svg.bars").count() == 1
    page.get_by_role("link", name="Report a wrong mention").click()
    page.get_by_role("radio").first.check()
    page.get_by_role("radio", name=re.compile("Too much")).check()
    page.get_by_role("button", name="Send the report").click()
    assert "Your report is stored" in page.locator("main").inner_text()
