"""The pages, one router each."""

from __future__ import annotations

from dashboard.pages import (
    annotators,
    citation,
    compare,
    concept,
    login,
    network,
    operations,
    pair,
    report,
    search,
    sentences,
)

ROUTERS = (
    search.router, concept.router, pair.router, citation.router, sentences.router, compare.router, annotators.router,
    network.router, operations.router,
    report.router, login.router,
)  # fmt: skip
"""In the order in which they are asked."""
