"""Operations: what goes on, what is owed, what failed."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dashboard.rendering import page
from dashboard.store_operations import COVERAGE_STATES, read_operations

router = APIRouter()


@router.get("/operations")
def operations(request: Request) -> Response:
    """Show subscriptions, runs, jobs, workers, coverage, backlog and failures."""
    found = read_operations(request.app.state.reader, request.app.state.ledgers)
    # What it counts once in a while, and how long ago, is of the time as well as of the database.
    return page(request, "operations.html", headers={"Cache-Control": "no-store"}, found=found, states=COVERAGE_STATES)
