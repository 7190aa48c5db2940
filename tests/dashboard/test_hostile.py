"""Texts that attack: they are shown as text, whatever they hold, and however much."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from storage.embedded import EmbeddedPostgres
from tests.dashboard.conftest import browse, text_of
from tests.dashboard.hostile_corpus import FORMULA, IMAGE, LONG_BYTES, MANY, SCRIPT, hostile_database


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(postgres: EmbeddedPostgres, template: str) -> Iterator[TestClient]:
    with hostile_database(postgres, template, "hostile") as address, browse(address) as client:
        yield client


def pages(client: TestClient) -> Iterator[tuple[str, str]]:
    """Every page that shows the texts, and those that say again what was asked for."""
    for address, values in (
        ("/", {}),
        ("/drug", {"name": "evil"}),
        ("/drug", {"name": f"Evil{SCRIPT}"}),
        ("/drug", {"name": FORMULA}),
        ("/drug", {"name": SCRIPT + IMAGE}),
        ("/condition", {"name": f"rash{IMAGE}"}),
        ("/pair", {"drug": "evil", "condition": "rash"}),
        ("/pair", {"drug": f"Evil{SCRIPT}", "condition": f"rash{IMAGE}"}),
        ("/pair", {"drug": SCRIPT, "condition": IMAGE}),
        ("/citation/1", {}),
        ("/citation/1/abstract", {}),
        ("/citation/1", {"label": IMAGE, "annotator": IMAGE}),
        ("/sentences", {"q": "rash"}),
        ("/sentences", {"q": SCRIPT + IMAGE}),
        ("/search", {"q": SCRIPT + IMAGE}),
        ("/search", {"q": "evil"}),
        ("/drug", {"name": "evil", "section": IMAGE, "type": SCRIPT}),
        ("/drug", {"name": "evil", "sort": IMAGE}),
        ("/network", {"drug": "evil", "others": "9"}),
        ("/network", {"condition": f"rash{IMAGE}"}),
        ("/network", {"drug": SCRIPT, "ic": "0"}),
        ("/compare", {"first": "evil", "second": f"Evil{SCRIPT}"}),
        ("/compare", {"first": SCRIPT, "second": IMAGE}),
        ("/compare", {"first": IMAGE, "show": SCRIPT}),
        ("/annotators", {}),
        ("/annotators", {"label": IMAGE}),
        ("/operations", {}),
        ("/report", {"sentence": "100001", "mention": IMAGE}),
        ("/report", {"sentence": "200001"}),
        ("/report", {"sentence": "300002"}),
        ("/login", {"next": IMAGE}),
        (f"/{SCRIPT}", {}),
    ):
        answer = client.get(address, params=values)
        assert answer.status_code in (200, 400, 404), answer.text
        yield f"{address} {values}", answer.text


def test_no_text_becomes_an_element_or_an_attribute(hostile: TestClient) -> None:
    for where, html in pages(hostile):
        for tag, attributes in Elements(html).found:
            assert tag != "img", where
            assert tag != "script" or str(attributes.get("src", "")).startswith("/static/"), where
            assert not any(name.startswith("on") or name == "style" for name in attributes), where
            assert not str(attributes.get("href", "")).lower().startswith(("javascript:", "data:")), where
        assert "<style" not in html, where


def test_no_character_steers_how_a_page_is_shown(hostile: TestClient) -> None:
    for where, html in pages(hostile):
        assert not set(html) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"), where
    assert "Under \ufffdevil\ufffd the rash" in text_of(hostile.get("/citation/1").text)


def test_what_looks_like_a_template_is_text(hostile: TestClient) -> None:
    assert "{{ 7 * 7 }} ${7*7} evil and rash %s %(x)s." in text_of(hostile.get("/citation/1").text)


def test_spans_are_of_code_points_beyond_the_first_plane(hostile: TestClient) -> None:
    html = hostile.get("/pair", params={"drug": "𝛼-evil", "condition": "rash"}).text
    assert '𝒟rug <mark class="label-drug">𝛼-evil</mark> caused <mark class="label-condition">rash</mark>;' in html


def test_a_spreadsheet_gets_text_and_no_formula(hostile: TestClient) -> None:
    rows = list(csv.DictReader(io.StringIO(hostile.get("/condition.csv", params={"name": "rash"}).text)))
    assert f"'{FORMULA.lower()}" in {row["drug"] for row in rows}
    assert not any(row["drug"].startswith("=") for row in rows)


def test_thousands_of_mentions_in_one_citation_are_shown_in_good_time(hostile: TestClient) -> None:
    started = time.process_time()
    html = hostile.get("/citation/2").text
    assert time.process_time() - started < 5
    assert len(re.findall('<mark class="[^"]*label-drug', html)) >= MANY


def test_megabytes_of_abstract_are_text(hostile: TestClient) -> None:
    answer = hostile.get("/citation/3")
    assert answer.status_code == 200
    assert len(answer.text) > LONG_BYTES
    assert len(hostile.get("/pair?drug=evil&condition=rash").text) < LONG_BYTES
