"""OBO files: the names of an ontology's terms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from annotate.text_files import read_lines
from comention.errors import AnnotatorError

EXACT_AND_RELATED = ("EXACT", "RELATED")
"""The scopes of synonyms that name a term itself; narrower and broader ones name another thing."""

_SYNONYM = re.compile(r'synonym:\s*"((?:[^"\\]|\\.)*)"\s*([A-Z]+)?')
_OLD_SYNONYM = re.compile(r'(exact|related|broad|narrow)_synonym:\s*"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "t": "\t", "W": " "}
_COMMENT = re.compile(r"(?<!\\)\s!\s.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A term of an ontology: its identifier, its name, and its synonyms as (text, scope)."""

    identifier: str
    name: str
    synonyms: tuple[tuple[str, str], ...]

    def names(self, scopes: tuple[str, ...] = EXACT_AND_RELATED) -> list[str]:
        """Return the distinct names, the term's own first."""
        return list(dict.fromkeys([self.name, *(text for text, scope in self.synonyms if scope in scopes)]))


def read_obo(path: Path) -> Iterator[Term]:
    """Yield the terms of an OBO file (format 1.0 to 1.4), gzipped or not.

    Obsolete terms and those without a name are left out.

    Raises:
        AnnotatorError: the file cannot be read, or a line of a term cannot; the message names the line.
    """
    stanzas = 0
    for stanza, lines in _stanzas(path):
        stanzas += 1
        if stanza == "[Term]":
            term = _term(lines, path)
            if term is not None:
                yield term
    if not stanzas:
        raise AnnotatorError(f"{path} is no OBO file: it has no [Term]")


def _stanzas(path: Path) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield the heading of every stanza and its lines with their numbers; the header of the file is left out."""
    stanza, lines = "", list[tuple[int, str]]()
    for number, raw in enumerate(read_lines(path), start=1):
        line = raw.strip()
        if line.startswith("["):
            if stanza:
                yield stanza, lines
            stanza, lines = line, []
        elif line and not line.startswith("!"):
            lines.append((number, line))
    if stanza:
        yield stanza, lines


def _term(lines: list[tuple[int, str]], path: Path) -> Term | None:
    values: dict[str, str] = {}
    synonyms = []
    for number, line in lines:
        tag, colon, value = line.partition(":")
        if not colon:
            raise AnnotatorError(f"{path}, line {number}: {line[:40]!r} is no 'tag: value' of an OBO file")
        if tag.endswith("synonym"):
            synonyms.append(_synonym(line, f"{path}, line {number}"))
        else:
            values.setdefault(tag, value.strip())
    name = _unescaped(_COMMENT.sub("", values.get("name", "")))
    if not name or values.get("is_obsolete", "").split()[:1] == ["true"]:
        return None
    return Term(identifier=values.get("id", ""), name=name, synonyms=tuple(synonyms))


def _synonym(line: str, where: str) -> tuple[str, str]:
    """Read a synonym and its scope; without one it is RELATED, as the format says."""
    found = _SYNONYM.match(line)
    if found is not None:
        return _unescaped(found[1]), found[2] or "RELATED"
    old = _OLD_SYNONYM.match(line)
    if old is None:
        raise AnnotatorError(f"{where}: the synonym has no text in quotation marks")
    return _unescaped(old[2]), old[1].upper()


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text).strip()
