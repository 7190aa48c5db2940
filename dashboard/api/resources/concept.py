"""A drug or a condition with those that stand with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import models
from dashboard.api.paging import decode_place, encode_place
from dashboard.api.parameters import ConceptParameters
from dashboard.api.responding import next_link, refuse_unknown, respond, route, years
from dashboard.store import Kind, Unknown, read_concept
from storage.partners import SORTS

router = APIRouter(tags=["concepts"])


@route(router, "/drug", models.Partners, "unknown-name", paged=True)
def drug(request: Request, asked: Annotated[ConceptParameters, Query()]) -> Response:
    """A drug with the conditions in its sentences. Ranked, a page at a time."""
    return _answer(request, "drug", asked)


@route(router, "/condition", models.Partners, "unknown-name", paged=True)
def condition(request: Request, asked: Annotated[ConceptParameters, Query()]) -> Response:
    """A condition with the drugs in its sentences. Ranked, a page at a time."""
    return _answer(request, "condition", asked)


def _answer(request: Request, kind: Kind, asked: ConceptParameters) -> Response:
    order = f"{kind} {asked.sort}"
    after = decode_place(order, asked.cursor, numbers=len(SORTS[asked.sort]), names=1)
    found = read_concept(request.app.state.reader, kind, asked.name, asked.view, limit=asked.limit, after=after)
    if isinstance(found, Unknown):
        refuse_unknown(found)
    partners = []
    for row in found.ranking.rows:
        other = row.condition if kind == "drug" else row.drug
        partners.append(
            models.Partner(
                title=found.titles[other],
                years=None if asked.by_mention else years(found.years.get(other, {})),
                pair=models.Pair.model_validate(row),
            )
        )
    place = found.ranking.next
    cursor = None if place is None else encode_place(order, place)
    return respond(
        models.Partners(
            concept=models.Concept.model_validate(found.concept),
            partners=partners,
            ranked_among=found.ranking.among,
            next_cursor=cursor,
        ),
        link=next_link(request, cursor),
    )
