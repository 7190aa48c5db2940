"""CRAFT release 5 as JSON lines: an article a line, with its sentences, its tokens and its concept annotations.

The guideline marks base and extension concepts: the extension classes were made for the corpus, and mark words such as
"genetically" that the ontologies proper do not. Gold is what is annotated with a class of the ontology itself, unless
extension spans are asked for as well. Mentions with gaps ("T and B cells": "T … cells") are left out, since neither tags nor
one pair of offsets can hold them; they are counted.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from annotate.corpora.model import AnnotatedDocument, Span
from annotate.text_files import read_lines
from comention.errors import AnnotatorError


def read_craft_standoff(path: Path, *, extensions: bool = False) -> list[AnnotatedDocument]:
    """Read articles from JSON lines; with ``extensions`` the spans of extension classes are gold too.

    Raises:
        AnnotatorError: a line is not JSON, lacks a field, or has offsets that do not give their text.
    """
    documents = []
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            article: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError as error:
            raise AnnotatorError(f"{where}: this is not JSON: {error}") from error
        try:
            documents.append(_document(article, where, extensions))
        except KeyError as error:
            raise AnnotatorError(f"{where}: the field {error} is missing") from None
        except (TypeError, ValueError, AttributeError):
            raise AnnotatorError(f"{where}: a field has another shape than in CRAFT's standoff format") from None
    if not documents:
        raise AnnotatorError(f"{path}: it has no articles")
    return documents


def _document(article: dict[str, Any], where: str, extensions: bool) -> AnnotatedDocument:
    name, text = str(article["doc_id"]), article["text"]
    sentences = tuple((int(sentence["start"]), int(sentence["end"])) for sentence in article["sentences"])
    words = tuple((int(start), int(end)) for sentence in article["sentences"] for start, end in sentence["tokens"])
    ordered = all(before[1] <= after[0] for row in (sentences, words) for before, after in pairwise(row))
    if not ordered or any(not 0 <= start < end <= len(text) for start, end in (*sentences, *words)):
        raise AnnotatorError(f"{where}: the sentences or tokens of {name} do not fit its text")
    spans: set[Span] = set()
    discontinuous = 0
    for entity in article["entities"]:
        if not (extensions or entity["span_in_base_ontology"]):
            continue
        pieces = [(int(start), int(end)) for start, end in entity["spans"]]
        if len(pieces) != 1:
            discontinuous += 1
            continue
        [(start, end)] = pieces
        if not 0 <= start < end <= len(text) or text[start:end] != entity["text"]:
            raise AnnotatorError(f"{where}: the offsets {start}-{end} do not give {entity['text']!r} in {name}")
        spans.add(Span(start_char=start, end_char=end, label=str(entity["type"])))
    return AnnotatedDocument(
        pmid=int(name) if name.isdecimal() else 0,
        text=text,
        spans=tuple(sorted(spans)),
        sentences=sentences,
        words=words,
        name="" if name.isdecimal() else name,
        discontinuous=discontinuous,
    )
