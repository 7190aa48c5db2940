"""Names while they are typed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import models
from dashboard.api.parameters import SuggestParameters
from dashboard.api.responding import each, respond, route
from dashboard.store import read_suggestions

router = APIRouter(tags=["names"])


@route(router, "/suggest", models.Suggestions)
def suggest(request: Request, asked: Annotated[SuggestParameters, Query()]) -> Response:
    """Drugs and conditions by the beginning of a name. In spite of a slip; the best first."""
    found = read_suggestions(request.app.state.reader, asked.q, limit=asked.limit, label=asked.label)
    return respond(models.Suggestions(suggestions=each(models.Suggestion, found)))
