"""Pairs: all, or one with its measures, its years and its sentences."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from dashboard.answers import read_pair_evidence, read_pair_measures, read_pair_years, read_top_pairs
from dashboard.api import models
from dashboard.api.paging import decode_place, decode_sentence, encode_place, encode_sentence
from dashboard.api.parameters import EvidenceParameters, PairParameters, PairsParameters, YearsParameters
from dashboard.api.responding import each, next_link, refuse_unknown, respond, route, spans
from dashboard.api.responding import years as years_of
from dashboard.store import Unknown
from storage.passages import EvidenceSentence

router = APIRouter(tags=["pairs"])


@route(router, "/pairs", models.Pairs, paged=True)
def pairs(request: Request, asked: Annotated[PairsParameters, Query()]) -> Response:
    """The pairs with the most citations. A page at a time."""
    found = read_top_pairs(
        request.app.state.reader,
        annotator_id=asked.annotator_id,
        min_sentences=asked.min_sentences,
        limit=asked.limit,
        after=decode_place("pairs", asked.cursor, numbers=2, names=2),
    )
    cursor = None if found.next is None else encode_place("pairs", found.next)
    return respond(
        models.Pairs(pairs=each(models.Pair, found.rows), next_cursor=cursor), link=next_link(request, cursor)
    )


@route(router, "/pair", models.PairAnswer, "unknown-name")
def pair(request: Request, asked: Annotated[PairParameters, Query()]) -> Response:
    """A drug and a condition: counts and measures of association. With 95 % limits."""
    found = read_pair_measures(
        request.app.state.reader, asked.drug, asked.condition, asked.filters, annotator_id=asked.annotator_id
    )
    if isinstance(found, Unknown):
        refuse_unknown(found)
    return respond(
        models.PairAnswer(
            drug=models.Concept.model_validate(found.drug),
            condition=models.Concept.model_validate(found.condition),
            pair=None if found.pair is None else models.Pair.model_validate(found.pair),
        )
    )


@route(router, "/years", models.Years, "unknown-name")
def years(request: Request, asked: Annotated[YearsParameters, Query()]) -> Response:
    """Citations of a pair by year."""
    found = read_pair_years(
        request.app.state.reader, asked.drug, asked.condition, asked.filters, annotator_id=asked.annotator_id
    )
    if isinstance(found, Unknown):
        refuse_unknown(found)
    return respond(
        models.Years(
            drug=models.Concept.model_validate(found.drug),
            condition=models.Concept.model_validate(found.condition),
            years=years_of(found.years),
        )
    )


@route(router, "/evidence", models.Evidence, "unknown-name", paged=True)
def evidence(request: Request, asked: Annotated[EvidenceParameters, Query()]) -> Response:
    """The sentences that mention a drug and a condition. Highest PMID first, a page at a time."""
    found = read_pair_evidence(
        request.app.state.reader,
        asked.drug,
        asked.condition,
        asked.filters,
        annotator_id=asked.annotator_id,
        limit=asked.limit,
        before=decode_sentence("evidence", asked.cursor),
    )
    if isinstance(found, Unknown):
        refuse_unknown(found)
    cursor = None if found.next_before is None else encode_sentence("evidence", found.next_before)
    return respond(
        models.Evidence(
            drug=models.Concept.model_validate(found.drug),
            condition=models.Concept.model_validate(found.condition),
            sentences=[_sentence(one) for one in found.sentences],
            next_cursor=cursor,
        ),
        link=next_link(request, cursor),
    )


def _sentence(one: EvidenceSentence) -> models.EvidenceSentence:
    return models.EvidenceSentence(
        pmid=one.pmid,
        sentence_id=one.sentence_id,
        section=one.section,
        year=one.year,
        title=one.title,
        journal=one.journal,
        publication_types=list(one.publication_types),
        score=one.score,
        text=one.text,
        drug_spans=spans(one.drug_spans),
        condition_spans=spans(one.condition_spans),
    )
