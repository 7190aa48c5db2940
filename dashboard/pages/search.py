"""The first page, the search and its suggestions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dashboard.filters import address, parse_choice, parse_text, parse_view
from dashboard.rendering import page
from dashboard.store import read_home, read_search, read_suggestions
from storage.passages import Suggestion

if TYPE_CHECKING:
    from storage.partners import Label

router = APIRouter()


@router.get("/")
def home(request: Request) -> Response:
    """Show the search and what is reported most."""
    view = parse_view(request.query_params)
    return page(request, "home.html", home=read_home(request.app.state.reader, view), view=view)


@router.get("/search")
def search(request: Request) -> Response:
    """List the drugs and conditions that a name may stand for."""
    typed = parse_text(request.query_params, "q")
    found, is_empty = read_search(request.app.state.reader, typed) if typed else ([], False)
    return page(request, "search.html", typed=typed, found=found, is_empty=is_empty, path_of=path_of)


@router.get("/suggest")
def suggestions(request: Request) -> Response:
    """Return what the box below the search shows, as JSON."""
    typed = parse_text(request.query_params, "q")
    root = request.scope.get("root_path", "")
    label = parse_choice(request.query_params, "label", ("", "Drug", "Condition"))
    found = read_suggestions(request.app.state.reader, typed, label=cast("Label", label) or None) if typed else []
    return JSONResponse({"suggestions": [_described(one, root) for one in found]})


def path_of(one: Suggestion) -> str:
    """Return the address of a suggestion's page."""
    return address("/drug" if one.label == "Drug" else "/condition", {"name": one.concept})


def _described(one: Suggestion, root: str) -> dict[str, Any]:
    title = one.preferred_name or one.concept
    return {
        "label": one.label,
        "title": title,
        "name": one.name if one.name != title else None,
        "citations": one.citation_count,
        "address": root + path_of(one),
    }
