"""The resources, one router each."""

from __future__ import annotations

from dashboard.api.resources import citation, concept, pair, sentences, status, suggest

ROUTERS = (suggest.router, concept.router, pair.router, sentences.router, citation.router, status.router)
"""In the order in which the document shows them."""
