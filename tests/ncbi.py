"""A stand-in for NCBI's E-utilities: a real HTTP server over made-up citations, with NCBI's limits and NCBI's failures.

    with NcbiServer(make_articles(25_000)) as ncbi:
        pubmed = PubMed(ncbi.settings())

Everything it does follows from its arguments and the order of the requests; what it was asked stands in ``requests``.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from comention.settings import NcbiSettings
from tests.ncbi_articles import Article, Query, make_articles

__all__ = ["Article", "Asked", "Fault", "Faults", "NcbiServer", "Unlimited", "busiest_second", "make_articles"]

LISTED_AT_MOST = 9_999
IDS_IN_AN_ADDRESS = 200
PATH = "/entrez/eutils/"


class Fault(enum.Enum):
    """Ways in which an answer can go wrong."""

    TOO_MANY = "a 429, as NCBI sends it, without Retry-After"
    TOO_MANY_RETRY_AFTER = "a 429 with Retry-After"
    SERVER_ERROR = "a 500"
    WEB_PAGE = "a web page in a 200"
    ERROR_ELEMENT = "an error in a 200, in the format asked for"
    CUT_BODY = "fewer bytes than Content-Length says"
    CUT_ANSWER = "a whole HTTP answer around half of the content"
    SLOW = "a trickle of single bytes that does not end"
    SILENT = "no answer, on a connection that stays open"
    DROPPED = "a connection closed before any answer"
    ECHO = "a 400 that repeats the whole request, in its status line and in plain text"
    NO_RECORDS = "the 400 of an EFetch that knows none of the identifiers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Which requests go wrong: by ``schedule`` (the first, the second, ...), after it with ``probability`` each."""

    schedule: Sequence[Fault | None] = ()
    probability: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    retry_after: str = "1"

    def of(self, number: int) -> Fault | None:
        """The fault of a request, counted from zero; the same for the same seed."""
        if number < len(self.schedule):
            return self.schedule[number]
        throw = random.Random(f"{self.seed}/{number}").random()
        for fault, probability in self.probability.items():
            throw -= probability
            if throw < 0:
                return fault
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it arrived; ``at`` in seconds of the monotonic clock."""

    at: float
    method: str
    utility: str
    parameters: Mapping[str, str]
    path: str
    fault: Fault | None

    @property
    def pmids(self) -> list[int]:
        """The PMIDs of its ``id``."""
        return [int(pmid) for pmid in self.parameters.get("id", "").split(",") if pmid]


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None


def _json_reply(status: int, content: object, **headers: str) -> _Reply:
    return _Reply(status, "application/json", json.dumps(content).encode(), headers)


def _xml_reply(content: str, status: int = 200) -> _Reply:
    return _Reply(status, "text/xml; charset=UTF-8", f'<?xml version="1.0" ?>\n{content}'.encode())


class NcbiServer:
    """Serves ESearch, EFetch and EPost of the database ``pubmed`` on a free port, until the ``with`` block ends."""

    def __init__(
        self,
        articles: Iterable[Article] = (),
        *,
        faults: Faults | None = None,
        enforce_rate: bool = True,
        valid_keys: Iterable[str] | None = None,
        revise_between_calls: bool = False,
        before_answer: Callable[[NcbiServer], None] | None = None,
    ) -> None:
        """Prepare.

        ``enforce_rate`` refuses the 4th request of a second (with an API key the 11th) with a 429. ``valid_keys``
        refuses all other keys with a 400 that repeats the key. ``revise_between_calls`` changes a record each time it
        is fetched. ``before_answer`` may change ``articles`` and ``missing`` while a search or fetch is going on.
        """
        self.articles = {article.pmid: article for article in articles}
        self.faults = faults or Faults()
        self.missing: set[int] = set()
        self.requests: list[Asked] = []
        self.refused_for_rate = 0
        self._enforce_rate = enforce_rate
        self._valid_keys = None if valid_keys is None else set(valid_keys)
        self._revise = revise_between_calls
        self._before_answer = before_answer
        self._recent: dict[str, deque[float]] = {}
        self._posted: dict[str, list[int]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """The address for ``NcbiSettings.base_url``."""
        return f"http://127.0.0.1:{self._http.server_address[1]}{PATH}"

    def settings(self, **changes: Any) -> NcbiSettings:
        """Settings that lead here, with some changed."""
        given = {"email": "someone@example.org", "base_url": self.base_url, "timeout": 20.0, **changes}
        return NcbiSettings.model_validate(given)

    def __enter__(self) -> NcbiServer:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving; trickles end."""
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def busiest_second(self) -> int:
        """The highest number of requests that arrived within any one second."""
        return busiest_second(asked.at for asked in self.requests)

    # What follows runs in the threads of the HTTP server.

    def answer(self, method: str, path: str, form: str) -> tuple[_Reply, Fault | None]:
        """The reply to a request, and what shall happen to it on the way."""
        at = time.monotonic()
        address = urlsplit(path)
        given = parse_qs(form if method == "POST" else address.query, keep_blank_values=True)
        parameters = {name: values[-1] for name, values in given.items()}
        utility = address.path.removeprefix(PATH).removesuffix(".fcgi")
        with self._lock:
            fault = self.faults.of(len(self.requests))
            asked = Asked(at=at, method=method, utility=utility, parameters=parameters, path=path, fault=fault)
            self.requests.append(asked)
            if self._before_answer:
                self._before_answer(self)
            return self._failure(asked) or self._reply(asked), fault

    def _failure(self, asked: Asked) -> _Reply | None:
        """The reply where a fault, a limit or a key stands in the way."""
        key = asked.parameters.get("api_key")
        everything = f"{asked.path}?{urlencode(asked.parameters)}"
        if self._valid_keys is not None and key is not None and key not in self._valid_keys:
            return _json_reply(400, {"error": "API key invalid", "api-key": key, "type": "invalid", "url": everything})
        limit = 10 if key else 3
        recent = self._recent.setdefault(key or "address", deque(maxlen=limit))
        too_soon = len(recent) == limit and asked.at - recent[0] < 1.0
        recent.append(asked.at)
        if self._enforce_rate and too_soon:
            self.refused_for_rate += 1
            return _too_many(key, limit)
        match asked.fault:
            case Fault.TOO_MANY:
                return _too_many(key, limit)
            case Fault.TOO_MANY_RETRY_AFTER:
                return _too_many(key, limit, **{"Retry-After": self.faults.retry_after})
            case Fault.SERVER_ERROR:
                return _Reply(500, "text/html", b"<html><head><title>Internal Server Error</title></head></html>")
            case Fault.WEB_PAGE:
                title = "<title>NCBI - WWW Error Diagnostic</title>"
                page = f"<!DOCTYPE html>\n<html><head>{title}</head><body>Sorry</body></html>"
                return _Reply(200, "text/html", page.encode())
            case Fault.ERROR_ELEMENT if asked.parameters.get("retmode") == "json":
                # NCBI escapes its quotes as JSON does not allow, and breaks the line.
                said = "Search Backend failed: Exception:\n\\'PubMed\\' is not reachable"
                return _Reply(200, "application/json", f'{{"esearchresult":{{"ERROR":"{said}"}}}}'.encode())
            case Fault.ERROR_ELEMENT:
                said = "Search Backend failed: read request has failed."
                return _xml_reply(f"<eFetchResult>\n<ERROR>{said}</ERROR>\n</eFetchResult>")
            case Fault.ECHO:
                said = f"Cannot understand {everything}"
                return _Reply(400, "text/plain", said.encode(), reason=said)
            case Fault.NO_RECORDS:
                return _no_records()
        return None

    def _reply(self, asked: Asked) -> _Reply:
        if asked.parameters.get("db") != "pubmed":
            return _xml_reply("<eSearchResult><ERROR>Invalid db name specified</ERROR></eSearchResult>", 400)
        if asked.method == "GET" and asked.parameters.get("id", "").count(",") >= IDS_IN_AN_ADDRESS:
            return _Reply(414, "text/html", b"<html><head><title>414 Request-URI Too Large</title></head></html>")
        match asked.utility:
            case "esearch":
                return self._esearch(asked.parameters)
            case "efetch":
                return self._efetch(asked)
            case "epost":
                return self._epost(asked)
        return _Reply(404, "text/html", b"<html><head><title>404 Not Found</title></head></html>")

    def _esearch(self, parameters: Mapping[str, str]) -> _Reply:
        if parameters.get("retmode") != "json":
            raise NotImplementedError("the stand-in answers ESearch in JSON only")
        term = parameters.get("term", "").strip()
        start, at_most = int(parameters.get("retstart", 0)), int(parameters.get("retmax", 20))
        if not term:
            return _search_error("Empty term and query_key - nothing todo")
        if start > LISTED_AT_MOST - 1:
            return _search_error(
                "Search Backend failed: Exception: 'retstart' cannot be larger than 9998. For PubMed, ESearch can only "
                "retrieve the first 9,999 records matching the query."
            )
        query = Query(term)
        first, last = parameters.get("mindate"), parameters.get("maxdate")
        # As NCBI does: one end of a range of dates without the other is no range.
        days = (_day(first), _day(last)) if first and last else None
        by = parameters.get("datetype")
        if days and by not in ("edat", "mdat"):
            raise NotImplementedError("the stand-in knows Entrez and modification dates only")
        found = [
            article.pmid
            for article in self.articles.values()
            if (days is None or days[0] <= _dated(article, by) <= days[1]) and query.matches(article)
        ]
        found.sort(reverse=True)
        restricted = start + at_most > LISTED_AT_MOST
        listed = found[start : min(start + at_most, LISTED_AT_MOST)]
        result: dict[str, object] = {
            "count": str(len(found)),
            "retmax": str(len(listed)),
            "retstart": str(start),
            "idlist": [str(pmid) for pmid in listed],
            "querytranslation": term,
        }
        remarks = [*(["No items found."] if not found else [])]
        if restricted and len(found) > LISTED_AT_MOST:
            remarks.append("Restrictions achieved. start and count adjusted to 0, 9999")
        unknown = query.unknown_words(self.articles.values()) if not found else []
        if query.unknown_fields or unknown:
            result["errorlist"] = {"phrasesnotfound": unknown, "fieldsnotfound": query.unknown_fields}
        quoted = query.unknown_phrases(self.articles.values())
        if remarks or quoted:
            result["warninglist"] = {
                "phrasesignored": [],
                "quotedphrasesnotfound": quoted,
                "outputmessages": remarks,
            }
        return _json_reply(200, {"header": {"type": "esearch", "version": "0.3"}, "esearchresult": result})

    def _efetch(self, asked: Asked) -> _Reply:
        pmids = asked.pmids
        if "WebEnv" in asked.parameters:
            start = int(asked.parameters.get("retstart", 0))
            posted = self._posted.get(asked.parameters["WebEnv"], [])
            pmids = posted[start : start + int(asked.parameters.get("retmax", 20))]
        if not pmids:
            return _no_records()
        # PubMed serves 9,999 records of a request and leaves out, without a word, what it does not have.
        have = [pmid for pmid in pmids[:LISTED_AT_MOST] if pmid in self.articles and pmid not in self.missing]
        return _xml_reply(f"<PubmedArticleSet>{''.join(self._current(have))}</PubmedArticleSet>")

    def _current(self, pmids: Iterable[int]) -> Iterator[str]:
        for pmid in pmids:
            article = self.articles[pmid]
            yield article.xml()
            if self._revise:
                self.articles[pmid] = replace(article, revision=article.revision + 1)

    def _epost(self, asked: Asked) -> _Reply:
        environment = f"MCID_{len(self._posted) + 1:032}"
        self._posted[environment] = asked.pmids
        return _xml_reply(f"<ePostResult><QueryKey>1</QueryKey><WebEnv>{environment}</WebEnv></ePostResult>")

    def trickle(self) -> Iterator[bytes]:
        """Single bytes, until the server stops."""
        while not self._closing.wait(0.02):
            yield b" "

    def wait_until_closing(self) -> None:
        """Return when the ``with`` block ends."""
        self._closing.wait()


