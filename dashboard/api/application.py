"""The API as an application of its own, which the dashboard mounts: its errors are problems, never pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi

from comention import __version__
from dashboard.api.methods import Options
from dashboard.api.problems import Problem, add_handlers
from dashboard.api.resources import ROUTERS
from dashboard.api.responding import refuse_repeated

if TYPE_CHECKING:
    from storage.reading import Reader

_ABOUT = """\
What the dashboard shows, for programs: drugs and conditions that stand in the same sentences of PubMed, how strongly, since
when, and in which words. All resources are read with GET; names go in any spelling, or as a CURIE.

Lists come in pages: send `next_cursor` back as `cursor`, or follow the header `Link`. Answers have an `ETag`: send it back as
`If-None-Match`, and as long as nothing was written the answer is 304. Errors are `application/problem+json` (RFC 9457).
"""

_TAGS = [
    {"name": "names", "description": "Names while they are typed."},
    {"name": "concepts", "description": "A drug or a condition with those that stand with it."},
    {"name": "pairs", "description": "Pairs: all, or one with its measures, years and sentences."},
    {"name": "sentences", "description": "Sentences by their words."},
    {"name": "citations", "description": "A citation with the mentions in it, also as PubTator and BioC."},
    {"name": "database", "description": "How the database stands, and what became of a PMID."},
]


def create_api(reader: Reader, *, needs_token: bool) -> FastAPI:
    """Return the API over a pool that reads, to be mounted at ``/api``."""
    api = FastAPI(
        title="comention",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    api.state.reader = reader
    for router in ROUTERS:
        api.include_router(router, prefix="/v1", dependencies=[Depends(refuse_repeated)])
    add_handlers(api)
    api.add_middleware(Options, router=api.router)

    def document() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _describe(api, needs_token=needs_token)
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]
    return api


def _describe(api: FastAPI, *, needs_token: bool) -> dict[str, Any]:
    """Return the OpenAPI document."""
    found = get_openapi(
        title="comention",
        version=api.version,
        openapi_version="3.1.0",
        summary="Drug–condition co-occurrence from PubMed",
        description=_ABOUT,
        routes=api.routes,
        tags=_TAGS,
    )
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    parts = schema.pop("$defs")
    components = found.setdefault("components", {})
    components["schemas"].update({"Problem": schema, **parts})
    if needs_token:
        components["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "description": "The token that the dashboard is read with."}
        }
        found["security"] = [{"token": []}]
    return found
