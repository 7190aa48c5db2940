"""Text with spans in it as HTML that stays text.

Offsets are Unicode code points, so text is cut first and escaped after. Characters that steer the direction of writing or that
no screen shows are replaced one for one: an abstract cannot reorder the page around it, nor itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

REPLACEMENT = "\ufffd"
_STEERING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A span of a text with the classes that its part of the page gets, and what it is called there."""

    start: int
    end: int
    classes: tuple[str, ...]
    title: str = ""
    tag: str = ""


def inert(text: str) -> str:
    """Return the text with as many characters, none of which steers how others are shown."""
    return text if text.isprintable() else _STEERING.sub(REPLACEMENT, text)  # most is, and what steers is not


def mark(text: str, spans: Iterable[Marked], *, start: int = 0, end: int | None = None) -> Markup:
    """Return the part of a text from ``start`` to ``end`` as HTML, its spans as ``<mark>``.

    Spans may overlap, nest, repeat and reach over the ends. The text is cut wherever one begins or ends; each piece is one
    element with the classes of all spans over it, so that elements nest properly whatever the spans do. The first title is
    kept. A tag is written where its span ends.
    """
    end = len(text) if end is None else min(end, len(text))
    inside = [
        (max(one.start, start), min(one.end, end), one)
        for one in spans
        if one.start < one.end and one.start < end and one.end > start
    ]
    if not inside:
        return escape(inert(text[start:end]))
    opening: dict[int, list[Marked]] = {}
    closing: dict[int, list[Marked]] = {}
    for first, last, one in inside:
        opening.setdefault(first, []).append(one)
        closing.setdefault(last, []).append(one)
    cuts = sorted({start, end, *opening, *closing})
    pieces: list[str] = []
    over: list[Marked] = []
    for first, last in pairwise(cuts):
        ended = closing.get(first, ())
        over = [one for one in over if not any(one is gone for gone in ended)] + opening.get(first, [])
        piece = str(escape(inert(text[first:last])))
        pieces.append(f"<mark{_attributes(over, closing.get(last, ()))}>{piece}</mark>" if over else piece)
    return Markup("".join(pieces))  # noqa: S704 - every piece was escaped


def _attributes(over: Sequence[Marked], ended: Sequence[Marked]) -> str:
    """Return the attributes of the element around a piece, escaped."""
    classes = " ".join(dict.fromkeys(name for one in over for name in one.classes))
    title = inert(next((one.title for one in over if one.title), ""))
    tags = "\u00a0".join(dict.fromkeys(one.tag for one in over if one.tag and any(one is last for last in ended)))
    named = (("class", classes), ("title", title), ("data-tag", tags))
    return "".join(f' {name}="{escape(value)}"' for name, value in named if value)
