"""`comention run` from NCBI: the stand-in answers over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Comention
from tests.ncbi import Fault, Faults, NcbiServer, make_articles


@pytest.fixture
def ncbi() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(450), faults=Faults(schedule=[None, Fault.SERVER_ERROR])) as server:
        yield server


def ncbi_settings(server: NcbiServer) -> dict[str, str]:
    return {"COMENTION_NCBI__BASE_URL": server.base_url, "COMENTION_NCBI__EMAIL": "tester@example.org"}


def test_a_query_is_searched_fetched_annotated_and_shown(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("run", "--query", "lithium", "--json", **ncbi_settings(ncbi))
    assert outcome.status == 0, outcome.stderr
    source = outcome.document["sources"][0]
    assert source["source"] == "lithium"
    assert source["read"] == source["new"] == outcome.document["annotation"]["done"] > 20
    assert any(pair["drug"] == "lithium" for pair in outcome.document["pairs"])


def test_a_pmid_that_ncbi_does_not_return_is_listed_as_missing(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("run", "--pmids", "1,2 3;99999", "--json", **ncbi_settings(ncbi))
    assert outcome.status == 0, outcome.stderr
    source = outcome.document["sources"][0]
    assert (source["read"], source["new"], source["missing"]) == (4, 3, 1)
    assert source["exceptions"][0]["pmid"] == 99999
    assert "1 missing" in comention("status").stdout


def test_a_remark_of_pubmed_reaches_the_user(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("run", "--query", '"lithium nonsense"', **ncbi_settings(ncbi))
    assert "PubMed remarks: PubMed does not know the phrase 'lithium nonsense'" in outcome.stderr


def test_a_field_that_pubmed_does_not_know_fails_the_command(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("run", "--query", "lithium[nonsense]", **ncbi_settings(ncbi))
    assert outcome.status == 1
    assert "does not know the search field 'nonsense'" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert comention("status", "--json").document["citations"] == 0


def test_without_an_address_nothing_is_asked(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("run", "--query", "lithium", COMENTION_NCBI__BASE_URL=ncbi.base_url)
    assert outcome.status == 1
    assert "COMENTION_NCBI__EMAIL" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert not ncbi.requests


def test_an_ncbi_that_cannot_be_reached_is_said_in_one_sentence(comention: Comention) -> None:
    outcome = comention(
        "run", "--query", "lithium", COMENTION_NCBI__EMAIL="t@example.org", COMENTION_NCBI__ATTEMPTS="1"
    )
    assert outcome.status == 1
    assert len(outcome.stderr.splitlines()) == 1, outcome.stderr


def test_a_request_that_is_tried_again_is_no_silence(comention: Comention, ncbi: NcbiServer) -> None:
    outcome = comention("ingest", "query", "lithium", "--since", "2001-01-01", **ncbi_settings(ncbi))
    assert outcome.status == 0, outcome.stderr
    assert "NCBI: esearch: " in outcome.stderr
    assert "attempt 2 of 6" in outcome.stderr


def test_a_query_since_a_day_brings_what_came_or_was_changed_from_then_on(comention: Comention) -> None:
    articles = make_articles(40)
    recent = sorted(articles, key=lambda article: article.entrez_date)[-5:]
    with NcbiServer(articles) as server:
        day = recent[0].entrez_date.isoformat()
        outcome = comention("ingest", "query", "patient", "--since", day, "--json", **ncbi_settings(server))
    assert outcome.status == 0, outcome.stderr
    assert outcome.document["sources"][0]["new"] >= 5
    assert outcome.document["sources"][0]["source"] == f"patient (since {day})"
    assert comention("ingest", "query", "x", "--since", "soon").status == 2


def test_a_wrong_api_key_is_named_and_not_shown(comention: Comention) -> None:
    with NcbiServer(make_articles(3), valid_keys=["good"]) as server:
        outcome = comention(
            "ingest", "query", "patient", COMENTION_NCBI__API_KEY="a-wrong-key-0815", **ncbi_settings(server)
        )
    assert outcome.status == 1
    assert "COMENTION_NCBI__API_KEY" in outcome.stderr
    assert "0815" not in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
