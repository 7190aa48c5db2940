"""Two drugs and two annotators side by side: the figures of the analyst schema, and where they lead."""

from __future__ import annotations

import re
from html import unescape

import pytest
from sqlalchemy import text
from starlette.testclient import TestClient

from storage.database import Database, parse_url
from storage.reading import Reader
from storage.side_by_side import list_differences
from tests.dashboard.conftest import browse, rows_of, text_of
from tests.dashboard.made import annotate_words

DRUGS = "/compare?first=Clozapine&second=lithium"


def get(client: TestClient, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status, text_of(answer.text)
    return answer.text


def names_of(html: str) -> list[str]:
    return [row[0] for row in rows_of(html)]


def test_two_drugs_stand_side_by_side_with_the_counts_of_their_own_pages(filled: TestClient) -> None:
    rows = {row[0]: row for row in rows_of(get(filled, DRUGS))}
    assert set(rows) == {"agranulocytosis", "nausea", "syncope", "tremor"}
    for position, drug in ((1, "clozapine"), (3, "lithium")):
        alone = {row[0]: row[1] for row in rows_of(get(filled, f"/drug?name={drug}"))}
        assert {name: row[position].split(" ")[0] for name, row in rows.items()} == {
            name: alone.get(name, "0") for name in rows
        }


def test_conditions_of_both_and_of_one_alone_add_up(filled: TestClient) -> None:
    assert set(names_of(get(filled, f"{DRUGS}&show=both"))) == {"nausea", "syncope"}
    assert names_of(get(filled, f"{DRUGS}&show=first")) == ["agranulocytosis"]
    assert names_of(get(filled, f"{DRUGS}&show=second")) == ["tremor"]
    assert "With both 2" in text_of(get(filled, DRUGS))


def test_the_order_is_by_citations_by_difference_or_by_name(filled: TestClient) -> None:
    assert names_of(get(filled, DRUGS))[:2] == ["agranulocytosis", "tremor"]
    assert names_of(get(filled, f"{DRUGS}&order=name")) == ["agranulocytosis", "nausea", "syncope", "tremor"]
    assert set(names_of(get(filled, f"{DRUGS}&order=difference"))[:2]) == {"agranulocytosis", "tremor"}


def test_filters_and_orders_are_refused_in_a_sentence_or_hold_for_both(filled: TestClient) -> None:
    assert set(names_of(get(filled, f"{DRUGS}&from=2011"))) == {"nausea", "syncope"}
    assert "No condition passes" in text_of(get(filled, f"{DRUGS}&from=2026"))
    assert "there are citations, difference, name" in text_of(get(filled, f"{DRUGS}&order=age", 400))


def test_a_comparison_leads_to_the_pair_under_the_same_filters(filled: TestClient) -> None:
    links = [unescape(one) for one in re.findall(r'href="([^"]+)"', get(filled, f"{DRUGS}&from=2002"))]
    assert "/pair?from=2002&drug=clozapine&condition=agranulocytosis" in links


def test_one_drug_alone_asks_for_the_other_and_an_unknown_one_suggests(filled: TestClient) -> None:
    assert "the other is missing" in text_of(get(filled, "/compare?first=clozapine"))
    assert 'value="clozapine"' in get(filled, "/compare?first=clozapine")
    assert "/drug?name=lithium" in get(filled, "/compare?first=clozapine&second=lithum", 404)
    found = filled.get("/suggest", params={"q": "a", "label": "Drug"}).json()["suggestions"]
    assert {one["label"] for one in found} == {"Drug"}


def test_agreement_is_that_of_the_analyst_view(filled_address: tuple[str, Database], filled: TestClient) -> None:
    with filled_address[1].transaction() as connection:
        view = {
            row.label: (row.agreeing, row.only_a, row.only_b)
            for row in connection.execute(text("SELECT * FROM analysis.annotator_agreement"))
        }
    rows = rows_of(get(filled, "/annotators?first=1&second=2"))
    assert {row[0]: tuple(map(int, row[2:])) for row in rows} == view
    assert view["Condition"][1] > 0
    turned = rows_of(get(filled, "/annotators?first=2&second=1"))
    assert {row[0]: (int(row[2]), int(row[4]), int(row[3])) for row in turned} == view


def test_sentences_in_which_they_differ_show_whose_each_mention_is(filled: TestClient) -> None:
    html = get(filled, "/annotators")
    assert html.count('<article class="passage">') == 5
    assert '<mark class="by-first" title="Condition, A alone" data-tag="C A">nausea</mark>' in html
    assert '<mark class="by-both" title="Drug, both" data-tag="D">' in html
    assert "wherever both have read" in text_of(get(filled, "/annotators?label=Drug"))


def test_one_annotator_twice_and_one_that_is_not_there_are_told(filled: TestClient) -> None:
    assert "one annotator twice" in text_of(get(filled, "/annotators?first=1&second=1"))
    assert "No annotator has that number" in text_of(get(filled, "/annotators?first=1&second=99"))
    assert "whole number" in text_of(get(filled, "/annotators?first=x", 400))


@pytest.mark.parametrize(("window", "limit"), [(1_000, 2), (3, 100), (2, 1)])
def test_differences_are_read_on_to_the_last(
    filled_address: tuple[str, Database], monkeypatch: pytest.MonkeyPatch, window: int, limit: int
) -> None:
    reader = Reader(parse_url(filled_address[0], connect_timeout=10), statement_timeout=10, connections=1)
    with reader.snapshot() as snapshot:
        whole, following = list_differences(snapshot, 1, 2, label=None, before=None, limit=100)
        assert (following, len(whole)) == (None, 5)
        monkeypatch.setattr("storage.side_by_side.COMPARED_CITATIONS", window)
        found, before = list_differences(snapshot, 1, 2, label=None, before=None, limit=limit)
        while before is not None:
            more, before = list_differences(snapshot, 1, 2, label=None, before=before, limit=limit)
            found.extend(more)
    reader.close()
    assert found == whole


def test_an_empty_database_says_what_to_type(empty: TestClient) -> None:
    assert "comention demo" in text_of(get(empty, "/annotators"))
    assert "comention demo" in text_of(get(empty, "/compare"))
    assert "comention demo" in text_of(get(empty, "/compare?first=a&second=b", 404))


def test_a_single_annotator_has_nobody_to_compare_with(database: Database, database_address: str) -> None:
    annotate_words(database, {"Drug": ["x"], "Condition": ["y"]})
    with browse(database_address) as client:
        assert "Let another read the same" in text_of(get(client, "/annotators"))
