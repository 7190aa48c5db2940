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

from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.search import index_sentences
from tests.builders import citation
from tests.dashboard.conftest import browse, text_of
from tests.dashboard.made import annotate_words, store

SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(2)>'
FORMULA = '=HYPERLINK("http://evil")'
MANY = 3_000
LONG_BYTES = 5 * 2**20


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
    address = postgres.create_database("hostile", template=template)
    database = Database(parse_url(address, connect_timeout=10))
    sentences = [
        f"Evil{SCRIPT} caused rash{IMAGE} in 3.",
        "Under \u202eevil\u202c the rash \u2067grew\u2069.",
        f"{FORMULA} caused rash.",
        "𝒟rug 𝛼-evil caused rash; it's “quoted” & 'quoted'.",
        "{{ 7 * 7 }} ${7*7} evil and rash %s %(x)s.",
    ]
    store(
        database,
        [
            citation(1, sentences, title=f"A title{SCRIPT}{IMAGE}", journal_title=f"J{IMAGE}"),
            citation(2, ["evil rash " * MANY], title="Many."),
            citation(3, ["evil caused rash.", "x " * (LONG_BYTES // 2)], title="Long."),
        ],
    )
    annotate_words(
        database,
        {
            "Drug": [f"Evil{SCRIPT}", "evil", FORMULA, "𝛼-evil"],
            "Condition": [f"rash{IMAGE}", "rash", "rash in"],
            "Chemical": ["vil caused ra", "evil"],
        },
    )
    fold_counts(database)
    index_sentences(database)
    with browse(address) as client:
        yield client
    database.close()
    postgres.drop_database("hostile")


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
