"""Pages of a list together are the list, whatever comes or goes between them."""

from __future__ import annotations

import itertools
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from storage.cooccurrence import fold_counts
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.partners import SORTS
from tests.builders import citation
from tests.dashboard.conftest import browse
from tests.dashboard.made import annotate_words, store

TIED = [f"{first}{second}itis" for first, second in itertools.product("zmakxbq", "tdpcfwrn")]
"""Conditions that stand with the drug in one citation each, first seen in an order that is not that of their names."""


@pytest.fixture(scope="module")
def tied(postgres: EmbeddedPostgres, template: str) -> Iterator[tuple[TestClient, Database]]:
    address = postgres.create_database("tied", template=template)
    database = Database(parse_url(address, connect_timeout=10))
    store(
        database, [citation(number, [f"Evil caused {name}."], year=2000) for number, name in enumerate(TIED, start=1)]
    )
    annotate(database)
    with browse(address, api_per_minute=0) as client:
        yield client, database
    database.close()
    postgres.drop_database("tied")


def annotate(database: Database) -> None:
    annotate_words(database, {"Drug": ["evil"], "Condition": [*TIED, "newpox", "oldpox"]})
    fold_counts(database)


@pytest.fixture(scope="module")
def api(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    with browse(filled_address[0], api_per_minute=0) as client:
        yield client


def pages(client: TestClient, address: str) -> Iterator[Any]:
    """The pages of a list, by the header that leads on."""
    link: str | None = f"/api/v1/{address}"
    while link is not None:
        answer = client.get(link)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        yield found
        link = answer.links["next"]["url"] if "next" in answer.links else None
        assert (link is None) == (found["next_cursor"] is None)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("filters", ["", "&from=2000&to=2012", "&section=RESULTS", "&min=2"])
def test_pages_of_partners_are_the_whole_ranking(api: TestClient, sort: str, filters: str) -> None:
    for address in (f"condition?name=nausea&sort={sort}{filters}", f"drug?name=lithium&sort={sort}{filters}"):
        [whole] = pages(api, f"{address}&limit=200")
        cut = [one for page in pages(api, f"{address}&limit=1") for one in page["partners"]]
        assert cut == whole["partners"]


@pytest.mark.parametrize(
    ("address", "rows"),
    [
        ("pairs?min=1", "pairs"),
        ("evidence?drug=lithium&condition=tremor", "sentences"),
        ("sentences?q=lithium", "sentences"),
    ],
)
def test_pages_of_pairs_and_sentences_are_the_whole_list(api: TestClient, address: str, rows: str) -> None:
    [whole] = pages(api, f"{address}&limit=200")
    assert len(whole[rows]) > 3
    assert [one for page in pages(api, f"{address}&limit=2") for one in page[rows]] == whole[rows]


@pytest.mark.parametrize("limit", [1, 5, 7, 55])
def test_rows_that_tie_come_once_each(tied: tuple[TestClient, Database], limit: int) -> None:
    found = [
        one["title"] for page in pages(tied[0], f"drug?name=evil&to=2005&limit={limit}") for one in page["partners"]
    ]
    assert found == sorted(TIED)
    if limit > 1:
        pairs = [one["condition"] for page in pages(tied[0], f"pairs?limit={limit}") for one in page["pairs"]]
        assert sorted(pairs) == sorted({*TIED, *pairs})
        assert len(pairs) == len(set(pairs))


def test_what_comes_before_a_page_shifts_nothing(tied: tuple[TestClient, Database]) -> None:
    client, database = tied
    seen = pages(client, "drug?name=evil&limit=10")
    first = [one["title"] for one in next(seen)["partners"]]
    store(database, [citation(1_000 + n, ["Evil caused newpox.", "Evil caused oldpox."], year=2020) for n in range(3)])
    annotate(database)
    rest = [one["title"] for page in seen for one in page["partners"]]
    assert first + rest == sorted(TIED)
    assert {"newpox", "oldpox"} < {one["title"] for one in next(pages(client, "drug?name=evil"))["partners"]}


def cursor(text: str) -> str:
    return urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


@pytest.mark.parametrize(
    "made",
    [
        "abc",
        "A",
        cursor("[]"),
        cursor("[" * 2_000),
        cursor('["drug citations"]'),
        cursor('["drug name",[],["a"],1]'),
        cursor('["drug citations",[-1,NaN],["a"],1]'),
        cursor('["drug citations",[-1,true],["a"],1]'),
        cursor('["drug citations",[-1,-1],["\\u0000"],1]'),
        cursor('["drug citations",[-1,-1],["\\ud800"],1]'),
        cursor('["drug citations",[-1,-1],["a"],-1]'),
        cursor('["drug citations",[-1,-1],["a"],10000000]'),
        cursor('["drug citations",[-1,-1' + "0" * 400 + '],["a"],1]'),
    ],
)
def test_a_cursor_that_was_not_given_out_is_refused(api: TestClient, made: str) -> None:
    answer = api.get("/api/v1/drug", params={"name": "lithium", "cursor": made})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "cursor"
    assert (
        api.get("/api/v1/evidence", params={"drug": "lithium", "condition": "tremor", "cursor": made}).status_code
        == 422
    )
