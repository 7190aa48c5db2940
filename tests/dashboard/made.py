"""Citations and mentions made for a page's test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from comention.types import AnnotatorInfo, Mention, SentenceAnnotation
from storage.annotations import AnnotatedCitation, list_pending, save_annotations
from storage.annotators import register_annotator
from storage.citations import save_citations
from storage.database import Database
from storage.names import NameTable
from storage.precedence import ReadCitation
from storage.runs import open_run


def store(database: Database, items: Sequence[ReadCitation]) -> None:
    """Store the citations."""
    with open_run(database, kind="file", source="made", source_key="made") as run, database.transaction() as connection:
        save_citations(connection, run.run_id, items)


def annotate_words(database: Database, words: Mapping[str, Sequence[str]], *, name: str = "words") -> None:
    """Annotate what is stored: every place of each word, whatever its case, with its label; spans may overlap."""
    info = AnnotatorInfo(name=name, version="1", model="words", revision="1", labels=tuple(words), config_hash="0")
    number, names = register_annotator(database, info), NameTable(database)
    patterns = [
        (label, re.compile("|".join(map(re.escape, some)), re.IGNORECASE)) for label, some in words.items() if some
    ]

    def read(sentence: str) -> SentenceAnnotation:
        return SentenceAnnotation(
            mentions=tuple(
                Mention(start_char=found.start(), end_char=found.end(), label=label, score=0.9)
                for label, pattern in patterns
                for found in pattern.finditer(sentence)
            )
        )

    while pending := list_pending(database, number, limit=500):
        save_annotations(
            database,
            number,
            names,
            [AnnotatedCitation(pending=one, results=tuple(map(read, one.sentences))) for one in pending],
        )
