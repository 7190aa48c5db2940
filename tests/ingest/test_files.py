"""Files of records: how they are opened, and what is said where they cannot be."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from comention.errors import SourceError
from comention.types import Citation, Record, RefusedRecord
from ingest.files import read_records, source_digest

RECORD = (
    b"<PubmedArticle><MedlineCitation><PMID>%d</PMID><Article><ArticleTitle>A title of %d</ArticleTitle></Article>"
    b"</MedlineCitation></PubmedArticle>"
)
XML = b"<PubmedArticleSet>" + b"\n".join(RECORD % (pmid, pmid) for pmid in (1, 2, 3)) + b"</PubmedArticleSet>"


def read_until_error(path: Path) -> tuple[list[Record], str]:
    records: list[Record] = []
    with pytest.raises(SourceError) as raised:
        records.extend(read_records(path))  # keeps what came before the error
    return records, str(raised.value)


@pytest.mark.parametrize("name", ["plain.xml", "wrong.xml.gz", "no-suffix"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_bytes_tell_whether_a_file_is_packed_not_its_name(tmp_path: Path, name: str, pack: type[bytes]) -> None:
    path = tmp_path / name
    path.write_bytes(pack(XML))
    assert [record.pmid for record in read_records(path)] == [1, 2, 3]


def test_a_packed_file_of_several_members_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "two.xml.gz"
    path.write_bytes(gzip.compress(XML[:80]) + gzip.compress(XML[80:]))
    assert [record.pmid for record in read_records(path)] == [1, 2, 3]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "none.xml does not exist" in read_until_error(tmp_path / "none.xml")[1]


def test_a_folder_is_answered_with_how_to_name_its_files(tmp_path: Path) -> None:
    _, message = read_until_error(tmp_path)
    assert message == f"{tmp_path} is a folder; name the files in it, for example {tmp_path}/*.xml.gz"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.xml"
    path.write_bytes(XML)
    path.chmod(0)
    assert "secret.xml cannot be read" in read_until_error(path)[1]


def test_a_path_that_cannot_be_a_file_is_an_error_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(XML)
    assert "cannot be read" in read_until_error(tmp_path / "file" / "below.xml")[1]


@pytest.mark.parametrize("content", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.xml.gz"
    path.write_bytes(content)
    assert "empty.xml.gz is empty" in read_until_error(path)[1]


def test_a_file_that_is_not_xml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "page.xml"
    path.write_bytes(b"<html><body>Service unavailable</body></html>")
    assert "page.xml is not PubMed XML: its root element is <html>" in read_until_error(path)[1]


@pytest.mark.parametrize("kept", [3, 11, 30])
def test_a_packed_file_cut_before_its_first_record_says_so(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.xml.gz"
    path.write_bytes(gzip.compress(XML)[:kept])
    records, message = read_until_error(path)
    assert [record for record in records if isinstance(record, Citation)] == []
    assert "cut.xml.gz ends too early" in message


def test_a_packed_file_with_a_wrong_checksum_gives_its_records_and_says_that_it_is_wrong(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(XML))
    packed[-5] ^= 0xFF
    path = tmp_path / "wrong.xml.gz"
    path.write_bytes(packed)
    records, message = read_until_error(path)
    assert [record.pmid for record in records] == [1, 2, 3]
    assert "wrong.xml.gz cannot be read to its end" in message
    assert "fetch it again" in message


def test_every_cut_and_every_wrong_byte_of_a_packed_file_is_an_error_or_no_change(tmp_path: Path) -> None:
    packed = gzip.compress(XML, mtime=0)
    path = tmp_path / "any.xml.gz"
    whole = {record.pmid: record for record in _read(path, packed)}
    for position in range(len(packed)):
        for content in (
            packed[:position],
            packed[:position] + bytes([packed[position] ^ 0x55]) + packed[position + 1 :],
        ):
            path.write_bytes(content)
            try:
                records = list(read_records(path))
            except SourceError:
                continue
            # Only the fields of the header that gzip does not check may differ.
            assert {record.pmid: record for record in records} == whole


def _read(path: Path, content: bytes) -> list[Record]:
    path.write_bytes(content)
    return list(read_records(path))


def test_refusals_count_the_records_of_their_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.xml"
    path.write_bytes(XML.replace(b"A title of 2", b"A \0 B"))
    refused = [record for record in read_records(path) if isinstance(record, RefusedRecord)]
    assert [(record.position, record.pmid) for record in refused] == [(2, 2)]


def test_the_file_is_closed_where_reading_stops_early(tmp_path: Path) -> None:
    path = tmp_path / "plain.xml"
    path.write_bytes(XML)
    records = read_records(path)
    next(records)
    records.close()  # type: ignore[attr-defined]  # a generator; a file left open would fail the run as a warning
    assert [record.pmid for record in read_records(path)] == [1, 2, 3]


def test_the_digest_is_the_sha256_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "plain.xml"
    path.write_bytes(XML)
    assert source_digest(path) == hashlib.sha256(XML).hexdigest()


def test_the_digest_of_a_missing_file_is_an_error_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"none\.xml does not exist"):
        source_digest(tmp_path / "none.xml")
