"""Names of a terminology in plain text: weak labels that teach an encoder which words name what.

They are no gold: a name may mean something else, and most things are named otherwise. But there are far more of them than
an annotated corpus has, and what an encoder learns from them stays when it is fitted to a corpus afterwards.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from annotate.corpora import AnnotatedSentence, Span
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

_WORD = re.compile(r"\w+|[^\w\s]")
_LEAST_CHARACTERS = 4
_MOST_WORDS = 8


def load_typed_names(
    names: Path, trees: Path, types: Mapping[str, Sequence[str]], sources: Mapping[str, str]
) -> dict[str, list[str]]:
    """Load the names of each type, sorted: see :class:`annotate.recipe.LexiconRecipe` for what the tables hold.

    Names of fewer than four characters, of more than eight words or without a letter are left out: they are found where
    they are not meant, or hardly ever.

    Raises:
        AnnotatorError: a table is missing or a line has too few columns.
    """
    kind: dict[str, str] = {}
    rank = {name: order for order, name in enumerate(types)}
    for identifier, _, tree in _rows(trees):
        for name, prefixes in types.items():
            if tree.startswith(tuple(prefixes)) and rank[name] < rank.get(kind.get(identifier, ""), len(rank)):
                kind[identifier] = name
    in_trees = {identifier for identifier, *_ in _rows(trees)}
    by_source = {source: order for order, source in enumerate(sources)}
    rows = list(_rows(names))
    brought: dict[str, str] = {}
    for _, identifier, source in rows:
        known = by_source.get(brought.get(identifier, ""), len(by_source))
        if identifier not in in_trees and by_source.get(source, len(by_source)) < known:
            brought[identifier] = source
    found: dict[str, set[str]] = defaultdict(set)
    for name, identifier, _ in rows:
        of = kind.get(identifier) or sources.get(brought.get(identifier, ""))
        words = len(_WORD.findall(name))
        if of and len(name) >= _LEAST_CHARACTERS and words <= _MOST_WORDS and any(map(str.isalpha, name)):
            found[of].add(name)
    return {of: sorted(listed) for of, listed in sorted(found.items())}


def _rows(path: Path) -> Iterable[tuple[str, str, str]]:
    """Yield the first three columns of a table with tabs, its heading left out."""
    if not path.is_file():
        raise AnnotatorError(f"the terminology {path} does not exist")
    for number, line in enumerate(read_lines(path), start=1):
        columns = line.split("\t")
        if len(columns) < 3:
            raise AnnotatorError(f"{path}, line {number}: {len(columns)} columns instead of 3")
        if number > 1:
            yield columns[0], columns[1], columns[2]


class NameFinder:
    """Finds names in a text, whatever their case: at each word the longest one, none inside another."""

    def __init__(self, names: Mapping[str, Iterable[str]]) -> None:
        """Prepare the names of each label."""
        self._labels: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, list[int]] = defaultdict(list)
        for label, listed in names.items():
            for name in listed:
                words = tuple(_WORD.findall(name.lower()))
                if words and words not in self._labels:
                    self._labels[words] = label
                    self._lengths[words[0]].append(len(words))
        for first, lengths in self._lengths.items():
            self._lengths[first] = sorted(set(lengths), reverse=True)

    def find(self, text: str) -> list[Span]:
        """Return the names in ``text``, in order."""
        found = list(_WORD.finditer(text))
        words = [match[0].lower() for match in found]
        spans, at = [], 0
        while at < len(words):
            for length in self._lengths.get(words[at], ()):
                label = self._labels.get(tuple(words[at : at + length]))
                if label is not None:
                    last = found[at + length - 1]
                    spans.append(Span(start_char=found[at].start(), end_char=last.end(), label=label))
                    at += length
                    break
            else:
                at += 1
        return spans

    def annotate(self, texts: Iterable[str]) -> list[AnnotatedSentence]:
        """Return the texts in which a name stands, as sentences with the names for gold."""
        sentences = (AnnotatedSentence(pmid=0, start_char=0, text=text, spans=tuple(self.find(text))) for text in texts)
        return [sentence for sentence in sentences if sentence.spans]
