"""A citation: its text, its sentences, the mentions in it; or all of it in the formats that other programs read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from comention.types import MAX_PMID
from dashboard.answers import read_document
from dashboard.api import models
from dashboard.api.parameters import DocumentParameters, NoParameters
from dashboard.api.problems import ApiError
from dashboard.api.responding import respond, route
from dashboard.store import read_citation
from dashboard.unchanged import REVALIDATED
from storage.passages import CitationPassage

router = APIRouter(tags=["citations"])

Pmid = Annotated[int, Path(ge=1, le=MAX_PMID, description="PubMed identifier.", examples=[101])]

_FORMS = {
    "pubtator": ("text/plain; charset=utf-8", "txt"),
    "bioc-json": ("application/json", "json"),
    "bioc-xml": ("application/xml", "xml"),
}
"""Media type and suffix of each form."""


@route(router, "/citation/{pmid}", models.Citation, "not-stored")
def citation(request: Request, pmid: Pmid, _asked: Annotated[NoParameters, Query()]) -> Response:
    """A citation with its sentences and the mentions of all annotators. Retracted ones too."""
    found, _ = read_citation(request.app.state.reader, pmid)
    if found is None:
        raise ApiError("not-stored", f"PMID {pmid} is not stored: bring it in with `comention run --pmids {pmid}`")
    return respond(_described(found))


@route(
    router,
    "/citation/{pmid}/document",
    None,
    "not-stored",
    "format-missing",
    content={
        "text/plain": {"schema": {"type": "string"}},
        "application/json": {"schema": {"type": "object", "required": ["documents"]}},
        "application/xml": {"schema": {"type": "string"}},
    },
)
def document(request: Request, pmid: Pmid, asked: Annotated[DocumentParameters, Query()]) -> Response:
    """A citation as PubTator, BioC JSON or BioC XML. With the mentions of one annotator."""
    content = read_document(
        request.app.state.reader, pmid, form=asked.format, unit=asked.offsets, annotator_id=asked.annotator_id
    )
    if content is None:
        by = "" if asked.annotator_id is None else f", or no annotator has the number {asked.annotator_id}"
        raise ApiError("not-stored", f"PMID {pmid} is not stored{by}")
    media_type, suffix = _FORMS[asked.format]
    return Response(
        content,
        media_type=media_type,
        headers={
            "Cache-Control": REVALIDATED,
            "Content-Disposition": f'attachment; filename="{pmid}.{asked.format}.{suffix}"',
        },
    )


def _described(found: CitationPassage) -> models.Citation:
    text = found.text
    return models.Citation(
        pmid=found.pmid,
        title=found.title,
        abstract=found.abstract,
        text=text,
        journal=found.journal,
        published_on=found.published_on,
        year=found.year,
        publication_types=list(found.publication_types),
        retracted=found.retracted,
        doi=found.doi,
        pmc=found.pmc,
        corrections=list(found.corrections),
        sentences=[
            models.CitationSentence(
                sentence_id=one.sentence_id,
                section=one.section,
                start_char=one.start_char,
                end_char=one.end_char,
                text=text[one.start_char : one.end_char],
            )
            for one in found.sentences
        ],
        mentions=[
            models.CitationMention(
                sentence_id=one.sentence_id,
                label=one.label,
                start_char=one.start_char,
                end_char=one.end_char,
                text=text[one.start_char : one.end_char],
                name=one.name,
                concept=one.concept,
                score=one.score,
                annotator=one.annotator,
                annotator_id=one.annotator_id,
            )
            for one in found.mentions
        ],
    )
