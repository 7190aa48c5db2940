"""As long as nobody has written anything, a page that was made once is sent again, and what a browser has already is not sent.

What a page says depends on its address and on what can be seen in the database. Both together are the name under which it is
kept; when anything is written, all kept pages are forgotten. Nothing is ever shown that was not true when it was asked for.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from comention.errors import DatabaseError

KEPT_BYTES = 64 * 1024 * 1024
LARGEST_BYTES = 1024 * 1024
REVALIDATED = "private, no-cache"
"""A client may keep the answer, and asks each time whether it still holds."""

_TYPES = ("text/html", "application/json", "application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was sent."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    tag: str


class KeptAnswers:
    """Answers of one state of the database, the least used forgotten first where they take too much room. Thread-safe."""

    def __init__(self, room: int = KEPT_BYTES) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._state = ""
        self._taken = 0
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def get(self, state: str, name: str) -> Answer | None:
        """Return the answer of this name, where it was kept in this state."""
        with self._lock:
            if state != self._state:
                return None
            answer = self._answers.get(name)
            if answer is not None:
                self._answers.move_to_end(name)
            return answer

    def keep(self, state: str, name: str, answer: Answer) -> None:
        """Keep an answer of a state; those of another state are forgotten."""
        with self._lock:
            if state != self._state:
                self._state, self._taken = state, 0
                self._answers.clear()
            if (before := self._answers.pop(name, None)) is not None:
                self._taken -= len(before.body)
            self._answers[name] = answer
            self._taken += len(answer.body)
            while self._taken > self._room:
                _, forgotten = self._answers.popitem(last=False)
                self._taken -= len(forgotten.body)


class Unchanged:
    """Answers requests from what was kept, and keeps what is worth it: whole pages and JSON, found, without a cookie.

    A handler whose answer depends on the time says ``Cache-Control: no-store``; one whose answer is of another type and may be
    kept says `REVALIDATED`.
    """

    def __init__(self, app: ASGIApp, *, state: Callable[[], str]) -> None:
        self._app = app
        self._ask = state
        self._kept = KeptAnswers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on and keep the answer."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith(("/static/", "/healthz")):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            state = await to_thread.run_sync(self._ask)
        except DatabaseError:
            await self._app(scope, receive, send)  # which says so as every page does
            return
        name = "\n".join(
            (
                scope.get("root_path", ""), scope["path"], scope["query_string"].decode("latin-1"), headers.get("accept", ""),
                str("gzip" in headers.get("accept-encoding", "")), headers.get("x-requested-with", ""),
            )
        )  # fmt: skip
        answer = self._kept.get(state, name)
        if answer is None:
            await self._app(scope, receive, _Keeper(self._kept, state, name, headers, send).send)
        else:
            await _send(answer, headers, send)


class _Keeper:
    """Holds an answer back until it is whole, where it is one to keep; passes any other on as it comes."""

    def __init__(self, kept: KeptAnswers, state: str, name: str, asked: Headers, send: Send) -> None:
        self._kept, self._state, self._name, self._asked, self._send = kept, state, name, asked, send
        self._start: Message | None = None
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start" and _is_kept(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False) and len(self._body) <= LARGEST_BYTES:
            return
        start, self._start = self._start, None
        if len(self._body) > LARGEST_BYTES:
            await self._send(start)
            await self._send({**message, "body": bytes(self._body)})
            return
        body = bytes(self._body)
        answer = Answer(start["headers"], body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
        self._kept.keep(self._state, self._name, answer)
        await _send(answer, self._asked, self._send)


def _is_kept(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == 200
        and (headers.get("content-type", "").startswith(_TYPES) or headers.get("cache-control") == REVALIDATED)
        and "set-cookie" not in headers
        and "etag" not in headers
        and "no-store" not in headers.get("cache-control", "")
    )


async def _send(answer: Answer, asked: Headers, send: Send) -> None:
    """Send an answer with its tag, or say that the browser has it."""
    known = [tag.strip().removeprefix("W/") for tag in asked.get("if-none-match", "").split(",")]
    same = answer.tag in known or "*" in known
    start: Message = {"type": "http.response.start", "status": 304 if same else 200, "headers": list(answer.headers)}
    headers = MutableHeaders(raw=start["headers"])
    headers["etag"] = answer.tag
    if same:
        for name in ("content-length", "content-type", "content-encoding"):
            if name in headers:
                del headers[name]
    await send(start)
    await send({"type": "http.response.body", "body": b"" if same else answer.body})
