"""Sentences by their words."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import models
from dashboard.api.paging import decode_sentence, encode_sentence
from dashboard.api.parameters import SentencesParameters
from dashboard.api.responding import next_link, respond, route, spans
from dashboard.store import read_sentences

router = APIRouter(tags=["sentences"])


@route(router, "/sentences", models.FoundSentences, paged=True)
def sentences(request: Request, asked: Annotated[SentencesParameters, Query()]) -> Response:
    """The sentences that a full-text query finds. Highest PMID first, a page at a time."""
    found = read_sentences(
        request.app.state.reader,
        asked.q,
        asked.filters,
        limit=asked.limit,
        before=decode_sentence("sentences", asked.cursor),
    )
    cursor = None if found.next_before is None else encode_sentence("sentences", found.next_before)
    return respond(
        models.FoundSentences(
            searchable=found.sentences is not None,
            unsearched_citations=found.unsearched,
            sentences=[
                models.FoundSentence(
                    pmid=one.pmid,
                    sentence_id=one.sentence_id,
                    section=one.section,
                    year=one.year,
                    title=one.title,
                    journal=one.journal,
                    retracted=one.retracted,
                    text=one.text,
                    spans=spans(one.spans),
                )
                for one in found.sentences or ()
            ],
            next_cursor=cursor,
        ),
        link=next_link(request, cursor),
    )
