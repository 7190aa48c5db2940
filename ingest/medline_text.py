"""The canonical text of a citation: its title, a newline and its abstract, with the sections of both.

Inline markup (``<i>``, ``<sup>``, MathML, whatever else a file holds) stays as its text. A run of white space with a tab
or a line break in it is the file's layout and becomes one space, and the ends are trimmed; everything else stays as it is:
two spaces that stand in the text count as two in PubTator's and BioC's offsets too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from comention.types import Section

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element

TITLE = "TITLE"
"""The label of the section that holds the title."""

_LAYOUT = re.compile(r" *[\t\r\n][ \t\r\n]*")


def element_text(element: _Element | None) -> str:
    """All text below ``element``, in document order and without the file's layout; empty where there is none."""
    if element is None:
        return ""
    text = element.text if not len(element) else "".join(cast("Iterator[str]", element.itertext()))
    if not text or text.isspace():
        return ""
    # Most texts need no change, and three searches are many times faster than one substitution.
    if "\n" in text or "\t" in text or "\r" in text:
        text = _LAYOUT.sub(" ", text)
    return text.strip(" ")


def compose_text(title: str, parts: Iterable[_Element]) -> tuple[str, tuple[Section, ...]]:
    """Compose the canonical text from the title and the ``AbstractText`` elements.

    A labelled part reads ``LABEL: text``, as in the AB field of the MEDLINE format; parts are joined by one space and
    an empty part is left out. The first section is the title, even an empty one, and labels lie outside of the
    sections.
    """
    pieces = [title]
    sections = [Section(label=TITLE, start_char=0, end_char=len(title))]
    position = len(title)
    for part in parts:
        text = element_text(part)
        if not text:
            continue
        label = " ".join(part.get("Label", "").split())
        prefix = ("\n" if len(sections) == 1 else " ") + (f"{label}: " if label else "")
        start = position + len(prefix)
        position = start + len(text)
        pieces += (prefix, text)
        sections.append(Section(label=label, category=part.get("NlmCategory"), start_char=start, end_char=position))
    return "".join(pieces), tuple(sections)
