"""Real PubMed files, where there are any: no record lost without a reason, no character lost at all."""

from __future__ import annotations

import gzip
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from comention.types import Citation, DeletedCitation, Record, RefusedRecord
from ingest.files import read_records
from ingest.sentences import RuleSplitter, split_citation

LAYOUT = re.compile(r"[ \t\r\n]*[\t\r\n][ \t\r\n]*")
CITATIONS, BOOKS = 7_749, 6


@pytest.fixture(scope="module")
def folder() -> Path:
    corpora = os.environ.get("COMENTION_CORPORA") or Path(__file__).parents[2].parent / "shared" / "data"
    folder = Path(corpora) / "pubmed_xml"
    if not folder.is_dir():
        pytest.skip(
            f"there are no PubMed files in {folder}; set COMENTION_CORPORA to a folder that has pubmed_xml in it"
        )
    return folder


@pytest.fixture(scope="module")
def records(folder: Path) -> dict[str, list[Record]]:
    return {path.name: list(read_records(path)) for path in sorted(folder.iterdir())}


def independent_text(path: Path) -> Iterator[tuple[int, str, list[tuple[str | None, str]]]]:
    """PMID, title and parts of the abstract of every article, by XPath over the whole tree."""
    root = etree.fromstring(unpacked(path), etree.XMLParser(load_dtd=False, no_network=True, remove_comments=True))
    for record in root.xpath("//MedlineCitation | //BookDocument"):
        title = record.xpath("(Article/ArticleTitle | ArticleTitle)[1]") or record.xpath("Book/BookTitle")
        parts = record.xpath("Article/Abstract/AbstractText | Abstract/AbstractText")
        yield (
            int(record.findtext("PMID")),
            normal("".join(title[0].itertext())) if title else "",
            [(part.get("Label"), normal("".join(part.itertext()))) for part in parts],
        )


def unpacked(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def normal(text: str) -> str:
    return LAYOUT.sub(" ", text).strip(" ")


def test_every_record_is_stored_or_refused_with_a_reason(folder: Path, records: dict[str, list[Record]]) -> None:
    total: Counter[type] = Counter()
    for name, found in records.items():
        raw = unpacked(folder / name)
        deletions = sum(
            block.count(b"<PMID") for block in re.findall(rb"<DeleteCitation>.*?</DeleteCitation>", raw, re.DOTALL)
        )
        articles = len(re.findall(rb"<(?:MedlineCitation|BookDocument)[ >]", raw))
        assert len(found) == articles + deletions, name
        total.update(type(record) for record in found if not isinstance(record, DeletedCitation))
    assert total[Citation] + total[RefusedRecord] == CITATIONS + BOOKS


def test_no_character_of_a_title_or_abstract_is_lost(folder: Path, records: dict[str, list[Record]]) -> None:
    compared = 0
    for name, found in records.items():
        for record, (pmid, title, parts) in zip(
            (record for record in found if not isinstance(record, DeletedCitation)),
            independent_text(folder / name),
            strict=True,
        ):
            assert record.pmid == pmid
            parts = [(label, text) for label, text in parts if text]
            if isinstance(record, RefusedRecord):
                assert (title, parts) == ("", []), record
                continue
            assert isinstance(record, Citation)
            assert record.title == title
            cut = [record.text[section.start_char : section.end_char] for section in record.sections]
            assert cut == [title, *(text for _, text in parts)]
            joined = " ".join(f"{' '.join(label.split())}: {text}" if label else text for label, text in parts)
            assert record.text == (f"{title}\n{joined}" if parts else title)
            compared += 1
    assert compared > 7_700


def test_sentences_cover_every_section(records: dict[str, list[Record]]) -> None:
    splitter = RuleSplitter()
    for citation in records["pubmedarticle_005.xml.gz"]:
        if isinstance(citation, Citation):
            sentences = split_citation(citation, splitter)
            assert [sentence.ordinal for sentence in sentences] == list(range(len(sentences)))
            assert all(
                s.text == citation.text[s.start_char : s.end_char] and s.text.strip() == s.text for s in sentences
            )
            inside = "".join(citation.text[section.start_char : section.end_char] for section in citation.sections)
            assert "".join("".join(s.text for s in sentences).split()) == "".join(inside.split())


def test_most_records_have_what_pubmed_gives_to_nearly_all(records: dict[str, list[Record]]) -> None:
    citations = [record for found in records.values() for record in found if isinstance(record, Citation)]
    for field in ("published_on", "revised_on", "publication_types", "languages"):
        assert sum(bool(getattr(citation, field)) for citation in citations) > 0.99 * len(citations), field
    assert sum(bool(citation.mesh) for citation in citations) > 0.8 * len(citations)
    assert any(citation.retracted for citation in citations)
    assert any(citation.version > 1 for citation in citations)
    assert any(citation.other_abstracts for citation in citations)
    assert any(citation.vernacular_title for citation in citations)
