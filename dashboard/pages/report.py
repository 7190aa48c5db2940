"""Reporting a mention that is wrong: a plain form, which works without scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from comention.types import MAX_PMID
from dashboard.filters import QueryError, parse_number, parse_text
from dashboard.forms import Tickets, is_from_elsewhere, read_form
from dashboard.marking import Marked
from dashboard.rendering import page
from storage.reading import Reader
from storage.reports import (
    COMMENT_LENGTH,
    Outcome,
    Reason,
    ReportedSentence,
    SentenceMention,
    get_reported_sentence,
    report_mention,
)

router = APIRouter()

REASONS: dict[Reason, str] = {
    "not a mention": "This is no mention: it means something else here",
    "wrong span": "Too much or too little is marked",
    "wrong label": "It is a mention of another kind: a condition marked as a drug, say",
    "wrong concept": "It is filed under the wrong drug or condition",
    "other": "Something else, which I say below",
}
SAID: dict[Outcome, str] = {
    "unknown": "That mention is no longer there: the sentence was annotated anew. Choose among those that are.",
    "too many": "Too many reports came at once, yours among them. Nothing is stored; send it again in a minute.",
}
_HIGHEST_SENTENCE = (MAX_PMID + 1) * 100_000


@router.get("/report")
def form(request: Request) -> Response:
    """Ask which mention of a sentence is wrong, and how; after a report, say that it is stored."""
    sentence_id = _sentence_id(request.query_params)
    chosen = parse_text(request.query_params, "mention")
    found = _read(request, sentence_id)
    return _page(request, found, sentence_id, chosen=chosen, sent=request.query_params.get("sent") == "1")


@router.post("/report")
async def send(request: Request) -> Response:
    """Store a report."""
    fields = await read_form(request)
    return await run_in_threadpool(_send, request, fields)


def _send(request: Request, fields: Mapping[str, str]) -> Response:
    tickets: Tickets = request.app.state.tickets
    sentence_id = _sentence_id(fields)
    chosen = parse_text(fields, "mention")
    reason = parse_text(fields, "reason")
    comment = parse_text(
        {"comment": fields.get("comment", "").replace("\r\n", "\n")}, "comment", at_most=COMMENT_LENGTH
    )
    typed: dict[str, Any] = {"chosen": chosen, "reason": reason, "comment": comment}
    found = _read(request, sentence_id)
    if found is None:
        return _page(request, None, sentence_id)
    if is_from_elsewhere(request) or not tickets.accepts("report", fields.get("ticket", "")):
        return _page(
            request,
            found,
            sentence_id,
            status=403,
            said="This form is too old, or not ours. Send it once more.",
            **typed,
        )
    mention = next((one for one in found.mentions if key_of(one) == chosen), None)
    if mention is None:
        said = SAID["unknown"] if chosen else "Choose the mention that is wrong."
        return _page(request, found, sentence_id, status=422, said=said, **typed)
    if reason not in get_args(Reason):
        return _page(request, found, sentence_id, status=422, said="Choose what is wrong with it.", **typed)
    reader: Reader = request.app.state.reader
    with reader.writing() as writing:
        outcome = report_mention(
            writing,
            sentence_id,
            annotator_id=mention.annotator_id,
            label=mention.label,
            start_char=mention.start_char,
            end_char=mention.end_char,
            reason=cast("Reason", reason),
            comment=comment,
        )
    if outcome in SAID:
        status = 429 if outcome == "too many" else 422
        return _page(request, found, sentence_id, status=status, said=SAID[outcome], **typed)
    query = urlencode({"sentence": sentence_id, "mention": chosen, "sent": 1})
    return RedirectResponse(f"{request.scope.get('root_path', '')}/report?{query}", 303)


def key_of(mention: SentenceMention) -> str:
    """Return what a mention is called in an address and a form."""
    return f"{mention.start_char}-{mention.end_char}-{mention.annotator_id}-{mention.label}"


def _sentence_id(parameters: Mapping[str, str]) -> int:
    number = parse_number(parameters, "sentence", at_most=_HIGHEST_SENTENCE)
    if number is None:
        raise QueryError("a report is of a sentence, and the address names none")
    return number


def _read(request: Request, sentence_id: int) -> ReportedSentence | None:
    reader: Reader = request.app.state.reader
    with reader.snapshot() as snapshot:
        return get_reported_sentence(snapshot, sentence_id)


def _page(
    request: Request,
    found: ReportedSentence | None,
    sentence_id: int,
    *,
    status: int = 200,
    said: str = "",
    chosen: str = "",
    reason: str = "",
    comment: str = "",
    sent: bool = False,
) -> Response:
    if found is None:
        return page(
            request,
            "error.html",
            status=404,
            title="That sentence is not stored",
            said=f"PMID {sentence_id // 100_000} was revised or taken out",
            hint="Look at the citation as it is now.",
        )
    mention = next((one for one in found.mentions if key_of(one) == chosen), None)
    if mention is None and len(found.mentions) == 1:
        [mention] = found.mentions
    shown = [mention] if mention is not None else found.mentions
    tickets: Tickets = request.app.state.tickets
    return page(
        request,
        "report.html",
        status=status,
        headers={"Cache-Control": "no-store"},  # it carries a ticket
        found=found,
        mention=mention,
        spans=[
            Marked(start=one.start_char, end=one.end_char, classes=(f"label-{one.label.lower()}",)) for one in shown
        ],
        reasons=REASONS,
        reason=reason,
        comment=comment,
        said=said,
        sent=sent,
        ticket=tickets.new("report"),
        key_of=key_of,
        comment_length=COMMENT_LENGTH,
    )
