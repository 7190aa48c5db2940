"""Who may read, and what a browser may do with what it gets.

Without a token the dashboard answers only requests that name this machine itself, so that no page of another site can reach it
through a name that leads here. With a token, whoever reads logs in with it once and then carries a signed cookie, or sends it
with each request as a bearer.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.api.problems import is_api, kind_of_status, problem

COOKIE = "comention_session"
ADDRESS_LENGTH = 8_000
BODY_BYTES = 16_384
FAILURES_PER_MINUTE = 20
_OPEN_PATHS = ("/login", "/static/", "/healthz")

POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
        "font-src 'self'", "form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass
class Gate:
    """Tokens and the cookies that stand for them. A cookie says until when it is good and is signed with the token."""

    token: str
    seconds: float
    _failures: deque[float] = field(default_factory=deque)

    def accepts(self, token: str) -> bool:
        """Compare a token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def is_overrun(self) -> bool:
        """Say whether so many wrong tokens came within a minute that no more are looked at."""
        now = time.monotonic()
        while self._failures and self._failures[0] < now - 60:
            self._failures.popleft()
        return len(self._failures) >= FAILURES_PER_MINUTE

    def note_failure(self) -> None:
        """Count a wrong token."""
        self._failures.append(time.monotonic())

    def new_cookie(self) -> str:
        """Return a cookie that is good from now on."""
        until = str(int(time.time() + self.seconds))
        return f"{until}.{self._sign(until)}"

    def accepts_cookie(self, cookie: str) -> bool:
        """Say whether we signed the cookie and its time has not run out."""
        until, _, signature = cookie.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(until).encode()):
            return False
        return until.isdigit() and int(until) > time.time()

    def _sign(self, until: str) -> str:
        return hmac.new(self.token.encode(), f"session {until}".encode(), hashlib.sha256).hexdigest()

    def admits(self, request: Request) -> bool:
        """Say whether a request carries a cookie of ours or the token itself."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self.is_overrun():
                return False
            if self.accepts(credentials.strip()):
                return True
            self.note_failure()
            return False
        return self.accepts_cookie(request.cookies.get(COOKIE, ""))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further: a status and a sentence."""

    status: int
    said: str
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, request: Request) -> Response:
        """Return the answer: a line of text, or what the API says of errors."""
        if is_api(request.scope):
            return problem(request, kind_of_status(self.status), self.said, headers=self.headers)
        return PlainTextResponse(f"{self.said}\n", self.status, self.headers)


class Guard:
    """Refuses what is too large, comes under a foreign name or from nobody we know; gives every answer its headers."""

    def __init__(self, app: ASGIApp, *, gate: Gate | None) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "private, no-store" if self._gate else "private, no-cache")
            await send(message)

        request = Request(scope)
        refusal = self._refuse(request)
        if refusal is not None:
            answer = refusal.answer(request) if isinstance(refusal, Refusal) else refusal
            await answer(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _refuse(self, request: Request) -> Refusal | Response | None:
        """Return why a request goes no further, or where it goes instead."""
        if len(request.scope["query_string"]) + len(request.scope["path"]) > ADDRESS_LENGTH:
            return Refusal(414, f"an address has at most {ADDRESS_LENGTH:,} characters")
        if _body_length(request.headers) > BODY_BYTES:
            return Refusal(413, f"a request has at most {BODY_BYTES:,} bytes")
        if self._gate is None:
            host = request.headers.get("host", "").rpartition("@")[2]
            name = host[: host.rfind("]") + 1] if host.startswith("[") else host.partition(":")[0]
            if not is_loopback(name):
                return Refusal(
                    421,
                    "without a login token the dashboard answers to the names of this machine only, such as localhost",
                )
            return None
        path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path.startswith(_OPEN_PATHS) or self._gate.admits(request):
            return None
        if self._gate.is_overrun():
            return Refusal(429, "too many wrong tokens: wait a minute", {"Retry-After": "60"})
        if "text/html" in request.headers.get("accept", "") and request.method == "GET" and not is_api(request.scope):
            back = path + (f"?{request.url.query}" if request.url.query else "")
            root = request.scope.get("root_path", "")
            return RedirectResponse(f"{root}/login?next={quote(back, safe='/')}", 303)
        return Refusal(401, "log in at /login, or send the token as a bearer", {"WWW-Authenticate": "Bearer"})


def safe_target(wanted: str) -> str:
    """Return where a login leads: a path of ours, or the first page for anything else."""
    is_path = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and "\\" not in wanted
    return wanted if is_path and wanted.isprintable() else "/"


def _body_length(headers: Headers) -> int:
    """Return how long a body says it is; one that does not say is longer than any that we take."""
    if "transfer-encoding" in headers:
        return BODY_BYTES + 1
    length = headers.get("content-length", "0")
    return int(length) if length.isdigit() else BODY_BYTES + 1
