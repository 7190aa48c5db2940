"""How the database stands, who annotated it, and what became of a PMID."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from comention import __version__
from dashboard.answers import read_annotators, read_coverage, read_standing
from dashboard.api import models
from dashboard.api.parameters import CoverageParameters, NoParameters
from dashboard.api.problems import KINDS
from dashboard.api.responding import each, respond, route

router = APIRouter(tags=["database"])

_UNKNOWN = {
    "state": "unknown", "reason": "nobody ever asked for it", "stored": False, "retracted": False, "mention_count": None,
    "annotator": None, "subscriptions": [],
}  # fmt: skip


@route(router, "/annotators", models.Annotators)
def annotators(request: Request, _asked: Annotated[NoParameters, Query()]) -> Response:
    """The annotators that have run. Their numbers are for the parameter `annotator`."""
    found = read_annotators(request.app.state.reader)
    return respond(models.Annotators(annotators=each(models.Annotator, found)))


@route(router, "/coverage", models.Coverage)
def coverage(request: Request, asked: Annotated[CoverageParameters, Query()]) -> Response:
    """What became of PMIDs. Whether each is stored and annotated, and why not."""
    known = {one.pmid: one for one in read_coverage(request.app.state.reader, asked.pmid)}
    return respond(
        models.Coverage(
            pmids=[
                models.CoveredPmid.model_validate(known.get(pmid, {"pmid": pmid, **_UNKNOWN}))
                for pmid in sorted(set(asked.pmid))
            ]
        )
    )


@route(router, "/status", models.Status)
def status(request: Request, _asked: Annotated[NoParameters, Query()]) -> Response:
    """How the database stands. Annotators, subscriptions and the last runs."""
    found = read_standing(request.app.state.reader)
    most = found.most_cited
    return respond(
        models.Status(
            version=__version__,
            is_empty=found.is_empty,
            annotated_sentence_count=None if most is None else most.annotated_sentence_count,
            annotated_citation_count=None if most is None else most.annotated_citation_count,
            unsearched_citations=found.unsearched,
            annotators=each(models.Annotator, found.annotators),
            subscriptions=each(models.Subscription, found.subscriptions),
            runs=each(models.Run, found.runs),
        )
    )


@route(router, "/problems", models.Problems)
def problems(_request: Request, _asked: Annotated[NoParameters, Query()]) -> Response:
    """The kinds of problems there are. A problem's `type` leads here."""
    return respond(models.Problems(problems=each(models.ProblemKind, list(KINDS.values()))))
