"""Offsets in the unit that a reader counts in. Inside comention all offsets are code points; other units exist only here."""

from __future__ import annotations

from typing import Literal, get_args

OffsetUnit = Literal["codepoint", "utf16", "utf8"]
"""Unicode code points (Python, R, readers of PubTator and BioC), UTF-16 code units (Java), bytes of UTF-8 (Rust)."""

OFFSET_UNITS: tuple[OffsetUnit, ...] = get_args(OffsetUnit)

COLUMN_SUFFIX: dict[OffsetUnit, str] = {"codepoint": "char", "utf16": "utf16", "utf8": "utf8"}
"""What a column of offsets ends in: ``start_char``, ``start_utf16``, ``start_utf8``."""


def convert_offset(text: str, offset: int, unit: OffsetUnit) -> int:
    """Return an offset of ``text``, counted in code points, in another unit."""
    if unit == "codepoint" or text.isascii():
        return offset
    before = text[:offset]
    if unit == "utf8":
        return len(before.encode())
    return len(before) + sum(character > "\uffff" for character in before)
