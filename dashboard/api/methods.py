"""HEAD and OPTIONS, which every address answers without a handler of its own."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.api.problems import METHODS


class HeadAsGet:
    """Answers HEAD as GET would be answered, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, send_head)


class Options:
    """Answers OPTIONS for the addresses that a router knows."""

    def __init__(self, app: ASGIApp, *, router: Router) -> None:
        self._app = app
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            asked = {**scope, "method": "GET"}
            if any(route.matches(asked)[0] is Match.FULL for route in self._router.routes):
                await Response(status_code=204, headers={"Allow": METHODS})(scope, receive, send)
                return
            scope = asked
        await self._app(scope, receive, send)
