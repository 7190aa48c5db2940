"""Entity replacement: more training sentences, by putting other names of the same label where annotated ones stand.

The model card of the CRAFT seed describes it: 20 % of the entities are replaced by names from lists, such as those of the
ontologies, and the altered sentences are added to the original ones.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from annotate.corpora import AnnotatedSentence, Span

_WORDS = re.compile(r"\w+|[^\w\s]")

_Place = tuple[int, int]
"""The number of a sentence and the number of a span in it."""


def replace_entities(
    sentences: Sequence[AnnotatedSentence],
    names_by_label: Mapping[str, Sequence[str]],
    share: float = 0.2,
    seed: int = 42,
) -> list[AnnotatedSentence]:
    """Return the sentences with a share of their entities replaced by another name of the same label.

    Of each label that has names, exactly ``share`` of the entities, rounded, are replaced: chosen without repetition over all
    sentences, each by a name that is not the one it had. Text outside of them, labels and order stay as they are. An entity
    that overlaps another one is never chosen, since one name cannot stand for both; where that leaves fewer than the share,
    all that can be are replaced. Words of the corpus's own are moved along, those of a new name cut anew.

    Raises:
        ValueError: the share is not between 0 and 1, or a name is empty or has white space at its ends.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of entities to replace is {share}, not between 0 and 1")
    pools = {label: list(dict.fromkeys(names)) for label, names in names_by_label.items()}
    for label, names in pools.items():
        odd = next((name for name in names if not name or name != name.strip()), None)
        if odd is not None:
            raise ValueError(f"{odd!r} is no name for {label}")
    chooser = random.Random(seed)  # noqa: S311  # the choice of names is no secret
    chosen: dict[int, dict[int, str]] = defaultdict(dict)
    for label, (total, places) in sorted(_replaceable(sentences, pools).items()):
        for sentence, span in sorted(chooser.sample(places, min(round(share * total), len(places)))):
            old = _surface(sentences[sentence], sentences[sentence].spans[span])
            chosen[sentence][span] = _another(pools[label], old, chooser)
    return [
        _rebuilt(sentence, chosen[number]) if number in chosen else sentence
        for number, sentence in enumerate(sentences)
    ]


def _replaceable(
    sentences: Sequence[AnnotatedSentence], pools: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, list[_Place]]]:
    """Return, for every label with names, how many entities it has and which of them can be replaced."""
    totals: dict[str, int] = defaultdict(int)
    places: dict[str, list[_Place]] = defaultdict(list)
    for number, sentence in enumerate(sentences):
        alone = _disjoint(sentence.spans)
        for index, span in enumerate(sentence.spans):
            pool = pools.get(span.label)
            if pool:
                totals[span.label] += 1
                if index in alone and (len(pool) > 1 or pool[0] != _surface(sentence, span)):
                    places[span.label].append((number, index))
    return {label: (total, places[label]) for label, total in totals.items()}


def _disjoint(spans: Sequence[Span]) -> set[int]:
    """Return the numbers of the spans that overlap no other."""
    order = sorted(range(len(spans)), key=lambda index: spans[index])
    overlapping: set[int] = set()
    furthest = -1
    for index in order:
        span = spans[index]
        if furthest >= 0 and span.start_char < spans[furthest].end_char:
            overlapping |= {index, furthest}
        if furthest < 0 or span.end_char > spans[furthest].end_char:
            furthest = index
    return set(order) - overlapping


def _another(names: Sequence[str], old: str, chooser: random.Random) -> str:
    """Return a random name that is not ``old``."""
    name = chooser.choice(names)
    while name == old:
        name = chooser.choice(names)
    return name


def _surface(sentence: AnnotatedSentence, span: Span) -> str:
    return sentence.text[span.start_char : span.end_char]


def _rebuilt(sentence: AnnotatedSentence, names: Mapping[int, str]) -> AnnotatedSentence:
    """Return a sentence with new names in place of some of its spans, all offsets moved along."""
    edits = sorted(
        (sentence.spans[index].start_char, sentence.spans[index].end_char, name) for index, name in names.items()
    )
    pieces: list[str] = []
    at = 0
    for start, end, name in edits:
        pieces += [sentence.text[at:start], name]
        at = end
    pieces.append(sentence.text[at:])
    text = "".join(pieces)
    spans = tuple(
        Span(start_char=_moved(span.start_char, edits), end_char=_moved(span.end_char, edits), label=span.label)
        for span in sentence.spans
    )
    words: list[tuple[int, int]] = []
    if sentence.words:
        outside = [
            word for word in sentence.words if not any(word[0] < end and start < word[1] for start, end, _ in edits)
        ]
        words = [(_moved(start, edits), _moved(end, edits)) for start, end in outside]
        for start, end, _ in edits:
            words += [match.span() for match in _WORDS.finditer(text, _moved(start, edits), _moved(end, edits))]
    return replace(sentence, text=text, spans=spans, words=tuple(sorted(words)))


def _moved(offset: int, edits: Sequence[tuple[int, int, str]]) -> int:
    """Return where an offset is after the edits; it lies inside none of them."""
    return offset + sum(len(name) - (end - start) for start, end, name in edits if end <= offset)
