"""PubTator format, as CDR, NCBI disease, BioRED and PubTator Central write it."""

from __future__ import annotations

import re
from pathlib import Path

from annotate.corpora.model import AnnotatedDocument, Span
from annotate.text_files import read_lines
from comention.errors import AnnotatorError

HEADER = re.compile(r"(\d+)\|([ta])\|(.*)", re.DOTALL)


def read_pubtator(path: Path) -> list[AnnotatedDocument]:
    """Read a file in PubTator format; spans carry its own type names, relations are left out.

    The text of a document is its title, a newline and its abstract.

    Raises:
        AnnotatorError: a line cannot be read, or an annotation's offsets do not give its text.
    """
    documents: list[AnnotatedDocument] = []
    pmid, title, abstract, spans = 0, "", "", set[Span]()

    def finish() -> None:
        text = f"{title}\n{abstract}" if abstract else title
        parts = [(0, len(title))] + ([(len(title) + 1, len(text))] if abstract else [])
        documents.append(AnnotatedDocument(pmid=pmid, text=text, spans=tuple(sorted(spans)), parts=tuple(parts)))

    for number, line in enumerate(read_lines(path), start=1):
        header = HEADER.fullmatch(line)
        if header is not None and header[2] == "t":
            if title:
                finish()
            pmid, title, abstract, spans = int(header[1]), header[3], "", set()
        elif header is not None:
            abstract = header[3]
        elif line.strip():
            fields = line.split("\t")
            if not title or len(fields) < 4:
                raise AnnotatorError(f"{path}, line {number}: this is not PubTator format")
            if len(fields) < 5 or not (fields[1].isdecimal() and fields[2].isdecimal()):
                continue  # a relation
            start, end, surface, kind = int(fields[1]), int(fields[2]), fields[3], fields[4]
            # NCBI disease writes its mentions without the quotation marks of its text.
            if f"{title} {abstract}"[start:end].replace('"', " ") != surface.replace('"', " ") or not surface:
                raise AnnotatorError(
                    f"{path}, line {number}: the offsets {start}-{end} do not give {surface!r} in PMID {pmid}"
                )
            spans.add(Span(start_char=start, end_char=end, label=kind))
    if not title:
        raise AnnotatorError(f"{path}: no document in PubTator format was found")
    finish()
    return documents
