"""Two drugs side by side."""

from __future__ import annotations

from typing import cast, get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from comention.names import normalise_name
from dashboard.filters import PAGE_SIZE, parse_choice, parse_text, parse_view
from dashboard.rendering import page
from dashboard.store import Unknown, read_is_empty
from dashboard.store_comparisons import read_comparison
from storage.partners import Concept
from storage.side_by_side import Order, Shown

router = APIRouter()


@router.get("/compare")
def compare(request: Request) -> Response:
    """Show the conditions of two drugs side by side; without the two, ask for them."""
    first, second = parse_text(request.query_params, "first"), parse_text(request.query_params, "second")
    view = parse_view(request.query_params)
    shown = cast("Shown", parse_choice(request.query_params, "show", get_args(Shown)))
    order = cast("Order", parse_choice(request.query_params, "order", get_args(Order)))
    if not first or not second:
        is_empty = read_is_empty(request.app.state.reader)
        return page(request, "compare.html", found=None, is_empty=is_empty, first=first, second=second, view=view)
    found = read_comparison(request.app.state.reader, first, second, view, shown=shown, order=order, limit=PAGE_SIZE)
    if isinstance(found, Unknown):
        return page(request, "unknown.html", status=404, typed=found.name, found=found)
    kept = {
        "first": found.drugs[0].concept,
        "second": found.drugs[1].concept,
        "show": "" if shown == "all" else shown,
        "order": "" if order == "citations" else order,
    }
    totals = [one.citation_count or 1 for one in found.drugs]
    shares = [count / total for row in found.shared.rows for count, total in zip(row.citations, totals, strict=True)]
    return page(
        request,
        "compare.html",
        found=found,
        first=spelling_of(found.drugs[0]),
        second=spelling_of(found.drugs[1]),
        view=view,
        shown=shown,
        order=order,
        kept=kept,
        top_share=max(shares, default=1.0),
    )


def spelling_of(concept: Concept) -> str:
    """Return what a reader would type to mean a concept: what it is called, where that is one of its names."""
    return concept.title if normalise_name(concept.title) in concept.names else concept.concept
