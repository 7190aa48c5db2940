"""The tasks: each is one call to a plain function."""

from __future__ import annotations
