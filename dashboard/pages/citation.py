"""A citation: title and abstract with every mention in colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from comention.types import MAX_PMID
from dashboard.filters import QueryError, address
from dashboard.marking import Marked, mark
from dashboard.rendering import page
from dashboard.store import read_citation
from storage.passages import CitationMention, CitationPassage, KnownAnnotator

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of an abstract under one label, which is empty where it has none."""

    label: str
    html: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A box to tick: a label or an annotator, how many mentions it has, and whether these are shown."""

    value: str
    name: str
    mentions: int
    shown: bool


@router.get("/citation/{pmid}")
def citation(request: Request, pmid: str) -> Response:
    """Show a citation with the mentions that are ticked: by default, all of the promoted annotator."""
    return _show(request, pmid, "citation.html")


@router.get("/citation/{pmid}/abstract")
def abstract(request: Request, pmid: str) -> Response:
    """Give the same without the page around it, for a page that shows it in a place of its own."""
    return _show(request, pmid, "abstract.html")


def _show(request: Request, pmid: str, template: str) -> Response:
    number = int(pmid) if pmid.isascii() and pmid.isdigit() and len(pmid) < 11 else 0
    if not 0 < number <= MAX_PMID:
        raise QueryError("a PMID is a positive whole number, such as 31452104")
    found, annotators = read_citation(request.app.state.reader, number)
    if found is None:
        return page(
            request,
            "error.html",
            status=404,
            title=f"PMID {number} is not stored",
            said="Only citations that were brought in can be shown.",
            hint=f"Bring it in: comention run --pmids {number}",
        )
    chosen = set(request.query_params.getlist("annotator"))
    labels = set(request.query_params.getlist("label"))
    by_annotator = choose_annotators(found, annotators, chosen)
    shown_annotators = {one.value for one in by_annotator if one.shown}
    of_annotators = [one for one in found.mentions if str(one.annotator_id) in shown_annotators]
    by_label = choose_labels(of_annotators, labels)
    shown_labels = {one.value for one in by_label if one.shown}
    shown = [one for one in of_annotators if one.label in shown_labels]
    spans = [_marked(one, several=len(shown_annotators) > 1) for one in shown]
    starts = {one.sentence_id: one.start_char for one in found.sentences}

    def report_path(one: CitationMention) -> str:
        start = starts[one.sentence_id]
        key = f"{one.start_char - start}-{one.end_char - start}-{one.annotator_id}-{one.label}"
        return root + address("/report", {"sentence": one.sentence_id, "mention": key})

    root: str = request.scope.get("root_path", "")
    return page(
        request,
        template,
        report_path=report_path,
        citation=found,
        title_html=mark(found.text, spans, end=len(found.title)),
        parts=cut_parts(found, spans),
        by_annotator=by_annotator,
        by_label=by_label,
        mentions=shown,
        tag_of=tag_of,
    )


def choose_annotators(found: CitationPassage, annotators: Sequence[KnownAnnotator], chosen: set[str]) -> list[Choice]:
    """Return the annotators to tick; where none is chosen, the promoted one is."""
    counts: dict[int, int] = {}
    for one in found.mentions:
        counts[one.annotator_id] = counts.get(one.annotator_id, 0) + 1
    known = {str(one.annotator_id) for one in annotators}
    chosen = chosen & known
    return [
        Choice(
            value=str(one.annotator_id),
            name=f"{one.name} {one.revision[:8]}".strip(),
            mentions=counts.get(one.annotator_id, 0),
            shown=str(one.annotator_id) in chosen if chosen else one.promoted,
        )
        for one in annotators
    ]


def choose_labels(mentions: Sequence[CitationMention], chosen: set[str]) -> list[Choice]:
    """Return the labels to tick; where none that is there is chosen, all are."""
    counts: dict[str, int] = {}
    for one in mentions:
        counts[one.label] = counts.get(one.label, 0) + 1
    chosen = chosen & counts.keys()
    order = sorted(counts, key=lambda label: (label not in ("Drug", "Condition"), label != "Drug", label))
    return [
        Choice(value=label, name=label, mentions=counts[label], shown=not chosen or label in chosen) for label in order
    ]


def tag_of(label: str) -> str:
    """Return the letters that a label is told by where colours are not seen."""
    return label[0] if label in ("Drug", "Condition") else label[:2]


def cut_parts(found: CitationPassage, spans: Sequence[Marked]) -> list[Part]:
    """Return the abstract cut where a section begins; what stands before a section's first sentence is its label's text."""
    begin = len(found.title) + 1
    parts: list[Part] = []
    label, start, end = "", begin, begin
    for sentence in found.sentences:
        if sentence.end_char <= len(found.title):
            continue
        if sentence.section != label and end > start:
            parts.append(Part(label=label, html=mark(found.text, spans, start=start, end=end)))
            start = sentence.start_char
        elif sentence.section != label:
            start = sentence.start_char
        label, end = sentence.section, sentence.end_char
    if end > start:
        parts.append(Part(label=label, html=mark(found.text, spans, start=start, end=end)))
    elif found.abstract and not parts:
        parts.append(Part(label="", html=mark(found.text, spans, start=begin, end=len(found.text))))
    return parts


def _marked(one: CitationMention, *, several: bool) -> Marked:
    by = f", by {one.annotator}" if several else ""
    return Marked(
        start=one.start_char,
        end=one.end_char,
        classes=(f"label-{one.label.lower()}", f"by-{one.annotator_id % 4}")
        if several
        else (f"label-{one.label.lower()}",),
        title=f"{one.label}: {one.concept}, score {one.score:.2f}{by}",
        tag=tag_of(one.label),
    )
