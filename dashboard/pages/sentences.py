"""Sentences by their words."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dashboard.filters import QUERY_LENGTH, parse_text, parse_view
from dashboard.marking import Marked
from dashboard.rendering import page
from dashboard.store import read_sentences
from storage.queries import FoundSentence

router = APIRouter()


@router.get("/sentences")
def sentences(request: Request) -> Response:
    """Show the sentences that a full-text query finds, newest citation first."""
    query = parse_text(request.query_params, "q", at_most=QUERY_LENGTH)
    view = parse_view(request.query_params)
    found = read_sentences(request.app.state.reader, query, view.filters, before=view.before)
    return page(request, "sentences.html", query=query, found=found, view=view, spans_of=spans_of)


def spans_of(sentence: FoundSentence) -> list[Marked]:
    """Return the words that a sentence was found by."""
    return [Marked(start=start, end=end, classes=("found",)) for start, end in sentence.spans]
