"""The pages, one router each."""

from __future__ import annotations

from dashboard.pages import citation, concept, login, pair, search, sentences

ROUTERS = (search.router, concept.router, pair.router, citation.router, sentences.router, login.router)
"""In the order in which they are asked."""
