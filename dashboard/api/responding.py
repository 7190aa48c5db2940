"""Routes and answers of the API: what they have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboard.api import models
from dashboard.api.parameters import LISTS
from dashboard.api.problems import KINDS, MEDIA_TYPE, ApiError
from dashboard.store import Unknown
from dashboard.unchanged import REVALIDATED
from storage.passages import Spans

_ALWAYS = ("unauthorized", "too-large", "address-too-long", "foreign-host", "too-many-requests", "defect", "timeout")
_HEADERS = {
    "ETag": {
        "description": "Send it back as `If-None-Match`. Answers of more than 1 MiB have none.",
        "schema": {"type": "string"},
    },
    "Cache-Control": {"required": True, "schema": {"type": "string", "const": REVALIDATED}},
}
_LINK = {
    "Link": {"description": 'The next page, `rel="next"`; none on the last.', "schema": {"type": "string"}},
}


class _Document(Response):
    """Whatever the documented content is."""


def route(
    router: APIRouter,
    path: str,
    answer: type[BaseModel] | None,
    *problems: str,
    paged: bool = False,
    content: dict[str, Any] | None = None,
) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Return a decorator that makes a function answer GET, and documents what it may answer."""
    responses: dict[int | str, dict[str, Any]] = {
        200: {"headers": {**_HEADERS, **(_LINK if paged else {})}, **({"content": content} if content else {})},
        304: {"description": "What `If-None-Match` names still holds.", "headers": {"ETag": _HEADERS["ETag"]}},
    }
    for status in sorted({KINDS[one].status for one in (*problems, "bad-parameter", *_ALWAYS)}):
        kinds = [
            one for one in KINDS.values() if one.status == status and one.name in (*problems, *_ALWAYS, "bad-parameter")
        ]
        responses[status] = {
            "description": " ".join(f"{one.title}." for one in kinds),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        if status in (429, 503):
            responses[status]["headers"] = {
                "Retry-After": {
                    "description": "Seconds to wait.",
                    "required": True,
                    "schema": {"type": "string", "pattern": "^[0-9]+$"},
                }
            }

    def decorate(function: Callable[..., Response]) -> Callable[..., Response]:
        router.add_api_route(
            path,
            function,
            methods=["GET"],
            response_model=answer,
            response_class=_Document if content else JSONResponse,
            responses=responses,
            operation_id=function.__name__,
            summary=(function.__doc__ or "").split(".")[0],
            description=(function.__doc__ or "").strip(),
        )
        return function

    return decorate


def refuse_repeated(request: Request) -> None:
    """Refuse a parameter that is given more than once and is no list: which of its values is meant, nobody knows.

    Raises:
        ApiError: one is.
    """
    names = [name for name, _ in request.query_params.multi_items() if name not in LISTS]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        said = "it is given more than once"
        raise ApiError(
            "bad-parameter",
            f"“{repeated[0][:80]}” cannot be used: {said}",
            errors=[{"parameter": one, "detail": said} for one in repeated[:20]],
        )


def respond(answer: BaseModel, *, link: str | None = None) -> Response:
    """Answer with a model as JSON, and with the address of the next page."""
    headers = {"Cache-Control": REVALIDATED, **({"Link": f'<{link}>; rel="next"'} if link else {})}
    return Response(answer.model_dump_json(), media_type="application/json", headers=headers)


def next_link(request: Request, cursor: str | None) -> str | None:
    """Return the address of the page at a cursor, or None where there is none."""
    if cursor is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"


def refuse_unknown(unknown: Unknown) -> NoReturn:
    """Say that no concept has a name, and which may have been meant.

    Raises:
        ApiError: always.
    """
    hint = "; suggestions may have been meant" if unknown.suggestions else ""
    if unknown.is_empty:
        hint = ": nothing is stored yet"
    raise ApiError(
        "unknown-name",
        f"no {unknown.label.lower()} is called “{unknown.name}”{hint}",
        suggestions=[{"label": one.label, "concept": one.concept, "name": one.name} for one in unknown.suggestions],
    )


def spans(found: Spans) -> list[models.Span]:
    """Return spans as they are answered."""
    return [models.Span(start_char=start, end_char=end) for start, end in found]


def years(counts: dict[int, int]) -> list[models.YearCount]:
    """Return counts by year as they are answered, the earliest first."""
    return [models.YearCount(year=year, citation_count=counts[year]) for year in sorted(counts)]


def each(model: type[Any], found: Sequence[object]) -> list[Any]:
    """Return objects as a model of the same fields."""
    return [model.model_validate(one) for one in found]
