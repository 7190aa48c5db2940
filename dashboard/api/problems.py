"""Errors as RFC 9457 has them: one document for whatever goes wrong below ``/api``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from comention.errors import DatabaseError, ExportError, StatementTimeoutError

if TYPE_CHECKING:
    from fastapi import FastAPI

MEDIA_TYPE = "application/problem+json"
METHODS = "GET, HEAD, OPTIONS"
RETRY_S = 10

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: the last part of its type, its status, and what it is called."""

    name: str
    status: int
    title: str
    meaning: str


KINDS = {
    one.name: one
    for one in (
        Kind("unknown-address", 404, "There is nothing at this address", "No resource has this path."),
        Kind(
            "unknown-name", 404, "No concept has this name",
            "No drug or condition is called so; `suggestions` are those that may have been meant.",
        ),
        Kind("not-stored", 404, "It is not stored", "The citation was not brought in, or the annotator has never run."),
        Kind("bad-parameter", 422, "A parameter cannot be used", "`errors` says which, and what is wrong with each."),
        Kind("method", 405, "The API only reads", "Every resource takes GET, HEAD and OPTIONS."),
        Kind("unauthorized", 401, "The token is missing or wrong", "Send it as `Authorization: Bearer TOKEN`."),
        Kind("too-large", 413, "The request is too large", "A request needs no body."),
        Kind("address-too-long", 414, "The address is too long", "Ask for fewer things at once."),
        Kind("foreign-host", 421, "The server is not of this name", "Without a token, only this machine's names are answered."),
        Kind("too-many-requests", 429, "Too many requests", "Wait as many seconds as `Retry-After` says."),
        Kind("timeout", 503, "The question took too long", "Ask for less: fewer years, no score, or a rarer name."),
        Kind("no-database", 503, "The database does not answer", "Try again after `Retry-After` seconds."),
        Kind("format-missing", 501, "That format cannot be written", "The server lacks the package that writes it."),
        Kind("defect", 500, "A defect in comention", "Whoever runs the server finds the details in its log."),
    )
}  # fmt: skip
"""The kinds by their names, which do not change."""

_BY_STATUS = {
    400: "bad-parameter", 401: "unauthorized", 404: "unknown-address", 405: "method", 413: "too-large", 414: "address-too-long",
    421: "foreign-host", 429: "too-many-requests",
}  # fmt: skip


class ParameterError(BaseModel):
    """What is wrong with a parameter."""

    parameter: str = Field(description="Its name, or the part of the path.", examples=["from"])
    detail: str = Field(examples=["Input should be a valid integer"])


class ProblemSuggestion(BaseModel):
    """A concept that may have been meant."""

    label: str = Field(examples=["Drug"])
    concept: str = Field(examples=["lithium"])
    name: str = Field(description="The spelling that fits best.", examples=["lithium"])


class Problem(BaseModel):
    """What went wrong, as RFC 9457 has it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "/api/v1/problems#unknown-name",
                "title": "No concept has this name",
                "status": 404,
                "detail": "no drug is called “lithum”",
                "instance": "/api/v1/drug?name=lithum",
                "suggestions": [{"label": "Drug", "concept": "lithium", "name": "lithium"}],
            }
        }
    )

    type: str = Field(description="The kind of problem, an address of `/api/v1/problems`.")
    title: str = Field(description="The kind in words; always the same.")
    status: int = Field(description="The status of the answer.")
    detail: str = Field(description="What went wrong this time, and what to do.")
    instance: str = Field(description="What was asked for.")
    errors: list[ParameterError] | None = Field(default=None, description="Parameters that cannot be used.")
    suggestions: list[ProblemSuggestion] | None = Field(default=None, description="What may have been meant.")


class ApiError(Exception):
    """An answer that is a problem."""

    def __init__(self, kind: str, detail: str, **extension: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.extension = extension


def problem(
    request: Request, kind: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **extension: Any
) -> Response:
    """Answer with a problem of a kind; where there is no detail, with what the kind means."""
    known = KINDS[kind]
    scope = request.scope
    root = scope.get("app_root_path", scope.get("root_path", ""))
    query = scope["query_string"].decode("latin-1")
    # What is asked for is said again as it came, percent-encoded: it is no text.
    path = (scope.get("raw_path") or b"").decode("latin-1") or scope["path"]
    said = Problem(
        type=f"{root}/api/v1/problems#{kind}",
        title=known.title,
        status=known.status,
        detail=detail or known.meaning,
        instance=path.partition("?")[0] + (f"?{query}" if query else ""),
        **extension,
    )
    return Response(
        said.model_dump_json(exclude_none=True),
        status_code=known.status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def is_api(scope: Scope) -> bool:
    """Say whether a request is for the API."""
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return bool(path == "/api" or path.startswith("/api/"))


def kind_of_status(status: int) -> str:
    """Return the kind that a bare status stands for."""
    return _BY_STATUS.get(status, "defect")


def add_handlers(app: FastAPI) -> None:
    """Make every error of an application a problem."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DatabaseError, _database_error)
    app.add_exception_handler(ExportError, _export_error)
    app.add_exception_handler(Exception, _defect)


def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - it is registered for these alone
    return problem(request, error.kind, str(error), **error.extension)


def _bad_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - it is registered for these alone
    said: dict[str, str] = {}
    for one in error.errors():
        # Of a value that fits none of several types, the first type's error is said; an error of no parameter is of the years.
        said.setdefault(
            str(one["loc"][1]) if len(one["loc"]) > 1 else "from", str(one["msg"]).removeprefix("Value error, ")
        )
    found = [ParameterError(parameter=name, detail=detail) for name, detail in said.items()]
    first = found[0]
    return problem(
        request, "bad-parameter", f"“{first.parameter[:80]}” cannot be used: {first.detail}", errors=found[:20]
    )


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    kind = kind_of_status(status)
    headers = {"Allow": METHODS} if status == 405 else {}
    detail = f"{request.method} is not among {METHODS}" if status == 405 else ""
    if kind == "defect":
        detail = HTTPStatus(status).phrase
    return problem(request, kind, detail, headers=headers)


def _database_error(request: Request, error: Exception) -> Response:
    _log.warning("%s: %s", request.url.path, error)
    kind = "timeout" if isinstance(error, StatementTimeoutError) else "no-database"
    return problem(request, kind, headers={"Retry-After": str(RETRY_S)})


def _export_error(request: Request, error: Exception) -> Response:
    return problem(request, "format-missing", str(error))


def _defect(request: Request, _error: Exception) -> Response:
    return problem(request, "defect")
