"""A drug or a condition: those that stand with it, ranked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.downloads import csv_response, parquet_response
from dashboard.filters import PAGE_SIZE, address, parse_text, parse_view
from dashboard.rendering import page
from dashboard.store import ConceptPage, Kind, Unknown, read_concept, read_partners
from storage.partners import PairRow

router = APIRouter()


@router.get("/drug")
def drug(request: Request) -> Response:
    """Show the conditions of a drug."""
    return _show(request, "drug")


@router.get("/condition")
def condition(request: Request) -> Response:
    """Show the drugs of a condition."""
    return _show(request, "condition")


def _downloader(kind: Kind, form: Literal["csv", "parquet"]) -> Callable[[Request], Response]:
    """Return what gives the ranked partners as a file, with every measure."""
    write = csv_response if form == "csv" else parquet_response

    def download(request: Request) -> Response:
        name = parse_text(request.query_params, "name")
        rows = read_partners(request.app.state.reader, kind, name, parse_view(request.query_params))
        return write(rows, PairRow, name=f"{'conditions' if kind == 'drug' else 'drugs'} of {name}")

    return download


router.add_api_route("/drug.csv", _downloader("drug", "csv"))
router.add_api_route("/drug.parquet", _downloader("drug", "parquet"))
router.add_api_route("/condition.csv", _downloader("condition", "csv"))
router.add_api_route("/condition.parquet", _downloader("condition", "parquet"))


def _show(request: Request, kind: Kind) -> Response:
    name = parse_text(request.query_params, "name")
    view = parse_view(request.query_params)
    if not name:
        return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
    found = read_concept(request.app.state.reader, kind, name, view)
    if isinstance(found, Unknown):
        return page(request, "unknown.html", status=404, typed=name, found=found)
    return page(request, "concept.html", **_values(found, kind, view.parameters()), view=view, kind=kind)


def _values(found: ConceptPage, kind: Kind, parameters: dict[str, str]) -> dict[str, Any]:
    """Return what the template shows of a page."""
    years = sorted({year for counts in found.years.values() for year in counts})
    other = "condition" if kind == "drug" else "drug"
    carried = {one: value for one, value in parameters.items() if one not in ("sort", "page", "before", "min")}

    def pair_path(partner: str) -> str:
        return address("/pair", {kind: found.concept.concept, other: partner, **carried})

    return {
        "found": found,
        "other": other,
        "first_rank": (int(parameters.get("page", 1)) - 1) * PAGE_SIZE + 1,
        "all_years": range(years[0], years[-1] + 1) if years else range(0),
        "pair_path": pair_path,
    }
