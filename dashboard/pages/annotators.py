"""Two annotators: how far they agree, and the sentences where they do not."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dashboard.filters import parse_number, parse_text, parse_view
from dashboard.marking import Marked
from dashboard.pages.citation import tag_of
from dashboard.rendering import page
from dashboard.store_comparisons import read_agreement
from storage.side_by_side import DifferingSentence

router = APIRouter()


@router.get("/annotators")
def annotators(request: Request) -> Response:
    """Compare two annotators; by default, the promoted one and the last of the others."""
    parameters = request.query_params
    first, second = (
        parse_number(parameters, "first", at_most=32_767),
        parse_number(parameters, "second", at_most=32_767),
    )
    label = parse_text(parameters, "label") or None
    view = parse_view(parameters)
    known, found = read_agreement(request.app.state.reader, first, second, view, label=label)
    return page(
        request,
        "annotators.html",
        annotators=known,
        found=found,
        first=found.first.annotator_id if found else first,
        second=found.second.annotator_id if found else second,
        label=label,
        view=view,
        spans_of=spans_of,
    )


def spans_of(sentence: DifferingSentence) -> list[Marked]:
    """Return what is marked in a sentence: what both have, and what one has alone, with its label and whose it is."""
    return [
        Marked(
            start=one.start,
            end=one.end,
            classes=("by-both" if one.in_first and one.in_second else "by-first" if one.in_first else "by-second",),
            title=f"{one.label}, {'both' if one.in_first and one.in_second else 'A alone' if one.in_first else 'B alone'}",
            tag=tag_of(one.label) + ("" if one.in_first and one.in_second else " A" if one.in_first else " B"),
        )
        for one in sentence.mentions
    ]
