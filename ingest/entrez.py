"""One request to NCBI's E-utilities: sent within the limits, read to its end, judged by its body, tried again.

The requests are built by ``Bio.Entrez``. Its own sending has no timeout, a rate limit for one thread of one process and
retries that do not wait, so sending is done here.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import html
import http.client
import importlib
import importlib.util
import io
import json
import logging
import random
import re
import time
from collections.abc import Callable
from email.message import Message
from types import ModuleType
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, quote_plus, urlsplit
from urllib.request import Request

from comention.errors import FetchError, RetryableFetchError, SettingsError
from comention.settings import NcbiSettings
from ingest import attempts as sent
from ingest.rate_limit import Limiter

LONGEST_BACKOFF = 60.0
"""Seconds that a wait between two attempts grows to at most."""

LONGEST_RETRY_AFTER = 300.0
"""Seconds that NCBI may ask to wait; beyond it the caller decides, not this process asleep."""

SLOWEST = 4096
"""Bytes a second below which an answer counts as stuck, once the timeout is over."""

# What NCBI says of a request that no repetition will improve. Everything else it says inside a 200 may pass.
_FINAL = re.compile(
    r"api key (invalid|not valid)|invalid api|empty term|invalid db|larger than|not supported", re.IGNORECASE
)

# EFetch's word for "none of these identifiers has a record".
_NOTHING_FOUND = re.compile(r"id list is empty", re.IGNORECASE)

# What NCBI's proxies call a 400 when in truth a server behind them failed.
_PASSING = re.compile(r"backend failed|temporar|rate limit|unavailable|bad gateway|timed? ?out", re.IGNORECASE)

_ERROR_ELEMENT = re.compile(rb"<ERROR>(.*?)(?:</ERROR>|$)", re.DOTALL)

_logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class TransientError(Exception):
    """One attempt failed in a way that may pass. Never leaves this package: it becomes ``RetryableFetchError``.

    Deliberately no ``URLError``: ``Bio.Entrez`` would catch it and repeat the request itself.
    """

    def __init__(
        self, reason: str, *, retry_after: float | None = None, outcome: sent.Outcome | int = "complaint"
    ) -> None:
        """Say what happened; ``retry_after`` is how many seconds NCBI asks to wait, ``outcome`` what is counted."""
        super().__init__(reason)
        self.retry_after = retry_after
        self.outcome = str(outcome)


class NothingFoundError(FetchError):
    """None of the identifiers asked for has a record."""


class EntrezClient:
    """Sends requests to the E-utilities. One instance may serve several threads."""

    def __init__(self, settings: NcbiSettings, limiter: Limiter, *, backoff: float = 1.0) -> None:
        """Prepare; nothing is sent. ``backoff`` is the longest first wait in seconds, doubled with every attempt.

        Raises:
            SettingsError: there is no email address, or the address of the E-utilities cannot be used.
        """
        if not (settings.email and settings.email.strip()):
            raise SettingsError("NCBI asks for an email address with every request: set COMENTION_NCBI__EMAIL to yours")
        self._settings = settings
        self._host = _host(settings.base_url)
        self._base = settings.base_url.rstrip("/") + "/"
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        self._limiter = limiter
        self._backoff = backoff
        self._biopython = importlib.import_module("Bio.Entrez")
        self._entrez = _own_copy(self._biopython, send=self._send)

    def call(self, utility: str, read: Callable[[bytes], Answer], **parameters: str | int) -> Answer:
        """Ask ``utility`` (``"esearch"``, ``"efetch"``) of PubMed and return what ``read`` makes of the body.

        ``read`` raises ``TransientError`` for a body that is no whole answer. Between attempts there is a wait of a
        random part of ``backoff * 2**n`` seconds ("full jitter"), on top of what ``Retry-After`` asks for.

        Raises:
            FetchError: NCBI refuses the request; the same request would be refused again.
            RetryableFetchError: NCBI did not give a whole answer in ``settings.attempts`` attempts.
        """
        attempts = self._settings.attempts
        for attempt in range(1, attempts + 1):
            try:
                answer = read(self._ask(utility, parameters))
            except TransientError as failure:
                sent.report(sent.Attempt(utility=utility, outcome=failure.outcome))
                said = self._quote(str(failure))
                if attempt == attempts:
                    # `from None`: what lies below may be the server's words, and repeat the key.
                    raise RetryableFetchError(
                        f"NCBI gave no usable answer (attempt {attempt} of {attempts}: {said}); "
                        "run the same command again later"
                    ) from None
                pause = self._pause(attempt, failure.retry_after or 0.0)
                _logger.info("%s: %s; attempt %d of %d in %.1f s", utility, said, attempt + 1, attempts, pause)
                time.sleep(pause)
            except RetryableFetchError:  # nothing was sent: the limiter has no turns to give
                raise
            except FetchError as refusal:
                outcome = "ok" if isinstance(refusal, NothingFoundError) else "refused"
                sent.report(sent.Attempt(utility=utility, outcome=outcome))
                raise
            else:
                sent.report(sent.Attempt(utility=utility, outcome="ok"))
                return answer
        raise AssertionError("settings.attempts is at least one")

    def _ask(self, utility: str, parameters: dict[str, str | int]) -> bytes:
        """One attempt: the body of NCBI's answer, once it is known to be no complaint."""
        ask = getattr(self._entrez, utility)
        settings = self._settings
        handle = ask(db="pubmed", tool=settings.tool, email=settings.email, api_key=self._key, **parameters)
        body: bytes = handle.read()
        complaint = find_complaint(body)
        if complaint is None:
            return body
        if _NOTHING_FOUND.search(complaint):
            raise NothingFoundError(self._quote(complaint))
        if _FINAL.search(complaint):
            raise FetchError(_refusal(self._quote(complaint)))
        raise TransientError(complaint)

    def _send(self, request: Request) -> _Handle:
        """Take the place of ``urlopen`` in ``Bio.Entrez``: send ``request`` to the address in the settings.

        Always by POST: an API key in an address ends up in the logs of every proxy on the way.
        """
        address, _, query = request.full_url.partition("?")
        form = request.data if request.data is not None else query.encode()
        target = self._base + address.rpartition("/")[2]
        post = Request(target, data=form, method="POST")  # noqa: S310 - the scheme is checked
        self._limiter.acquire()
        self._entrez._open.previous = 0.0  # the limiter above sets the pace
        started = time.monotonic()
        try:
            # Looked up where others replace it, to route or to watch what Biopython sends.
            with self._biopython.urlopen(post, timeout=self._settings.timeout) as response:
                return _Handle(_read_body(response, started, self._settings.timeout))
        except HTTPError as error:
            # `from None`: the reason phrase and the body are the server's, and may repeat the key.
            raise self._failure(error) from None
        except (URLError, http.client.HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            detail = str(reason) or type(reason).__name__
            raise TransientError(f"the connection to {self._host} failed ({detail})", outcome="no answer") from None

    def _failure(self, error: HTTPError) -> Exception:
        """What an HTTP status other than 200 means for the request."""
        with error:
            try:
                body = error.read(65_536)
            except (http.client.HTTPException, OSError):
                body = b""
        said = (body and find_complaint(body)) or _plain(body) or error.reason
        said = f"{said} (HTTP {error.code})"
        if _NOTHING_FOUND.search(said):
            return NothingFoundError(self._quote(said))
        if error.code in {408, 429} or error.code >= 500 or _PASSING.search(said):
            return TransientError(said, retry_after=retry_after(error.headers), outcome=error.code)
        return FetchError(_refusal(self._quote(said)))

    def _quote(self, said: str) -> str:
        """What NCBI ``said``, fit for a message: at most 200 characters, and no API key in whatever form."""
        if self._key:
            # Before it is shortened: a cut could leave half a key.
            for form in (self._key, quote(self._key, safe=""), quote_plus(self._key)):
                said = said.replace(form, "[API key]")
        return said if len(said) <= 200 else said[:199] + "…"

    def _pause(self, attempt: int, asked: float) -> float:
        """Seconds to wait after the given attempt, counted from one, where NCBI ``asked`` for so many."""
        if asked > LONGEST_RETRY_AFTER:
            raise RetryableFetchError(f"NCBI asks to wait {asked:.0f} seconds; run the same command again after that")
        longest = min(LONGEST_BACKOFF, self._backoff * 2 ** (attempt - 1))
        return asked + random.uniform(0, longest)  # noqa: S311 - spreads retries, guards nothing


class _Handle(io.BytesIO):
    """A body that has been read whole, as ``Bio.Entrez`` expects an answer."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self.headers = Message()
        # Bio.Entrez would decode text/plain; the readers here want bytes.
        self.headers["Content-Type"] = "application/octet-stream"


def find_complaint(body: bytes) -> str | None:
    """What NCBI complains about where ``body`` is no answer: an ``ERROR``, a JSON error, a web page, nothing at all."""
    head = body[:1024].lstrip().lower()
    if not head:
        return "an empty answer"
    if b"<html" in head or head.startswith(b"<!doctype html"):
        title = re.search(rb"<title>(.*?)</title>", body, re.DOTALL | re.IGNORECASE)
        return f"a web page instead of records: {_plain(title[1] if title else body)}"
    if b"<ERROR>" in body and (element := _ERROR_ELEMENT.search(body)):
        return _plain(element[1])
    if head.startswith(b"{"):
        return _find_json_complaint(body)
    return None


def _find_json_complaint(body: bytes) -> str | None:
    try:
        answer = json.loads(body, strict=False)
        said = answer.get("error") or answer.get("esearchresult", {}).get("ERROR")
    except ValueError:
        # Cut short, or NCBI's own error, which escapes its quotes as JSON does not allow.
        found = re.search(rb'"error"\s*:\s*"(.*?)(?:"\s*[,}]|$)', body, re.DOTALL | re.IGNORECASE)
        return _plain(found[1]) if found else "JSON that ends early"
    return _plain(str(said).encode()) if said else None


def _plain(said: bytes) -> str:
    """What NCBI ``said``, without markup and in one line."""
    text = said.decode("utf-8", "replace")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


def _refusal(complaint: str) -> str:
    if re.search(r"api[ -]key", complaint, re.IGNORECASE):
        return f"NCBI refuses the request: {complaint}; correct COMENTION_NCBI__API_KEY, or unset it"
    return f"NCBI refuses the request: {complaint}; correct the query, or the COMENTION_NCBI__ settings"


def _read_body(response: Any, started: float, timeout: float) -> bytes:
    """Read ``response`` to its end.

    A socket's timeout starts anew with every byte, so a trickle would never end: the whole answer has ``timeout``
    seconds and what its size takes at ``SLOWEST``.
    """
    parts: list[bytes] = []
    received = 0
    while part := response.read1(65_536):
        parts.append(part)
        received += len(part)
        if time.monotonic() - started > timeout + received / SLOWEST:
            raise TimeoutError(f"only {received} bytes in {timeout:g} seconds")
    expected = response.headers.get("Content-Length")
    if expected is not None and received < int(expected):
        raise http.client.IncompleteRead(b"".join(parts), int(expected) - received)
    return b"".join(parts)


def retry_after(headers: Message) -> float | None:
    """Seconds that a ``Retry-After`` header asks for, given as a number or as a date (RFC 9110, 10.2.3)."""
    value = (headers.get("Retry-After") or "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    now = dt.datetime.now(until.tzinfo)
    return max(0.0, (until - now).total_seconds())


def _host(base_url: str) -> str:
    """The host of an address, for messages: the address itself may carry a password."""
    try:
        parts = urlsplit(base_url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError("COMENTION_NCBI__BASE_URL is no address: write it like https://host/entrez/eutils/")
    return parts.hostname


def _own_copy(entrez: ModuleType, *, send: Callable[[Request], _Handle]) -> ModuleType:
    """A second copy of the module ``Bio.Entrez`` that sends through ``send``.

    ``Bio.Entrez`` is configured by changing its module. Changing a copy touches nobody else who uses it in this
    process, and two clients with different settings do not touch each other.
    """
    spec = entrez.__spec__
    if spec is None or spec.loader is None:
        raise ImportError("Bio.Entrez cannot be loaded a second time")
    copy: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    copy.urlopen = send
    copy.max_tries = 1
    copy.sleep_between_tries = 0
    own: ModuleType = copy
    return own
