"""Forms that change something: only one that we made ourselves, for a page of ours, is taken.

A form carries a ticket that this process signed a while ago; a page of another site cannot read one. What a browser says of
where a form comes from is looked at too.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request

from dashboard.security import BODY_BYTES

TICKET_SECONDS = 12 * 3600.0


class Tickets:
    """Signs tickets and knows its own: those of all processes with one token, or of this process where there is none."""

    def __init__(self, token: str | None = None, *, seconds: float = TICKET_SECONDS) -> None:
        self._key = secrets.token_bytes(32) if token is None else token.encode()
        self._seconds = seconds

    def new(self, purpose: str) -> str:
        """Return a ticket for a purpose that is good from now on."""
        until = str(int(time.time() + self._seconds))
        return f"{until}.{self._sign(purpose, until)}"

    def accepts(self, purpose: str, ticket: str) -> bool:
        """Say whether we signed the ticket for this purpose, and its time has not run out."""
        until, _, signature = ticket.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(purpose, until).encode()):
            return False
        return until.isdigit() and int(until) > time.time()

    def _sign(self, purpose: str, until: str) -> str:
        return hmac.new(self._key, f"ticket {purpose} {until}".encode(), hashlib.sha256).hexdigest()


def is_from_elsewhere(request: Request) -> bool:
    """Say whether a browser tells that a page of another site sends this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None and site not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


async def read_form(request: Request) -> Mapping[str, str]:
    """Return the fields of a form, the first of each name; `dashboard.security` has looked at its size."""
    body = await request.body()
    fields = parse_qs(body[:BODY_BYTES].decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[0] for name, values in fields.items()}
