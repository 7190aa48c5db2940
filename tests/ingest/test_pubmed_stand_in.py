"""The stand-in for NCBI refuses what NCBI refuses: otherwise the other tests would prove nothing."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest

from tests.ncbi import Fault, Faults, NcbiServer, busiest_second, make_articles


def get(server: NcbiServer, utility: str, **parameters: object) -> bytes:
    address = f"{server.base_url}{utility}.fcgi?{urlencode({'db': 'pubmed', **parameters})}"
    with urllib.request.urlopen(address, timeout=20) as response:
        body: bytes = response.read()
    return body


def search(server: NcbiServer, **parameters: object) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(get(server, "esearch", term="all[sb]", retmode="json", **parameters))
    return result["esearchresult"]  # type: ignore[no-any-return]  # JSON has no types


def refusal(server: NcbiServer, utility: str, **parameters: object) -> tuple[int, bytes]:
    with pytest.raises(HTTPError) as caught:
        get(server, utility, **parameters)
    with caught.value as error:
        return error.code, error.read()


def test_a_search_lists_9999_and_no_page_begins_beyond_9998() -> None:
    with NcbiServer(make_articles(10_500), enforce_rate=False) as server:
        listed = search(server, retmax=100_000)
        assert (listed["count"], len(listed["idlist"])) == ("10500", 9_999)
        assert "Restrictions achieved" in listed["warninglist"]["outputmessages"][0]
        assert len(search(server, retstart=9_998, retmax=100)["idlist"]) == 1
        assert "cannot be larger than 9998" in search(server, retstart=9_999)["ERROR"]


def test_the_fourth_request_of_a_second_is_refused() -> None:
    with NcbiServer(make_articles(1)) as server:
        for _ in range(3):
            search(server)
        status, body = refusal(server, "esearch", term="rash", retmode="json")
    assert status == 429
    assert json.loads(body)["error"] == "API rate limit exceeded"


def test_other_databases_long_addresses_and_empty_lists_are_refused() -> None:
    with NcbiServer(make_articles(300), enforce_rate=False) as server:
        assert refusal(server, "esearch", db="protein", term="rash")[0] == 400
        assert refusal(server, "efetch", id=",".join(map(str, range(1, 300))))[0] == 414
        assert b"ID list is empty" in refusal(server, "efetch", id="")[1]


def test_posted_identifiers_can_be_fetched() -> None:
    with NcbiServer(make_articles(5), enforce_rate=False) as server:
        environment = get(server, "epost", id="4,2").decode().split("<WebEnv>")[1].split("<")[0]
        records = get(server, "efetch", WebEnv=environment, query_key=1, retmax=10)
    assert [records.index(f">{pmid}</PMID>".encode()) > 0 for pmid in (4, 2)] == [True, True]


def test_the_same_seed_makes_the_same_citations_and_the_same_faults() -> None:
    assert make_articles(50, seed=3) == make_articles(50, seed=3) != make_articles(50, seed=4)
    first, again, other = (Faults(probability={Fault.SLOW: 0.5}, seed=seed) for seed in (1, 1, 2))
    chosen = [[faults.of(number) for number in range(40)] for faults in (first, again, other)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_the_busiest_second_may_begin_anywhere() -> None:
    assert busiest_second([0.0, 0.9, 1.0, 1.8, 1.85]) == 4
    assert busiest_second([]) == 0
