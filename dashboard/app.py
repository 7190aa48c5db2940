"""The application: what is put together, once, from settings and a pool that reads."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from comention import __version__
from comention.errors import DatabaseError, ExportError, StatementTimeoutError
from dashboard.api.application import create_api
from dashboard.api.limits import LimitRate, RateLimiter
from dashboard.api.methods import HeadAsGet
from dashboard.api.problems import is_api, problem
from dashboard.assets import serve_asset
from dashboard.filters import QueryError
from dashboard.forms import Tickets
from dashboard.held import Held
from dashboard.pages import ROUTERS
from dashboard.rendering import make_environment, page
from dashboard.security import Gate, Guard
from dashboard.store_operations import LEDGERS_HELD_S, read_ledgers
from dashboard.unchanged import Unchanged

if TYPE_CHECKING:
    from comention.settings import DashboardSettings
    from storage.reading import Reader

_log = logging.getLogger(__name__)


def create_app(settings: DashboardSettings, reader: Reader) -> FastAPI:
    """Return the application over a pool that reads; whoever makes the pool closes it."""
    app = FastAPI(title="comention", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.reader = reader
    app.state.tickets = Tickets(settings.token.get_secret_value() if settings.token is not None else None)
    app.state.ledgers = Held(partial(read_ledgers, reader), seconds=LEDGERS_HELD_S)
    app.state.environment = make_environment()
    app.state.gate = (
        Gate(settings.token.get_secret_value(), settings.session_hours * 3600) if settings.token is not None else None
    )
    app.router.routes.append(Route("/static/{name}", serve_asset, methods=["GET", "HEAD"]))
    app.router.routes.append(Route("/healthz", _health, methods=["GET", "HEAD"]))
    app.mount("/api", create_api(reader, needs_token=app.state.gate is not None))
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
    app.add_exception_handler(QueryError, _query_error)
    app.add_exception_handler(RequestValidationError, _not_found)
    app.add_exception_handler(DatabaseError, _database_error)
    app.add_exception_handler(ExportError, _export_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=4)
    app.add_middleware(Unchanged, state=reader.state)
    if settings.api_per_minute:
        app.add_middleware(LimitRate, limiter=RateLimiter(settings.api_per_minute, settings.api_burst))
    app.add_middleware(Guard, gate=app.state.gate)
    app.add_middleware(HeadAsGet)
    return app


def _health(_request: Request) -> Response:
    """Say that the process answers; what it reads from is not asked."""
    return PlainTextResponse("ok\n")


def _query_error(request: Request, error: Exception) -> Response:
    return page(request, "error.html", status=400, title="That cannot be shown", said=str(error), hint=_BACK)


def _not_found(request: Request, _error: Exception) -> Response:
    if is_api(request.scope):  # an address with a line break in it, which no mount takes
        return problem(request, "unknown-address")
    return page(request, "error.html", status=404, title="There is no such page", said="", hint=_START)


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _not_found(request, error)
    detail = error.detail if isinstance(error, HTTPException) else ""
    headers = dict(error.headers) if isinstance(error, HTTPException) and error.headers else None
    return page(
        request, "error.html", status=status, headers=headers, title="That cannot be done", said=detail, hint=_START
    )


def _export_error(request: Request, error: Exception) -> Response:
    return page(request, "error.html", status=501, title="That file cannot be made", said=str(error), hint=_BACK)


def _database_error(request: Request, error: Exception) -> Response:
    _log.warning("%s: %s", request.url.path, error)
    if isinstance(error, StatementTimeoutError):
        title, hint = "That took too long", "Ask for less: fewer years, no score, or a rarer name."
        said = "The question was stopped so that others get their answers."
    else:
        title = "The database does not answer"
        hint = "Try again in a moment; whoever runs this server finds the reason in its log."
        said = ""
    return page(request, "error.html", status=503, headers={"Retry-After": "10"}, title=title, said=said, hint=hint)


def _defect(request: Request, _error: Exception) -> Response:
    return page(
        request,
        "error.html",
        status=500,
        title="A defect in comention",
        said="The page could not be made. What is stored is whole.",
        hint="Whoever runs this server finds the details that a report needs in its log.",
    )


_BACK = "Go back and change it, or start anew with a search."
_START = "Search for a drug or a condition above."
