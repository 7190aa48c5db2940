"""Terminologies: which names stand for which concepts, from TSV and OBO files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from annotate.obo import read_obo
from annotate.text_files import read_lines
from comention.errors import SourceError
from comention.names import normalise_name
from pipeline.stages.annotate_stage import MAX_MENTION_CHARACTERS
from storage.linking import Link

_COLUMNS = ("name", "curie", "preferred_name")
_CURIE = re.compile(r"[A-Za-z_][\w.-]*:[^\s:][^\s]*")
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminology:
    """What a file says: one link a name, its concepts, and what could not be taken as it stands."""

    links: tuple[Link, ...]
    concepts: int
    ambiguous: tuple[str, ...]
    """Names that the file gives to several concepts; each stands for one of them in ``links``."""
    too_long: int
    """Names left out because no mention is as long."""


def read_terminology(path: Path, format_name: str | None = None) -> Terminology:
    """Read a file of names; ``format_name`` is ``tsv``, ``obo``, or None for what the file's name says.

    Of a name with several concepts, the concept whose own name it is goes first, then the first in the file.

    Raises:
        SourceError: a line is wrong or there is no name in it; the message names the lines.
        AnnotatorError: the file cannot be read, or is no OBO file.
    """
    is_obo = format_name == "obo" or (format_name is None and ".obo" in path.suffixes)
    chosen: dict[str, Link] = {}
    ambiguous: dict[str, None] = {}
    concepts = set()
    too_long = 0
    for link in _read_obo(path) if is_obo else _read_tsv(path):
        if len(link.name) > MAX_MENTION_CHARACTERS:
            too_long += 1
            continue
        name = normalise_name(link.name)
        concepts.add(link.curie)
        before = chosen.setdefault(name, link)
        if before.curie != link.curie:
            ambiguous[name] = None
            if _is_own_name(name, link) and not _is_own_name(name, before):
                chosen[name] = link
    if not chosen:
        raise SourceError(f"{path} holds no name that could be linked")
    return Terminology(
        links=tuple(chosen.values()), concepts=len(concepts), ambiguous=tuple(ambiguous), too_long=too_long
    )


def _is_own_name(name: str, link: Link) -> bool:
    return link.preferred_name is not None and normalise_name(link.preferred_name) == name


def _read_obo(path: Path) -> Iterator[Link]:
    for term in read_obo(path):
        if not _CURIE.fullmatch(term.identifier):
            raise SourceError(
                f"{path} cannot be loaded, and nothing was: the id {term.identifier!r} of the term {term.name!r} is no CURIE "
                "such as CL:0000097"
            )
        for name in term.names(("EXACT",)):
            if name:
                yield Link(name=name, curie=term.identifier, preferred_name=term.name)


def _read_tsv(path: Path) -> list[Link]:
    """Read all lines; where one or more are wrong, say which, with the reason of the first."""
    links, wrong = [], dict[int, str]()
    order: tuple[int, ...] | None = None
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        if order is None:
            heading = _heading(cells)
            order = heading or (0, 1, 2)
            if heading is not None:
                continue
        found = _link([cells[place] if place < len(cells) else "" for place in order])
        if isinstance(found, Link):
            links.append(found)
        else:
            wrong[number] = found
    if wrong:
        raise SourceError(f"{path} cannot be loaded, and nothing was: {_said(wrong)}")
    return links


def _heading(cells: Iterable[str]) -> tuple[int, ...] | None:
    """Return where each column stands, None where the cells are no heading; a column that lacks stands beyond the last."""
    names = ["_".join(cell.casefold().split()) for cell in cells]
    if not {"name", "curie"} <= set(names):
        return None
    return tuple(names.index(column) if column in names else len(names) for column in _COLUMNS)


def _link(cells: list[str]) -> Link | str:
    """Return the link of a line, or what is wrong with the line."""
    name, curie, preferred_name = cells
    if "\0" in "".join(cells):
        return "it holds a NUL character"
    if not name:
        return "it has no name"
    if not curie:
        return "it has no CURIE: name and CURIE stand between tabulators"
    if not _CURIE.fullmatch(curie):
        return f"{curie[:40]!r} is no CURIE such as mesh:D000638"
    return Link(name=name, curie=curie, preferred_name=preferred_name or None)


def _said(wrong: dict[int, str]) -> str:
    (first, reason), *others = wrong.items()
    more = ""
    if others:
        shown = ", ".join(str(number) for number, _ in others[:_SHOWN])
        several = f"lines {shown}{', …' if len(others) > _SHOWN else ''} are" if len(others) > 1 else f"line {shown} is"
        more = f"; {several} wrong too ({len(wrong):,} in all)"
    return f"line {first}: {reason}{more}"
