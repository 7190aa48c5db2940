"""Damaged, truncated, foreign and hostile XML: what is whole is kept, what is not is refused and explained."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from comention.errors import SourceError
from comention.types import Citation, DeletedCitation, Record, RefusedRecord
from ingest.medline import parse_records
from ingest.medline_stream import MAX_RECORD_BYTES

ROOT = Path(__file__).parents[2]
PROLOG = (
    b'<?xml version="1.0" encoding="utf-8"?>\n'
    b'<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN"'
    b' "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">\n'
)


def article(pmid: object, *, title: str = "A trial.", inside: str = "") -> bytes:
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article><ArticleTitle>{title}</ArticleTitle>'
        f"<Abstract><AbstractText>Text of {pmid}.{inside}</AbstractText></Abstract></Article></MedlineCitation>"
        f'<PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId></ArticleIdList></PubmedData>'
        "</PubmedArticle>"
    ).encode()


def article_set(*records: bytes) -> bytes:
    return PROLOG + b"<PubmedArticleSet>\n" + b"\n".join(records) + b"\n</PubmedArticleSet>\n"


class Pieces(io.RawIOBase):
    """A stream that hands out its bytes a few at a time and may then break."""

    def __init__(self, content: bytes, *, size: int, failure: Exception | None = None) -> None:
        self._rest = content
        self._size = size
        self._failure = failure

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        piece, self._rest = self._rest[: self._size], self._rest[self._size :]
        if not piece and self._failure:
            raise self._failure
        return piece


def parse(content: bytes) -> list[Record]:
    return list(parse_records(io.BytesIO(content), source="test.xml"))


def parse_until_error(stream: BinaryIO) -> tuple[list[Record], SourceError | None]:
    records: list[Record] = []
    try:
        records.extend(parse_records(stream, source="test.xml"))  # keeps what came before an error
    except SourceError as error:
        return records, error
    return records, None


def pmids(records: list[Record]) -> list[int]:
    return [record.pmid for record in records if not isinstance(record, RefusedRecord) and record.pmid]


def refusals(records: list[Record]) -> list[RefusedRecord]:
    return [record for record in records if isinstance(record, RefusedRecord)]


# A small file with every kind of record; RECORDS are its parts, FILE the whole.
RECORDS = (
    article(11),
    article(22, inside=" <i>In</i> &lt;vivo&gt; <!-- a comment --> x<sup>2</sup> &#8805; é"),
    b'<DeleteCitation><PMID Version="1">33</PMID></DeleteCitation>',
    b"<PubmedBookArticle><BookDocument><PMID>44</PMID><ArticleTitle>A chapter</ArticleTitle></BookDocument>"
    b"</PubmedBookArticle>",
    article(55),
)
FILE = article_set(*RECORDS)
ENDS = [FILE.index(record) + len(record) for record in RECORDS]
STARTS = [FILE.index(record) for record in RECORDS]
WHOLE = parse(FILE)


def test_the_small_file_is_read_whole() -> None:
    assert pmids(WHOLE) == [11, 22, 33, 44, 55]
    assert [type(record) for record in WHOLE] == [Citation, Citation, DeletedCitation, Citation, Citation]


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_the_size_of_the_pieces_that_a_stream_gives_changes_nothing(size: int) -> None:
    records, error = parse_until_error(cast("BinaryIO", Pieces(FILE, size=size)))
    assert (records, error) == (WHOLE, None)


@settings(deadline=None)
@given(st.integers(0, len(FILE)))
@example(0)
@example(1)
@example(len(PROLOG))
@example(len(FILE) - 2)
def test_a_file_cut_anywhere_keeps_its_whole_records_and_says_that_it_is_cut(length: int) -> None:
    records, error = parse_until_error(io.BytesIO(FILE[:length]))
    whole = sum(end <= length for end in ENDS)
    assert records[:whole] == WHOLE[:whole]
    refused = records[whole:]
    assert len(refused) <= 1
    assert all(isinstance(record, RefusedRecord) and record.position == whole + 1 for record in refused)
    if any(start + len("<PubmedArticle") < length < end for start, end in zip(STARTS, ENDS, strict=True)):
        assert len(refused) == 1
    if length < len(FILE.rstrip()):
        assert error is not None
        assert "test.xml" in str(error)
        assert "fetch it again" in str(error)
    else:
        assert error is None


def test_an_end_tag_that_lies_in_two_pieces_ends_its_record_all_the_same() -> None:
    for size in range(ENDS[0] - len("</PubmedArticle>"), ENDS[0] + 2):
        assert list(parse_records(cast("BinaryIO", Pieces(FILE, size=size)), source="test.xml")) == WHOLE


def test_every_cut_is_survived() -> None:
    for length in range(len(FILE)):
        records, _ = parse_until_error(io.BytesIO(FILE[:length]))
        assert pmids(records) == pmids(WHOLE)[: sum(end <= length for end in ENDS)]


@pytest.mark.parametrize(
    "bad", [b"\0", b"\x01", b"\xff", b"&", b"<", b"<b>", b"</b>", b"&nbsp;", b"&#0;", b"&#xD800;", b"\x1f"]
)
@pytest.mark.parametrize("number", range(len(RECORDS)))
def test_a_damaged_record_costs_itself_only_and_is_named(bad: bytes, number: int) -> None:
    marker = (b"</ArticleTitle>", b"</ArticleTitle>", b"</PMID>", b"</ArticleTitle>", b"</ArticleTitle>")[number]
    damaged = RECORDS[number].replace(marker, bad + marker)
    records, error = parse_until_error(io.BytesIO(article_set(*RECORDS[:number], damaged, *RECORDS[number + 1 :])))
    assert error is None
    assert len(records) == len(RECORDS)
    assert records[:number] + records[number + 1 :] == WHOLE[:number] + WHOLE[number + 1 :]
    refused = records[number]
    assert isinstance(refused, RefusedRecord)
    assert refused.position == number + 1
    if number != 2:  # there the PMID itself is broken
        assert refused.pmid == (11, 22, 33, 44, 55)[number]


@pytest.mark.parametrize("nul", [b"\0", b"&#0;", b"&#x0;", b"&#00;"])
def test_a_nul_is_named_as_the_reason(nul: bytes) -> None:
    records = parse(article_set(article(1), article(2, title=f"A {nul.decode()} B"), article(3)))
    assert pmids(records) == [1, 3]
    assert refusals(records) == [
        RefusedRecord(
            position=2, pmid=2, reason="the record holds a NUL character, which neither XML nor Postgres can keep"
        )
    ]


@settings(deadline=None)
@given(
    st.integers(STARTS[0], ENDS[-1]),
    st.sampled_from([b"", b"\0", b"<", b">", b"&", b"/", b'"', b"X", b"\xc3", b"]]>", b"<!--"]),
)
def test_one_damaged_byte_changes_no_other_record(position: int, byte: bytes) -> None:
    damaged = FILE[:position] + byte + FILE[position + 1 :]
    records, _ = parse_until_error(io.BytesIO(damaged))
    for start, end, record in zip(STARTS, ENDS, WHOLE, strict=True):
        if not start <= position < end:
            assert record in records
    # Nothing is made up: what is yielded is a record of the file, but for the one that was changed.
    others = [record for record in records if not isinstance(record, RefusedRecord) and record not in WHOLE]
    assert len(others) <= 1


@pytest.mark.parametrize(
    "lost",
    [b"<PubmedArticle>", b"</PubmedArticle>", b"<MedlineCitation>", b"</MedlineCitation>", b"</PMID>", b"</Abstract>"],
)
def test_a_record_that_lost_a_tag_is_refused_and_the_next_is_read(lost: bytes) -> None:
    assert lost in RECORDS[0]
    records = parse(article_set(article(1), article(2).replace(lost, b"", 1), article(3), article(4)))
    assert pmids(records) == [1, 3, 4]
    assert len(refusals(records)) == 1


def test_the_pmid_of_a_damaged_record_is_its_own_not_that_of_a_comment() -> None:
    comment = b"<CommentsCorrectionsList><CommentsCorrections><PMID>999</PMID></CommentsCorrections></CommentsCorrectionsList>"
    broken = article(7).replace(b"<PMID Version=", b"<P Version=").replace(b"</Article>", b"</Article>" + comment)
    (refused,) = refusals(parse(article_set(article(1), broken, article(2))))
    assert refused.pmid is None


def test_a_comment_that_never_ends_costs_its_record_only() -> None:
    records = parse(article_set(article(1), article(2, title="x <!-- y"), article(3), article(4)))
    # The record ends at the comment's end, of which there is none: it is given up, the others are read again.
    assert pmids(records) == [1, 3, 4]


def test_a_record_within_a_comment_is_no_record() -> None:
    assert pmids(parse(article_set(article(1), b"<!-- " + article(2) + b" -->", article(3)))) == [1, 3]


def test_files_written_one_after_the_other_are_read_as_one() -> None:
    records, error = parse_until_error(
        io.BytesIO(article_set(article(1)) + article_set(article(2)) + article_set(article(3)))
    )
    assert pmids(records) == [1, 2, 3]
    assert refusals(records) == []
    assert error is None


def test_an_empty_set_before_a_full_one_is_read_over() -> None:
    assert pmids(parse(PROLOG + b"<PubmedArticleSet/>" + article_set(article(1)))) == [1]


@pytest.mark.parametrize("content", [b"<PubmedArticleSet></PubmedArticleSet>", b"<PubmedArticleSet/>", article_set()])
def test_a_set_without_records_is_no_error(content: bytes) -> None:
    assert parse(content) == []


@pytest.mark.parametrize(
    ("stray", "named"),
    [
        (b"<Article>x</Article>", "<Article>"),
        (b"loose text", "loose text"),
        (article(5).replace(b"PubmedArticle>", b"PubmedArtikel>"), "<PubmedArtikel>"),
    ],
)
def test_what_is_no_record_is_refused_not_passed_over(stray: bytes, named: str) -> None:
    for content in (article_set(article(1), stray, article(2)), article_set(article(1), article(2), stray)):
        records = parse(content)
        assert pmids(records) == [1, 2]
        (refused,) = refusals(records)
        assert named in refused.reason


def test_a_bare_citation_in_a_set_of_articles_is_refused_by_its_pmid() -> None:
    (refused,) = refusals(
        parse(article_set(article(1), b"<MedlineCitation><PMID>5</PMID></MedlineCitation>", article(2)))
    )
    assert refused.pmid == 5


# Foreign and hostile


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        (b"Internal server error", "is not PubMed XML"),
        (b'{"error": "rate limit"}', "is not PubMed XML"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "<html>"),
        (b"<html lang=en><p>Not found", "<html>"),
        (b"<?xml version='1.0'?><eFetchResult><ERROR>no</ERROR></eFetchResult>", "<eFetchResult>"),
        (b"<rss/>", "<rss>"),
        (b"<?xml version='1.0'", "ends too early"),
        ("<PubmedArticleSet></PubmedArticleSet>".encode("utf-16"), "UTF-8"),
        (b"<?xml version='1.0' encoding='x-none'?><PubmedArticleSet/>", "x-none"),
    ],
)
def test_what_is_not_pubmed_xml_is_named(content: bytes, named: str) -> None:
    with pytest.raises(SourceError, match=r"test\.xml") as raised:
        parse(content)
    assert named in str(raised.value)


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE PubmedArticleSet [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (i, (b"&a%d;" % (i - 1) if i else b"&a;") * 10) for i in range(12))
    + b"]><PubmedArticleSet>"
)


@pytest.mark.parametrize(
    "prolog",
    [
        BOMB,
        b'<!DOCTYPE PubmedArticleSet [<!ENTITY x SYSTEM "file:///etc/passwd">]><PubmedArticleSet>',
        b'<!DOCTYPE PubmedArticleSet [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]><PubmedArticleSet>',
    ],
)
def test_declared_entities_are_refused_before_anything_is_read(prolog: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(SourceError, match=r"test\.xml .*entit"):
        parse(prolog + article(1, title="&a11; &x;") + b"</PubmedArticleSet>")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_an_entity_of_the_dtd_refuses_its_record_instead_of_losing_a_character() -> None:
    records = parse(article_set(article(1, title="TNF-&alpha; in mice"), article(2)))
    assert pmids(records) == [2]
    assert "alpha" in refusals(records)[0].reason


def test_another_encoding_that_agrees_with_ascii_is_read() -> None:
    content = (
        article_set(article(1, title="Sjögren"), article(2))
        .decode()
        .replace("utf-8", "iso-8859-1")
        .encode("iso-8859-1")
    )
    (first, _) = parse(content)
    assert isinstance(first, Citation)
    assert first.title == "Sjögren"


def test_a_byte_order_mark_and_a_line_break_before_the_declaration_are_read_over() -> None:
    assert parse(b"\xef\xbb\xbf" + FILE) == WHOLE
    assert parse(b"\r\n" + FILE) == WHOLE


def test_a_prefix_without_a_declaration_keeps_its_text_if_pubmed_s_dtd_declares_it() -> None:
    (record,) = parse(article_set(article(1, title="x <mml:math><mml:mi>y</mml:mi></mml:math> z")))
    assert isinstance(record, Citation)
    assert record.title == "x y z"


def test_a_record_that_never_ends_is_given_up_and_memory_stays_bounded() -> None:
    endless = b"<PubmedArticle>" + b"<a>x</a>" * (MAX_RECORD_BYTES // 8)
    records, error = parse_until_error(io.BytesIO(article_set(article(1), endless, article(2))))
    assert pmids(records) == [1, 2]
    assert "longer than" in refusals(records)[0].reason
    assert error is None


MEMORY_SCRIPT = """
import io, resource, sys
from ingest.medline import parse_records

