"""Scoring on tags, as most published figures do: IOB2 tags of words, compared as seqeval's strict mode compares them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from annotate.corpora import AnnotatedSentence, Span, disjoint_spans

_WORDS = re.compile(r"\w+|[^\w\s]")

Chunk = tuple[int, int, str]
"""A mention in words: the first, the one after the last, and its label."""


def sentence_words(sentence: AnnotatedSentence) -> Sequence[tuple[int, int]]:
    """Return the words of a sentence: the corpus's own, else runs of letters and digits and single other characters."""
    return sentence.words or [match.span() for match in _WORDS.finditer(sentence.text)]


def word_tags(words: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[str]:
    """Return the IOB2 tag of every word. A word that a span touches belongs to it; the longer of two spans is kept."""
    tags = ["O"] * len(words)
    word = 0
    for span in disjoint_spans(spans):
        while word < len(words) and words[word][1] <= span.start_char:
            word += 1
        prefix = "B"
        while word < len(words) and words[word][0] < span.end_char:
            tags[word] = f"{prefix}-{span.label}"
            prefix = "I"
            word += 1
    return tags


def strict_chunks(tags: Sequence[str]) -> list[Chunk]:
    """Return the mentions of a sequence of tags, exactly those that seqeval sees with ``mode="strict", scheme=IOB2``.

    A mention begins with B and goes on while I of its label follows. An I that continues nothing is in none.
    """
    chunks = []
    for first, tag in enumerate(tags):
        if tag.startswith("B-"):
            label, end = tag[2:], first + 1
            while end < len(tags) and tags[end] == f"I-{label}":
                end += 1
            chunks.append((first, end, label))
    return chunks
