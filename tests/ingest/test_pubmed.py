"""Fetching: requested = returned + explained, whatever NCBI leaves out, repeats, cuts short or refuses."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from comention.errors import SettingsError
from comention.settings import NcbiSettings
from comention.types import Citation, Record, RefusedRecord
from ingest.pubmed import PubMed
from tests.ncbi import Article, Fault, Faults, NcbiServer, Unlimited, make_articles
from tests.timing import on_a_calm_machine

PASSING = [
    Fault.TOO_MANY,
    Fault.SERVER_ERROR,
    Fault.WEB_PAGE,
    Fault.ERROR_ELEMENT,
    Fault.CUT_BODY,
    Fault.CUT_ANSWER,
    Fault.SLOW,
    Fault.SILENT,
    Fault.DROPPED,
]


@pytest.fixture(scope="module")
def server() -> Iterator[NcbiServer]:
    with NcbiServer(make_articles(300, first_pmid=1001), enforce_rate=False) as running:
        yield running


def fetch(server: NcbiServer, pmids: list[int], **changes: object) -> list[Record]:
    return list(PubMed(server.settings(**changes), Unlimited(), backoff=0.01).fetch(pmids))


def test_records_come_in_the_order_asked_for_with_their_text(server: NcbiServer) -> None:
    wanted = [1300, 1001, 1150]
    records = fetch(server, wanted)
    assert [record.pmid for record in records] == wanted
    for record in records:
        assert isinstance(record, Citation)
        assert record.title == server.articles[record.pmid].title
        assert record.abstract == f"{server.articles[record.pmid].abstract} Revision 1."


def test_a_pmid_without_a_record_is_explained(server: NcbiServer) -> None:
    records = fetch(server, [1001, 999_999, 1002])
    assert records[1] == RefusedRecord(
        position=2, pmid=999_999, reason="NCBI returned no record for this PMID", missing=True
    )
    assert [type(record) for record in records] == [Citation, RefusedRecord, Citation]


@pytest.mark.parametrize("fault", [None, Fault.NO_RECORDS])
def test_a_batch_without_any_record_is_explained_whether_ncbi_answers_with_nothing_or_refuses(
    fault: Fault | None,
) -> None:
    with NcbiServer(faults=Faults(schedule=[fault]), enforce_rate=False) as server:
        records = fetch(server, [5, 6])
        assert [(type(record), record.pmid) for record in records] == [(RefusedRecord, 5), (RefusedRecord, 6)]
        assert len(server.requests) == 1


def test_what_is_no_pmid_is_explained_without_asking_ncbi(server: NcbiServer) -> None:
    before = len(server.requests)
    records = fetch(server, [0, -3, 2**31])
    assert [record.pmid for record in records] == [0, -3, 2**31]
    assert all(isinstance(record, RefusedRecord) and "no PMID" in record.reason for record in records)
    assert len(server.requests) == before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pmids=st.lists(st.integers(-2, 1320), max_size=60), batch_size=st.integers(1, 25))
def test_requested_is_returned_plus_explained(server: NcbiServer, pmids: list[int], batch_size: int) -> None:
    records = fetch(server, pmids, batch_size=batch_size)
    assert [record.pmid for record in records] == list(dict.fromkeys(pmids))
    for position, record in enumerate(records, start=1):
        if record.pmid in server.articles:
            assert isinstance(record, Citation)
        else:
            assert isinstance(record, RefusedRecord)
            assert record.position == position


def test_pmids_are_asked_for_in_batches_by_post_and_only_as_they_are_needed(server: NcbiServer) -> None:
    server.requests.clear()
    records = PubMed(server.settings(batch_size=100), Unlimited()).fetch(iter(range(1001, 1301)))
    assert server.requests == []
    first = list(itertools.islice(records, 100))
    assert [len(asked.pmids) for asked in server.requests] == [100]
    assert len([*first, *records]) == 300
    assert [len(asked.pmids) for asked in server.requests] == [100, 100, 100]
    assert {asked.method for asked in server.requests} == {"POST"}


@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_that_passes_costs_one_more_request_and_nothing_else(fault: Fault) -> None:
    articles = make_articles(20)
    timeout = 0.3 if fault in {Fault.SLOW, Fault.SILENT} else 20
    with NcbiServer(articles, faults=Faults(schedule=[fault, None, fault]), enforce_rate=False) as server:
        pubmed = PubMed(server.settings(timeout=timeout), Unlimited(), backoff=0.01)
        pmids = pubmed.search("all[sb]")
        records = list(pubmed.fetch(pmids))
        assert [asked.utility for asked in server.requests] == ["esearch", "esearch", "efetch", "efetch"]
    assert pmids == [a.pmid for a in articles]
    assert [record.pmid for record in records] == pmids
    assert all(isinstance(record, Citation) for record in records)


@pytest.mark.parametrize("seed", [1, 2])
def test_with_every_tenth_answer_faulty_nothing_is_lost_and_nothing_comes_twice(seed: int) -> None:
    faults = Faults(probability=dict.fromkeys(PASSING, 0.1 / len(PASSING)), seed=seed)
    with NcbiServer(make_articles(12_000), faults=faults, enforce_rate=False) as server:
        pubmed = PubMed(server.settings(batch_size=25, timeout=0.5), Unlimited(), backoff=0.01)
        found = pubmed.search("all[sb]")
        wanted = found[:2500]
        records = list(pubmed.fetch(wanted))
        faulty = sum(asked.fault is not None for asked in server.requests)
    assert found == sorted(server.articles)
    assert faulty >= 5
    assert [record.pmid for record in records] == wanted
    assert all(isinstance(record, Citation) for record in records)


def test_a_record_that_changed_between_two_fetches_arrives_as_it_is_now() -> None:
    with NcbiServer(make_articles(3), revise_between_calls=True, enforce_rate=False) as server:
        first, second = fetch(server, [1, 2]), fetch(server, [1, 2])
    for old, new in zip(first, second, strict=True):
        assert isinstance(old, Citation)
        assert isinstance(new, Citation)
        assert (old.abstract[-2:], new.abstract[-2:]) == ("1.", "2.")
        assert old.content_hash != new.content_hash


class OddAnswer(Article):
    """Answers a request for its PMID with something odd: the text of ``abstract``, its marks replaced."""

    def xml(self) -> str:
        """Records as ``abstract`` lists them: PMID/version, and ``!`` for one with a character that XML forbids."""
        records = []
        for record in self.abstract.split():
            pmid, _, version = record.rstrip("!").partition("/")
            title = "Broken &#0; title" if record.endswith("!") else f"Version {version}"
            records.append(
                f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID>'
                f"<Article><ArticleTitle>{title}</ArticleTitle></Article></MedlineCitation></PubmedArticle>"
            )
        return "".join(records)


@pytest.mark.parametrize(
    ("answered", "title"),
    [
        ("2/1 2/2", "Version 2"),  # the highest version, wherever it stands
        ("2/2 2/1", "Version 2"),
        ("2/1 2/2!", "Version 1"),  # a usable record before a broken one
        ("2/2! 2/1", "Version 1"),
        ("7/1", None),  # a record of somebody else
        ("2/1!", None),
        ("/1", None),
        ("", None),
    ],
)
def test_whatever_ncbi_answers_each_pmid_is_returned_or_explained_once(answered: str, title: str | None) -> None:
    odd = OddAnswer(pmid=2, entrez_date=dt.date(2020, 1, 1), title="", abstract=answered)
    articles = make_articles(3)
    articles[1] = odd
    with NcbiServer(articles, enforce_rate=False) as server:
        records = fetch(server, [1, 2, 3], batch_size=1)
    assert [record.pmid for record in records] == [1, 2, 3]
    middle = records[1]
    if title is None:
        assert isinstance(middle, RefusedRecord)
        assert middle.position == 2
    else:
        assert isinstance(middle, Citation)
        assert middle.title == title


def test_a_record_that_disappears_between_search_and_fetch_is_explained() -> None:
    with NcbiServer(make_articles(5), enforce_rate=False) as server:
        pubmed = PubMed(server.settings(), Unlimited())
        pmids = pubmed.search("all[sb]")
        server.missing.add(3)
        records = list(pubmed.fetch(pmids))
    assert [(record.pmid, isinstance(record, Citation)) for record in records] == [
        (1, True),
        (2, True),
        (3, False),
        (4, True),
        (5, True),
    ]


@pytest.mark.parametrize(("api_key", "limit", "requests"), [(None, 3, 8), ("some-key", 10, 24)])
def test_four_threads_that_share_a_pubmed_never_exceed_ncbis_limit(
    api_key: str | None, limit: int, requests: int
) -> None:
    def measure() -> None:
        with NcbiServer(make_articles(requests)) as server:
            pubmed = PubMed(server.settings(batch_size=1, api_key=api_key))
            records: list[Record] = []

            def fetch_share(share: int) -> None:
                records.extend(pubmed.fetch(range(1 + share, requests + 1, 4)))

            threads = [threading.Thread(target=fetch_share, args=(share,)) for share in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(record.pmid or 0 for record in records) == list(range(1, requests + 1))
            assert server.busiest_second() <= limit
            assert server.refused_for_rate == 0

    on_a_calm_machine(measure)


@pytest.mark.parametrize("email", [None, "", "  "])
def test_without_an_email_address_there_is_one_sentence_about_it(email: str | None) -> None:
    with pytest.raises(SettingsError, match="set COMENTION_NCBI__EMAIL"):
        PubMed(NcbiSettings(email=email))


@pytest.mark.parametrize("base_url", ["eutils.ncbi.nlm.nih.gov", "file:///etc/passwd", "http://", "http://[oops"])
def test_an_address_that_is_none_is_named_by_its_setting(base_url: str) -> None:
    with pytest.raises(SettingsError, match="COMENTION_NCBI__BASE_URL"):
        PubMed(NcbiSettings(email="a@example.org", base_url=base_url, api_key=SecretStr("k")))
