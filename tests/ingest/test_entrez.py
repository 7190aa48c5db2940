"""One request: how often it is tried, how long it waits, what its errors say and what they never say."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import subprocess
import sys
import time
import traceback
import urllib.request
from pathlib import Path

import pytest
from Bio import Entrez

from comention.errors import FetchError, RetryableFetchError
from ingest.entrez import EntrezClient, TransientError, find_complaint
from tests.ncbi import Fault, Faults, NcbiServer, Unlimited, make_articles

KEY = "0123456789abcdef+/0123456789abcdef"


def ask(server: NcbiServer, *, backoff: float = 0.01, term: str = "rash", **changes: object) -> bytes:
    client = EntrezClient(server.settings(**changes), Unlimited(), backoff=backoff)
    return client.call("esearch", bytes, term=term, retmode="json")


def always(fault: Fault, retry_after: str = "1") -> NcbiServer:
    faults = Faults(probability={fault: 1.0}, retry_after=retry_after)
    return NcbiServer(make_articles(3), faults=faults, enforce_rate=False)


@pytest.mark.parametrize("attempts", [1, 4])
@pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.TOO_MANY, Fault.DROPPED, Fault.CUT_BODY])
def test_a_request_is_tried_as_often_as_the_settings_say_and_no_more(fault: Fault, attempts: int) -> None:
    with always(fault) as server, pytest.raises(RetryableFetchError, match=f"attempt {attempts} of {attempts}: "):
        ask(server, attempts=attempts)
    assert len(server.requests) == attempts


def test_fewer_bytes_than_announced_are_no_answer_whatever_they_look_like() -> None:
    with always(Fault.CUT_BODY) as server, pytest.raises(RetryableFetchError, match="IncompleteRead"):
        EntrezClient(server.settings(attempts=1), Unlimited()).call("efetch", bytes, id="1,2,3")


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.SILENT])
def test_neither_silence_nor_a_trickle_is_waited_for_longer_than_the_timeout(fault: Fault) -> None:
    started = time.monotonic()
    with always(fault) as server, pytest.raises(RetryableFetchError):
        ask(server, attempts=1, timeout=0.3)
    assert 0.3 <= time.monotonic() - started < 2.0


def test_a_server_that_is_not_there_is_a_retryable_error_that_names_it() -> None:
    with NcbiServer() as server:
        settings = server.settings(attempts=2)
    client = EntrezClient(settings, Unlimited(), backoff=0.01)
    with pytest.raises(RetryableFetchError, match=r"the connection to 127\.0\.0\.1 failed"):
        client.call("esearch", bytes, term="rash")


def test_the_waits_double_at_most() -> None:
    started = time.monotonic()
    with always(Fault.SERVER_ERROR) as server, pytest.raises(RetryableFetchError):
        ask(server, attempts=5, backoff=0.05)
    for number, (before, after) in enumerate(zip(server.requests, server.requests[1:], strict=False)):
        assert after.at - before.at < 0.05 * 2**number + 0.3
    assert time.monotonic() - started < 0.05 * 15 + 1.0


def test_retry_after_is_obeyed_in_seconds() -> None:
    with NcbiServer(faults=Faults(schedule=[Fault.TOO_MANY_RETRY_AFTER]), enforce_rate=False) as server:
        ask(server)
    first, second = server.requests
    assert 1.0 <= second.at - first.at < 2.0


def test_retry_after_is_obeyed_as_a_date() -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    faults = Faults(schedule=[Fault.TOO_MANY_RETRY_AFTER], retry_after=email.utils.format_datetime(soon, usegmt=True))
    with NcbiServer(faults=faults, enforce_rate=False) as server:
        ask(server)
        # The header has whole seconds.
        assert dt.datetime.now(dt.UTC) >= soon.replace(microsecond=0)
    assert server.requests[1].at - server.requests[0].at < 3.5


@pytest.mark.parametrize("value", ["soon", "", "-5", "Wed, 99 Nov 2026 10:00:00 GMT"])
def test_a_retry_after_that_nobody_understands_is_no_reason_to_fail(value: str) -> None:
    faults = Faults(schedule=[Fault.TOO_MANY_RETRY_AFTER], retry_after=value)
    with NcbiServer(faults=faults, enforce_rate=False) as server:
        assert b'"count": "0"' in ask(server)


def test_a_retry_after_of_an_hour_is_handed_to_the_caller() -> None:
    with always(Fault.TOO_MANY_RETRY_AFTER, "3600") as server:
        with pytest.raises(RetryableFetchError, match="asks to wait 3600 seconds"):
            ask(server)
        assert len(server.requests) == 1


def test_an_invalid_api_key_is_one_sentence_and_is_not_tried_again() -> None:
    with NcbiServer(valid_keys=[], enforce_rate=False) as server:
        with pytest.raises(FetchError, match=r"API key invalid.*correct COMENTION_NCBI__API_KEY") as caught:
            ask(server, api_key=KEY)
        assert not caught.value.retryable
        assert len(server.requests) == 1


# The padding moves the key over the place where a long message is cut.
@pytest.mark.parametrize(
    ("fault", "padding"),
    [(None, 0), *((fault, 0) for fault in Fault), *((Fault.ECHO, n) for n in (70, 90, 100, 110, 120))],
)
def test_the_api_key_is_never_told(
    fault: Fault | None, padding: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(body: bytes) -> None:
        raise TransientError(f"not understood: {body.decode()} {KEY}")

    caplog.set_level(logging.DEBUG)
    faults = Faults(probability={fault: 1.0} if fault else {}, retry_after="0")
    with NcbiServer(faults=faults, valid_keys=None if fault else [], enforce_rate=False) as server:
        client = EntrezClient(server.settings(api_key=KEY, attempts=2, timeout=0.3), Unlimited(), backoff=0.001)
        with pytest.raises(FetchError) as caught:
            client.call("efetch", refuse, aa="x" * padding, id="1")
        assert [asked.parameters["api_key"] for asked in server.requests][:1] == [KEY], "NCBI does get the key"
        assert all(asked.path.endswith(".fcgi") for asked in server.requests), "but never in an address"
    out, err = capfd.readouterr()
    told = "".join([caplog.text, out, err, *traceback.format_exception(caught.value), repr(caught.value)])
    for trace in [KEY, KEY[:12], KEY[-12:]]:
        assert trace not in told


def test_the_cause_of_an_error_is_told_up_to_the_place_of_the_key() -> None:
    with always(Fault.ECHO) as server, pytest.raises(FetchError, match=r"Cannot understand .*\[API key\]"):
        ask(server, api_key=KEY)


def test_an_error_that_no_repetition_improves_is_not_tried_again_even_inside_a_200() -> None:
    with NcbiServer(enforce_rate=False) as server:
        with pytest.raises(FetchError, match="Empty term and query_key"):
            ask(server, term="")
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "an empty answer"),
        (b" \n", "an empty answer"),
        (b'{"error":"API rate limit exceeded","api-key":"1.2.3.4","count":"4"}', "API rate limit exceeded"),
        (b'{"esearchresult":{"ERROR":"Search Backend failed: Exception:\n\\\'x\\\'"}}', "Search Backend failed"),
        (b'{"esearchresult":{"count":"3","idl', "JSON that ends early"),
        (b'<?xml version="1.0"?><eFetchResult><ERROR>Cannot process <b>ID</b> list</ERROR>', "Cannot process ID list"),
        (b"<!DOCTYPE html><html><head><title>Bad\nGateway</title>", "a web page instead of records: Bad Gateway"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC '-//W3C//DTD XHTML'><html>Sorry</html>", "a web page"),
    ],
)
def test_the_body_of_a_200_is_read_for_complaints(body: bytes, complaint: str) -> None:
    found = find_complaint(body)
    assert found is not None
    assert found.startswith(complaint)


@pytest.mark.parametrize(
    "body",
    [
        b"<PubmedArticleSet></PubmedArticleSet>",
        b'{"esearchresult":{"count":"0","idlist":[]}}',
        b"<PubmedArticleSet><ArticleTitle>The &lt;ERROR&gt; of &lt;html&gt;</ArticleTitle></PubmedArticleSet>",
    ],
)
def test_an_answer_is_no_complaint(body: bytes) -> None:
    assert find_complaint(body) is None


def test_every_request_names_the_tool_and_the_address_of_its_user() -> None:
    with NcbiServer(enforce_rate=False) as server:
        ask(server, tool="some-tool")
    asked = server.requests[0].parameters
    assert (asked["tool"], asked["email"], asked["db"]) == ("some-tool", "someone@example.org", "pubmed")


def test_biopython_itself_is_left_as_it_was() -> None:
    before = dict(vars(Entrez))
    with NcbiServer(enforce_rate=False) as server:
        ask(server, api_key=KEY)
    assert dict(vars(Entrez)) == before
    assert Entrez.urlopen is urllib.request.urlopen  # type: ignore[attr-defined]  # Biopython does not list it


def test_two_clients_with_different_servers_do_not_disturb_each_other() -> None:
    with NcbiServer(enforce_rate=False) as one, NcbiServer(enforce_rate=False) as other:
        first = EntrezClient(one.settings(email="one@example.org"), Unlimited())
        second = EntrezClient(other.settings(email="other@example.org"), Unlimited())
        for client in (first, second, first):
            client.call("esearch", bytes, term="rash", retmode="json")
    assert [asked.parameters["email"] for asked in one.requests] == ["one@example.org"] * 2
    assert [asked.parameters["email"] for asked in other.requests] == ["other@example.org"]


def test_biopythons_own_pause_between_requests_is_not_added_to_ours() -> None:
    with NcbiServer(enforce_rate=False) as server:
        client = EntrezClient(server.settings(), Unlimited())
        started = time.monotonic()
        for _ in range(10):
            client.call("esearch", bytes, term="rash", retmode="json")
    assert time.monotonic() - started < 10 * 0.37 / 2


def test_importing_the_module_loads_neither_biopython_nor_a_parser() -> None:
    heavy = "{'Bio', 'lxml', 'redis'} & set(sys.modules)"
    code = f"import sys, ingest.pubmed; sys.exit(str({heavy}) if {heavy} else 0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