RECORD = (
    b"<PubmedArticle><MedlineCitation><PMID>1</PMID><Article><ArticleTitle>T</ArticleTitle><Abstract><AbstractText>%s"
    b"</AbstractText></Abstract></Article></MedlineCitation></PubmedArticle>" % (b"Filler. " * 1000)
)

class Endless(io.RawIOBase):
    count = 0
    def read(self, size=-1):
        self.count += 1
        if self.count == 1:
            return b"<PubmedArticleSet>" + RECORD
        return RECORD if self.count <= int(sys.argv[1]) else b""

try:
    records = sum(1 for _ in parse_records(Endless(), source="test.xml"))
except Exception as error:
    assert "ends too early" in str(error), error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory in Linux's unit")
def test_memory_does_not_grow_with_the_number_of_records() -> None:
    def peak_kilobytes(count: int) -> int:
        command = [sys.executable, "-c", MEMORY_SCRIPT, str(count)]
        return int(subprocess.run(command, capture_output=True, check=True, text=True, cwd=ROOT).stdout)

    assert peak_kilobytes(4000) < peak_kilobytes(100) + 4_000  # 32 MB of text against 1 MB


# Broken streams


@pytest.mark.parametrize("failure", [EOFError("x"), zlib.error("x"), OSError("x"), gzip.BadGzipFile("x")])
def test_a_stream_that_breaks_off_gives_its_whole_records_first(failure: Exception) -> None:
    records, error = parse_until_error(cast("BinaryIO", Pieces(FILE[: ENDS[1] + 30], size=50, failure=failure)))
    assert pmids(records) == [11, 22]
    assert len(refusals(records)) == 1
    assert error is not None
    assert "fetch it again" in str(error)


def test_a_stream_that_breaks_after_the_last_record_is_an_error_all_the_same() -> None:
    records, error = parse_until_error(cast("BinaryIO", Pieces(FILE, size=50, failure=EOFError("no trailer"))))
    assert records == WHOLE
    assert error is not None


@pytest.mark.parametrize("missing", [1, 9, 40, 200])
def test_a_truncated_gzip_stream_keeps_what_was_packed_whole(missing: int) -> None:
    many = article_set(*(article(pmid, inside=f" {pmid * 7919 % 1000}") for pmid in range(1, 300)))
    packed = gzip.compress(many, mtime=0)
    records, error = parse_until_error(cast("BinaryIO", gzip.GzipFile(fileobj=io.BytesIO(packed[:-missing]))))
    kept = pmids(records)
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= 290 - missing
    assert error is not None
    assert "fetch it again" in str(error)