class Unlimited:
    """A limiter that lets everybody pass, for a server with ``enforce_rate=False``."""

    def acquire(self) -> None:
        """Return at once."""


def busiest_second(moments: Iterable[float], *, apart_from: Sequence[tuple[float, float]] = ()) -> int:
    """The highest number of ``moments`` (seconds) within any one second, wherever it begins.

    ``apart_from`` are stretches of which nothing is known, as those in which the machine did not let anybody run.
    """
    times = sorted(m for m in moments if not any(begin <= m <= end for begin, end in apart_from))
    busiest = first = 0
    for last, moment in enumerate(times):
        while moment - times[first] >= 1.0:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest


def _too_many(key: str | None, limit: int, **headers: str) -> _Reply:
    content = {
        "error": "API rate limit exceeded",
        "api-key": key or "127.0.0.1",
        "count": f"{limit + 1}",
        "limit": f"{limit}",
    }
    return _json_reply(429, content, **headers)


def _no_records() -> _Reply:
    said = "ID list is empty! In it there are neither IDs nor accessions."
    return _xml_reply(f"<eFetchResult>\n<ERROR>{said}</ERROR>\n</eFetchResult>", 400)


def _search_error(said: str) -> _Reply:
    return _json_reply(200, {"header": {"type": "esearch", "version": "0.3"}, "esearchresult": {"ERROR": said}})


def _dated(article: Article, by: str | None) -> dt.date:
    return article.modification_date if by == "mdat" else article.entrez_date


def _day(text: str) -> dt.date:
    return dt.datetime.strptime(text, "%Y/%m/%d").date()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: NcbiServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep a client that has hung up out of the test's output."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve("")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Write nothing; what was asked stands in ``NcbiServer.requests``."""

    def _serve(self, form: str) -> None:
        reply, fault = self.server.owner.answer(self.command, self.path, form)
        self.close_connection = True
        if fault is Fault.SILENT:
            self.server.owner.wait_until_closing()
        if fault in {Fault.SILENT, Fault.DROPPED}:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = reply.body
        if fault is Fault.CUT_ANSWER:
            body = body[: len(body) // 2]
        self.send_response(reply.status, reply.reason)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(10**9 if fault is Fault.SLOW else len(body)))
        self.send_header("Connection", "close")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if fault is Fault.SLOW:
            for byte in self.server.owner.trickle():
                self.wfile.write(byte)
        else:
            self.wfile.write(body[: len(body) // 2] if fault is Fault.CUT_BODY else body)
