"""What stands around a drug or a condition, as a drawing and as a table."""

from __future__ import annotations

import math

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboard.filters import QueryError, address, parse_number, parse_text, parse_view
from dashboard.network_drawing import Edge, Node, draw_network
from dashboard.rendering import many, page
from dashboard.store import Kind, Unknown
from dashboard.store_network import NetworkPage, read_network_page
from storage.partners import PairRow

router = APIRouter()

PARTNERS, MOST_PARTNERS = 10, 30
OTHERS, MOST_OTHERS = 3, 10


@router.get("/network")
def network(request: Request) -> Response:
    """Show the partners of a drug or of a condition, and the partners of these."""
    parameters = request.query_params
    drug, condition = parse_text(parameters, "drug"), parse_text(parameters, "condition")
    view = parse_view(parameters)
    partners = parse_number(parameters, "partners", at_most=MOST_PARTNERS)
    others = parse_number(parameters, "others", at_most=MOST_OTHERS)
    lowest_ic = parse_measure(parse_text(parameters, "ic"))
    if not drug and not condition:
        return RedirectResponse(request.scope.get("root_path", "") + "/", 303)
    kind: Kind = "drug" if drug else "condition"
    found = read_network_page(
        request.app.state.reader,
        kind,
        drug or condition,
        view,
        partners=PARTNERS if partners is None else max(1, partners),
        others=OTHERS if others is None else others,
        lowest_ic=lowest_ic,
    )
    if isinstance(found, Unknown):
        return page(request, "unknown.html", status=404, typed=found.name, found=found)
    return page(
        request,
        "network.html",
        found=found,
        kind=kind,
        view=view,
        partners=partners,
        others=others,
        lowest_ic=lowest_ic,
        limits=(PARTNERS, MOST_PARTNERS, OTHERS, MOST_OTHERS),
        drawing=draw(found, kind, request.scope.get("root_path", "")),
        kept={
            kind: found.concept.concept,
            "partners": "" if partners is None else str(partners),
            "others": "" if others is None else str(others),
            "ic": "" if lowest_ic is None else f"{lowest_ic:g}",
        },
    )


def parse_measure(value: str) -> float | None:
    """Return the lowest information component, in bits, or None where none is given.

    Raises:
        QueryError: it is no number from -20 to 20.
    """
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not -20 <= number <= 20:
        raise QueryError("“ic” is no number from -20 to 20")
    return number


def draw(found: NetworkPage, kind: Kind, root: str) -> str:
    """Return the drawing of a network."""
    other: Kind = "condition" if kind == "drug" else "drug"

    def node(concept: str, of_kind: Kind) -> Node:
        return Node(
            concept=concept,
            kind=of_kind,
            title=found.titles[of_kind].get(concept, concept),
            address=root + address(f"/{of_kind}", {"name": concept}),
        )

    def edge(row: PairRow, left: str, right: str) -> Edge:
        drug = found.titles["drug"].get(row.drug, row.drug)
        condition = found.titles["condition"].get(row.condition, row.condition)
        measured = row.information_component_low
        return Edge(
            left=left,
            right=right,
            citations=row.citation_count,
            above=measured is None or measured > 0,
            label=f"{drug} and {condition}: {many(row.citation_count, 'citation')}",
        )

    def of(row: PairRow, one: Kind) -> str:
        return row.drug if one == "drug" else row.condition

    nodes = {f"m:{of(row, other)}": node(of(row, other), other) for row in found.network.inner}
    nodes |= {f"r:{of(row, kind)}": node(of(row, kind), kind) for row in found.network.outer}
    return draw_network(
        node(found.concept.concept, kind),
        nodes,
        [edge(row, of(row, kind), of(row, other)) for row in found.network.inner],
        [edge(row, of(row, other), of(row, kind)) for row in found.network.outer],
        f"What stands around {found.concept.title}",
    )
