"""Citations, sentences and files of PubMed XML, made for tests."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from comention.types import Citation, Section, Sentence
from storage.precedence import ReadCitation


def citation(
    pmid: int,
    sentences: Sequence[str] = ("Clozapine caused agranulocytosis.",),
    *,
    title: str = "A case.",
    version: int = 1,
    revised_on: dt.date | None = dt.date(2020, 1, 1),
    year: int | None = 2020,
    retracted: bool = False,
    journal_title: str = "Journal",
    splitter: str = "test",
) -> ReadCitation:
    """A citation with its title and the given sentences of an unlabelled abstract, at position ``pmid``."""
    abstract = " ".join(sentences)
    text = f"{title}\n{abstract}" if abstract else title
    sections = [Section(label="TITLE", start_char=0, end_char=len(title))]
    if abstract:
        sections.append(Section(label="", start_char=len(title) + 1, end_char=len(text)))
    lines, start = [(0, len(title))], len(title) + 1
    for sentence in sentences:
        lines.append((start, start + len(sentence)))
        start += len(sentence) + 1
    from comention.types import Journal

    record_key = (pmid, version, text, revised_on, year, retracted, journal_title)
    return ReadCitation(
        position=pmid,
        splitter=splitter,
        citation=Citation(
            pmid=pmid,
            version=version,
            text=text,
            sections=tuple(sections),
            journal=Journal(title=journal_title),
            published_on=dt.date(year, 1, 1) if year else None,
            revised_on=revised_on,
            retracted=retracted,
            content_hash=hashlib.blake2b(text.encode(), digest_size=16).digest(),
            record_hash=hashlib.blake2b(repr(record_key).encode(), digest_size=16).digest(),
        ),
        sentences=tuple(
            Sentence(
                pmid=pmid,
                ordinal=ordinal,
                section="TITLE" if ordinal == 0 else "",
                start_char=first,
                end_char=last,
                text=text[first:last],
            )
            for ordinal, (first, last) in enumerate(lines)
        ),
    )


def article_xml(
    pmid: int | None, abstract: str = "Clozapine caused agranulocytosis.", *, title: str = "A case."
) -> str:
    """A ``PubmedArticle`` as PubMed writes it; without PMID where that is None. The texts are XML already."""
    identifier = "" if pmid is None else f'<PMID Version="1">{pmid}</PMID>'
    return (
        f'<PubmedArticle><MedlineCitation Status="MEDLINE" Owner="NLM">{identifier}'
        "<DateRevised><Year>2020</Year><Month>01</Month><Day>01</Day></DateRevised>"
        '<Article PubModel="Print"><Journal><JournalIssue CitedMedium="Print"><PubDate><Year>2020</Year></PubDate>'
        f"</JournalIssue><Title>Journal</Title></Journal><ArticleTitle>{title}</ArticleTitle>"
        f"<Abstract><AbstractText>{abstract}</AbstractText></Abstract><Language>eng</Language></Article>"
        "</MedlineCitation></PubmedArticle>"
    )


def article_set(articles: Iterable[str]) -> bytes:
    """A whole file of PubMed XML around the records."""
    body = "\n".join(articles)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<PubmedArticleSet>\n{body}\n</PubmedArticleSet>\n'.encode()


def write_articles(path: Path, articles: Iterable[str]) -> Path:
    """Write a file of PubMed XML, packed where the name ends in ``.gz``."""
    content = article_set(articles)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path
