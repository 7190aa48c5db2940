"""Lists of names for entity replacement: from OBO files, from tables, and from the corpora themselves.

A list is named as a corpus is, by a path and what of it is meant:

- ``terminology/cl.obo.gz``: the names and the exact and related synonyms of the terms that are not obsolete
- ``terminology/mesh.tsv.gz?column=mesh_name&where=mesh_tree_number:D12.776``: a column of a table with a heading; of the
  rows where another column begins so
  (``inverted=yes``: "Receptors, Prolactin" is put into natural order, headings with more commas are left out)
- ``terminology/drugs.tsv.gz?column=synonyms&split=|``: several names in a cell
- ``mentions``: what the corpora have under the label
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from annotate.corpora import AnnotatedSentence
from annotate.obo import read_obo
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

MENTIONS = "mentions"
_KEYS = ("column", "where", "split", "inverted")
_MOST_WORDS = 8
_WORD = re.compile(r"\w+|[^\w\s]")


def load_name_lists(
    folder: Path, lists: Mapping[str, Iterable[str]], sentences: Iterable[AnnotatedSentence]
) -> dict[str, list[str]]:
    """Return the distinct names of each label from all of its lists; ``mentions`` are those of ``sentences``.

    Raises:
        AnnotatorError: a list cannot be used, or a label gets no name.
    """
    given = list(sentences)
    loaded: dict[str, list[str]] = {}
    for label, references in lists.items():
        names = [
            name
            for reference in references
            for name in (mentioned_names(given, label) if reference == MENTIONS else load_names(folder, reference))
        ]
        if not names:
            raise AnnotatorError(
                f"there is no name for {label} in its lists: {', '.join(references) or 'none is given'}"
            )
        loaded[label] = list(dict.fromkeys(names))
    return loaded


def load_names(folder: Path, reference: str) -> list[str]:
    """Return the distinct usable names of a list, in its order; ``folder`` is where relative paths start.

    Underscores, which stand for blanks in some ontologies, become blanks. Names without a letter and names of more than
    eight words are left out: they are formulas and definitions, which no text has.

    Raises:
        AnnotatorError: the list is missing, cannot be read, lacks a column, or holds no usable name.
    """
    path_text, _, query = reference.partition("?")
    path = folder / path_text
    options = _options(reference, query)
    if not path.is_file():
        raise AnnotatorError(f"the list of names {path} does not exist")
    is_obo = ".obo" in path.suffixes
    if is_obo and options:
        raise AnnotatorError(f"the list of names {reference}: an OBO file has no columns")
    raw = (name for term in read_obo(path) for name in term.names()) if is_obo else _cells(path, reference, options)
    names = list(dict.fromkeys(name for name in map(_cleaned, raw) if _is_usable(name)))
    if not names:
        raise AnnotatorError(f"the list of names {reference} holds no usable name")
    return names


def mentioned_names(sentences: Iterable[AnnotatedSentence], label: str) -> list[str]:
    """Return the distinct texts that are annotated with a label, in order of appearance."""
    found = (
        sentence.text[span.start_char : span.end_char]
        for sentence in sentences
        for span in sentence.spans
        if span.label == label
    )
    return list(dict.fromkeys(name.strip() for name in found if name.strip()))


def _options(reference: str, query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for item in query.split("&") if query else ():
        key, _, value = item.partition("=")
        if key not in _KEYS or not value or key in options or (key == "inverted" and value != "yes"):
            raise AnnotatorError(
                f"the list of names {reference}: {item!r} is none of {', '.join(f'{key}=' for key in _KEYS)}"
            )
        options[key] = value
    return options


def _cells(path: Path, reference: str, options: dict[str, str]) -> Iterator[str]:
    """Yield the cells of a table's column; without a column, of the first one."""
    rows = (line.split("\t") for line in read_lines(path) if line.strip() and not line.startswith("#"))
    heading = next(rows, [])
    column = _column(heading, options.get("column", heading[0] if heading else ""), reference)
    where, _, prefix = options.get("where", "").partition(":")
    by = _column(heading, where, reference) if where else None
    for number, row in enumerate(rows, start=2):
        if len(row) <= max(column, by or 0):
            raise AnnotatorError(f"{path}, row {number}: {len(row)} columns instead of {len(heading)}")
        if by is None or row[by].strip('"').startswith(prefix):
            cell = row[column].strip('"')
            parts = cell.split(options["split"]) if "split" in options else [cell]
            yield from map(_uninverted, parts) if "inverted" in options else parts


def _column(heading: list[str], name: str, reference: str) -> int:
    if name not in heading:
        raise AnnotatorError(f"the list of names {reference} has no column {name!r}; it has {', '.join(heading)}")
    return heading.index(name)


def _uninverted(name: str) -> str:
    """Return a heading in natural order, nothing where it has several commas."""
    parts = name.split(", ")
    return " ".join(reversed(parts)) if len(parts) <= 2 else ""


def _cleaned(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


def _is_usable(name: str) -> bool:
    return any(map(str.isalpha, name)) and len(_WORD.findall(name)) <= _MOST_WORDS
