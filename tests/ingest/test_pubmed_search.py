"""A search finds every citation, however many there are and however PubMed limits its lists."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ingest.pubmed_search
import tests.ncbi
from comention.errors import FetchError, RetryableFetchError
from ingest.entrez import TransientError
from ingest.pubmed import PubMed
from ingest.pubmed_search import parse_search
from tests.ncbi import Article, NcbiServer, Unlimited, make_articles


def article(pmid: int, day: dt.date) -> Article:
    return Article(pmid=pmid, entrez_date=day, title=f"Rash: case {pmid}.", abstract="A patient took lithium.")


@pytest.fixture
def short_lists(monkeypatch: pytest.MonkeyPatch) -> int:
    """PubMed lists 5 citations instead of 9,999."""
    monkeypatch.setattr(ingest.pubmed_search, "LISTED_AT_MOST", 5)
    monkeypatch.setattr(tests.ncbi, "LISTED_AT_MOST", 5)
    return 5


@pytest.fixture(scope="module")
def server() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(25_000), enforce_rate=False) as running:
        yield running


@pytest.fixture
def pubmed(server: NcbiServer) -> PubMed:
    server.requests.clear()
    return PubMed(server.settings(), Unlimited(), backoff=0.01)


def test_a_search_of_25000_citations_finds_them_all(server: NcbiServer, pubmed: PubMed) -> None:
    assert pubmed.search("all[sb]") == sorted(server.articles)
    assert len(server.requests) < 20


def test_a_search_that_fits_in_one_list_is_one_request(server: NcbiServer, pubmed: PubMed) -> None:
    found = pubmed.search("agranulocytosis AND clozapine")
    expected = [a.pmid for a in server.articles.values() if "agranulocytosis" in a.text and "clozapine" in a.text]
    assert found == expected
    assert len(server.requests) == 1


def test_12000_citations_of_a_single_day_are_found_by_ranges_of_pmids() -> None:
    articles = make_articles(12_000, first_pmid=30_000_000, days=1)
    with NcbiServer(articles, enforce_rate=False) as server:
        found = PubMed(server.settings(), Unlimited()).search("all[sb]")
    assert found == [a.pmid for a in articles]


@settings(max_examples=12, deadline=None)
@given(
    days=st.lists(
        st.one_of(
            st.dates(dt.date(1650, 1, 1), dt.date(2026, 12, 31)),
            st.sampled_from([dt.date(2020, 2, 29), dt.date(1600, 1, 1)]),  # crowds on one day, and one out of reach
        ),
        max_size=30,
    )
)
def test_nothing_is_lost_however_the_citations_lie_in_time(days: list[dt.date]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest.pubmed_search, "LISTED_AT_MOST", 5)
        patch.setattr(tests.ncbi, "LISTED_AT_MOST", 5)
        articles = [article(pmid, day) for pmid, day in enumerate(days, start=40_000_000)]
        with NcbiServer(articles, enforce_rate=False) as server:
            found = PubMed(server.settings(), Unlimited()).search("rash")
    assert found == [a.pmid for a in articles]


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (dt.date(2010, 5, 1), dt.date(2010, 5, 31)),
        (dt.date(2024, 12, 1), None),
        (None, dt.date(2001, 2, 1)),
        (dt.date(2005, 3, 3), dt.date(2005, 3, 3)),
        (dt.date(2005, 1, 1), dt.date(2020, 12, 31)),  # more than one list
    ],
)
def test_since_and_until_limit_the_entrez_date_and_are_included(
    server: NcbiServer, pubmed: PubMed, since: dt.date | None, until: dt.date | None
) -> None:
    expected = [
        a.pmid for a in server.articles.values() if (since or dt.date.min) <= a.entrez_date <= (until or dt.date.max)
    ]
    assert expected
    assert pubmed.search("all[sb]", since=since, until=until) == expected


def test_citations_that_arrive_during_a_search_do_not_upset_it(short_lists: int) -> None:
    day = dt.date(2020, 1, 1)

    def one_more(server: NcbiServer) -> None:
        if len(server.requests) % 4 == 0:
            pmid = max(server.articles) + 1
            server.articles[pmid] = article(pmid, day + dt.timedelta(days=pmid % 50))

    articles = [article(pmid, day + dt.timedelta(days=pmid % 50)) for pmid in range(1, 31)]
    with NcbiServer(articles, enforce_rate=False, before_answer=one_more) as server:
        found = PubMed(server.settings(), Unlimited()).search("rash")
        assert set(range(1, 31)) <= set(found) <= set(server.articles)


def test_a_server_whose_numbers_never_add_up_is_not_believed(short_lists: int) -> None:
    def lose_one(server: NcbiServer) -> None:
        # The citation is there for the whole and gone for its parts.
        asked = server.requests[-1].parameters
        whole = "mindate" not in asked and "uid" not in asked["term"]
        if whole:
            server.articles[7] = article(7, dt.date(2020, 1, 7))
        else:
            server.articles.pop(7, None)

    articles = [article(pmid, dt.date(2020, 1, pmid)) for pmid in range(1, 12)]
    with (
        NcbiServer(articles, enforce_rate=False, before_answer=lose_one) as server,
        pytest.raises(RetryableFetchError, match="counts 11 citations but lists 10 of them"),
    ):
        PubMed(server.settings(), Unlimited()).search("rash")


@pytest.mark.parametrize(
    ("query", "warning"),
    [
        ("carbamazepin3", "PubMed does not find the phrase 'carbamazepin3'"),
        ('"tremor rash"', "PubMed does not know the phrase 'tremor rash' as a whole and may ignore its quotes"),
        ("xyzzy", "PubMed says: No items found."),
    ],
)
def test_what_pubmed_remarks_about_a_query_reaches_the_user(server: NcbiServer, query: str, warning: str) -> None:
    heard: list[str] = []
    PubMed(server.settings(), Unlimited(), on_warning=heard.append).search(query)
    assert warning in heard


def test_each_warning_comes_once_and_our_own_slicing_causes_none(server: NcbiServer) -> None:
    heard: list[str] = []
    pubmed = PubMed(server.settings(), Unlimited(), on_warning=heard.append)
    assert len(pubmed.search("patient")) == 25_000
    assert heard == []
    assert len(pubmed.search('"took patient"')) == 25_000
    assert heard == ["PubMed does not know the phrase 'took patient' as a whole and may ignore its quotes"]


def test_a_field_that_pubmed_does_not_know_is_refused_before_anything_is_fetched(pubmed: PubMed) -> None:
    with pytest.raises(FetchError, match=r"does not know the search field 'nosuchfield' \(fieldsnotfound\): correct"):
        pubmed.search("rash[nosuchfield]")


def test_by_default_warnings_go_to_the_log(pubmed: PubMed, caplog: pytest.LogCaptureFixture) -> None:
    pubmed.search("xyzzy")
    assert {(r.name, r.levelname) for r in caplog.records} == {("ingest.pubmed", "WARNING")}


@pytest.mark.parametrize(
    "body",
    [
        b'{"esearchresult":{"count":"3","idlist":["1","2"]}}',
        b'{"esearchresult":{"count":"2","idlist":["1","1"]}}',
        b'{"esearchresult":{"count":"2"}}',
        b'{"esearchresult":{"count":"many","idlist":[]}}',
        b"[]",
        b"Service in maintenance",
    ],
)
def test_an_answer_that_lists_other_than_it_counts_is_asked_for_again(body: bytes) -> None:
    with pytest.raises(TransientError):
        parse_search(body)


def test_an_empty_query_and_days_in_the_wrong_order_are_refused_without_a_request(
    server: NcbiServer, pubmed: PubMed
) -> None:
    with pytest.raises(FetchError, match="the query is empty"):
        pubmed.search("  ")
    with pytest.raises(FetchError, match="begin on 2020-01-02 and end before, on 2020-01-01"):
        pubmed.search("rash", since=dt.date(2020, 1, 2), until=dt.date(2020, 1, 1))
    assert server.requests == []


def test_what_is_new_since_a_day_is_what_came_and_what_was_changed() -> None:
    old = article(1, dt.date(2020, 1, 1))
    changed = replace(article(2, dt.date(2020, 1, 1)), modified=dt.date(2024, 5, 2))
    came = article(3, dt.date(2024, 5, 1))
    with NcbiServer([old, changed, came], enforce_rate=False) as server:
        pubmed = PubMed(server.settings(), Unlimited())
        assert pubmed.watch("rash", since=dt.date(2024, 5, 1)) == [2, 3]
        assert pubmed.search("rash", since=dt.date(2024, 5, 2), by="modified") == [2]
        assert pubmed.watch("rash", since=dt.date(2024, 5, 3)) == []
