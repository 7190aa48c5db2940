"""A drug and a condition: how strongly, since when, and in which words."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.downloads import csv_response, parquet_response
from dashboard.filters import parse_text, parse_view
from dashboard.marking import Marked
from dashboard.rendering import page
from dashboard.store import Unknown, read_evidence, read_pair
from storage.passages import EvidenceSentence

router = APIRouter()


@router.get("/pair")
def pair(request: Request) -> Response:
    """Show a pair with its measures, its years and its sentences."""
    drug, condition = parse_text(request.query_params, "drug"), parse_text(request.query_params, "condition")
    view = parse_view(request.query_params)
    if not drug or not condition:
        return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
    found = read_pair(request.app.state.reader, drug, condition, view)
    if isinstance(found, Unknown):
        return page(request, "unknown.html", status=404, typed=found.name, found=found)
    return page(request, "pair.html", found=found, view=view, spans_of=spans_of)


@router.get("/pair.csv")
def evidence_csv(request: Request) -> Response:
    """Give the sentences of a pair as CSV."""
    return _download(request, "csv")


@router.get("/pair.parquet")
def evidence_parquet(request: Request) -> Response:
    """Give the sentences of a pair as Parquet."""
    return _download(request, "parquet")


def spans_of(sentence: EvidenceSentence) -> list[Marked]:
    """Return what is marked in a sentence: the drug and the condition."""
    return [
        Marked(start=start, end=end, classes=(f"label-{label}",))
        for label, spans in (("drug", sentence.drug_spans), ("condition", sentence.condition_spans))
        for start, end in spans
    ]


def _download(request: Request, form: str) -> Response:
    drug, condition = parse_text(request.query_params, "drug"), parse_text(request.query_params, "condition")
    rows = read_evidence(request.app.state.reader, drug, condition, parse_view(request.query_params))
    write = csv_response if form == "csv" else parquet_response
    constants = {"drug": drug, "condition": condition}
    return write(rows, EvidenceSentence, name=f"sentences of {drug} and {condition}", constants=constants)
