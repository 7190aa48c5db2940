"""Logging in with the token, and out."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.rendering import page
from dashboard.security import BODY_BYTES, COOKIE, Gate, safe_target

router = APIRouter()

WRONG_TOKEN_DELAY_S = 0.3


@router.get("/login")
def form(request: Request) -> Response:
    """Ask for the token."""
    return _form(request, safe_target(request.query_params.get("next", "/")))


@router.post("/login")
async def log_in(request: Request) -> Response:
    """Give a cookie for the right token."""
    gate: Gate | None = request.app.state.gate
    body = await request.body()
    fields = parse_qs(body[:BODY_BYTES].decode("utf-8", "replace"), max_num_fields=8)
    target = safe_target(fields.get("next", ["/"])[0])
    if gate is None:
        return _go(request, target)
    if gate.is_overrun():
        return _form(request, target, status=429, said="Too many wrong tokens: wait a minute.")
    if not gate.accepts(fields.get("token", [""])[0].strip()):
        gate.note_failure()
        await asyncio.sleep(WRONG_TOKEN_DELAY_S)
        return _form(request, target, status=401, said="That is not the token. Whoever runs this server knows it.")
    answer = _go(request, target)
    answer.set_cookie(
        COOKIE,
        gate.new_cookie(),
        max_age=int(gate.seconds),
        httponly=True,
        secure=request.url.scheme == "https",
        samesite="lax",
        path=request.scope.get("root_path", "") or "/",
    )
    return answer


@router.post("/logout")
def log_out(request: Request) -> Response:
    """Take the cookie back."""
    answer = _go(request, "/login")
    answer.delete_cookie(COOKIE, path=request.scope.get("root_path", "") or "/")
    return answer


def _go(request: Request, target: str) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + target, 303)


def _form(request: Request, target: str, *, status: int = 200, said: str = "") -> Response:
    return page(request, "login.html", status=status, target=target, said=said)
