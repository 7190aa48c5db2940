"""IOB tables: a word, a tab and its tag on each line, a blank line after each sentence; so CRAFT's older conversion.

The text of a sentence is its words joined by one blank, for the original spacing is lost. The tags are IOB2: a mention
begins with B. An I that continues nothing is refused, since tools disagree on it (CoNLL's script lets it begin a mention,
seqeval's strict mode drops it) and with them every figure.
"""

from __future__ import annotations

import re
from pathlib import Path

from annotate.corpora.model import AnnotatedDocument, Span
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

TAG = re.compile(r"O|[BI]-(\S+)")
_DOCUMENT_MARK = "-DOCSTART-"
_ABSTRACT = ["Abstract"]

TaggedWord = tuple[str, str]


def read_iob(path: Path) -> list[AnnotatedDocument]:
    """Read a table of words and IOB2 tags; spans carry the type names of the tags.

    Documents begin at ``-DOCSTART-`` lines, or, in CRAFT, where nothing marks them, at the sentence before each one that
    is only the word "Abstract": the titles of its articles. Elsewhere every sentence is a document.

    Raises:
        AnnotatorError: a line is not a word and a tag, or an I continues no mention; the message names the line.
    """
    sentences: list[list[TaggedWord]] = [[]]
    starts: list[int] = []
    before = "O"
    for number, line in enumerate(read_lines(path), start=1):
        fields = line.split("\t")
        if not line.strip():
            before = "O"
            if sentences[-1]:
                sentences.append([])
            continue
        if len(fields) != 2 or not fields[0].strip():
            raise AnnotatorError(f"{path}, line {number}: {len(fields)} fields instead of a word and its tag")
        word, tag = fields
        if word == _DOCUMENT_MARK:
            starts.append(len(sentences) - (not sentences[-1]))
            continue
        if TAG.fullmatch(tag) is None:
            raise AnnotatorError(f"{path}, line {number}: {tag!r} is no tag; tags are O, B-TYPE and I-TYPE")
        if tag.startswith("I-") and before[2:] != tag[2:]:
            raise AnnotatorError(
                f"{path}, line {number}: {tag} follows {before}, but in IOB2 a mention begins with B-{tag[2:]}; "
                "convert a file that is tagged otherwise"
            )
        before = tag
        sentences[-1].append((word, tag))
    if not sentences[-1]:
        sentences.pop()
    if not sentences:
        raise AnnotatorError(f"{path}: it has no words")
    if not starts:
        starts = _article_starts(sentences)
    bounds = zip(starts, [*starts[1:], len(sentences)], strict=True)
    return [
        _document(sentences[start:end], str(index)) for index, (start, end) in enumerate(bounds, start=1) if start < end
    ]


def _article_starts(sentences: list[list[TaggedWord]]) -> list[int]:
    """Return the first sentence of each document where the file does not mark them."""
    titles = [
        index - 1 for index, sentence in enumerate(sentences) if index and [word for word, _ in sentence] == _ABSTRACT
    ]
    return titles if titles and titles[0] == 0 else list(range(len(sentences)))


def _document(sentences: list[list[TaggedWord]], name: str) -> AnnotatedDocument:
    """Join the words of sentences by blanks and the sentences by newlines."""
    bounds: list[tuple[int, int]] = []
    words: list[tuple[int, int]] = []
    spans: list[Span] = []
    at = 0
    for sentence in sentences:
        first = at
        for word, tag in sentence:
            words.append((at, at + len(word)))
            if tag.startswith("B-"):
                spans.append(Span(start_char=at, end_char=at + len(word), label=tag[2:]))
            elif tag.startswith("I-"):
                spans[-1] = Span(start_char=spans[-1].start_char, end_char=at + len(word), label=tag[2:])
            at += len(word) + 1
        bounds.append((first, at - 1))
    text = "\n".join(" ".join(word for word, _ in sentence) for sentence in sentences)
    return AnnotatedDocument(
        pmid=0, text=text, spans=tuple(spans), sentences=tuple(bounds), words=tuple(words), name=name
    )
