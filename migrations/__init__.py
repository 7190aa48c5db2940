"""Alembic migrations; `storage.migrate` runs them."""

from __future__ import annotations

from pathlib import Path


def revisions() -> list[str]:
    """Return the revisions in their order, from the names of their files: every command needs them, and not Alembic."""
    return sorted(path.name.partition("_")[0] for path in (Path(__file__).parent / "versions").glob("[0-9]*_*.py"))
