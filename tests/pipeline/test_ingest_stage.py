"""Every record is stored or explained, whatever a source holds; what is good before and after a fault is stored."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from sqlalchemy import text

from comention.errors import SourceError
from ingest.sentences import RuleSplitter
from pipeline.stages.ingest_stage import BATCH_CITATIONS, SourceReport, ingest_file
from storage.database import Database
from tests.builders import article_set, article_xml, write_articles


def ingest(database: Database, path: Path, *, again: bool = False) -> SourceReport:
    return ingest_file(database, path, RuleSplitter(), again=again)


def pmids(database: Database) -> list[int]:
    with database.transaction() as connection:
        return list(connection.execute(text("SELECT pmid FROM comention.citation ORDER BY pmid")).scalars())


def ledger(database: Database) -> list[dict[str, object]]:
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT * FROM analysis.ingest_run ORDER BY run_id")).mappings()
        return [dict(row) for row in rows]


def test_a_file_of_several_batches_is_stored_whole(database: Database, tmp_path: Path) -> None:
    count = 2 * BATCH_CITATIONS + 7
    seen: list[int] = []
    path = write_articles(tmp_path / "a.xml.gz", (article_xml(pmid) for pmid in range(1, count + 1)))
    report = ingest_file(database, path, RuleSplitter(), on_progress=seen.append)
    assert (report.counts.new, report.failure, sum(seen)) == (count, None, count)
    assert pmids(database) == list(range(1, count + 1))
    assert ledger(database)[0]["read"] == count


def test_a_file_read_to_its_end_is_not_read_again(database: Database, tmp_path: Path) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1), article_xml(None)])
    first, second = ingest(database, path), ingest(database, path)
    assert not first.already_read
    assert second.already_read
    assert second.counts.exceptions == first.counts.exceptions
    assert ingest(database, path, again=True).counts.unchanged == 1
    assert len(ledger(database)) == 2


def test_records_without_pmid_or_text_are_refused_and_the_others_stored(database: Database, tmp_path: Path) -> None:
    path = write_articles(
        tmp_path / "a.xml", [article_xml(1), article_xml(None), article_xml(3, "", title=""), article_xml(4)]
    )
    report = ingest(database, path)
    assert (report.counts.new, report.counts.refused, report.failure) == (2, 2, None)
    assert pmids(database) == [1, 4]
    assert [(e.position, e.pmid) for e in report.counts.exceptions] == [(2, None), (3, 3)]
    assert "PMID" in report.counts.exceptions[0].reason


def test_a_truncated_gzip_keeps_what_came_whole_and_says_so(database: Database, tmp_path: Path) -> None:
    whole = gzip.compress(article_set(article_xml(pmid, f"Text {pmid**7}.") for pmid in range(1, 400)))
    path = tmp_path / "cut.xml.gz"
    path.write_bytes(whole[: len(whole) // 2])
    report = ingest(database, path)
    assert report.failure is not None
    assert "cut.xml.gz" in report.failure
    assert 0 < report.counts.new < 399
    assert pmids(database) == list(range(1, report.counts.new + 1))
    run = ledger(database)[0]
    assert (run["status"], run["detail"]) == ("failed", report.failure)
    path.write_bytes(whole)
    assert ingest(database, path).counts.unchanged == report.counts.new
    assert len(pmids(database)) == 399


def test_a_malformed_record_is_refused_and_those_after_it_are_stored(database: Database, tmp_path: Path) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1), article_xml(2, "p < 0.05 & so on"), article_xml(3)])
    report = ingest(database, path)
    assert pmids(database) == [1, 3]
    assert [(e.outcome, e.pmid) for e in report.counts.exceptions] == [("refused", 2)]


@pytest.mark.parametrize("nul", ["\x00", "&#0;"])
def test_a_record_with_a_nul_is_refused_by_its_pmid(database: Database, tmp_path: Path, nul: str) -> None:
    path = write_articles(tmp_path / "a.xml", [article_xml(1), article_xml(2, f"A{nul}B"), article_xml(3)])
    report = ingest(database, path)
    assert pmids(database) == [1, 3]
    assert [(e.outcome, e.pmid) for e in report.counts.exceptions] == [("refused", 2)]


def test_a_failed_run_is_taken_up_under_the_same_row(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(article_set([article_xml(1)])[:-30])
    first = ingest(database, path)
    second = ingest(database, path)
    assert first.failure
    assert second.failure
    assert len(ledger(database)) == 1


def test_deletions_and_revisions_follow_their_order_in_the_file(database: Database, tmp_path: Path) -> None:
    delete = "<DeleteCitation><PMID Version='1'>1</PMID></DeleteCitation>"
    path = write_articles(tmp_path / "a.xml", [article_xml(1), article_xml(2), delete, article_xml(3)])
    report = ingest(database, path)
    assert (report.counts.new, report.counts.deleted, report.counts.read) == (3, 1, 4)
    assert pmids(database) == [2, 3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "html"),
        (b"PMID- 1\nTI  - A title\n", "XML"),
        (gzip.compress(b"", mtime=0), "empty"),
    ],
)
def test_a_file_that_is_no_pubmed_xml_is_named(database: Database, tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "wrong.xml"
    path.write_bytes(content)
    try:
        failure = ingest(database, path).failure
    except SourceError as error:
        failure = str(error)
    assert failure is not None
    assert "wrong.xml" in failure
    assert said in failure
    assert pmids(database) == []


def test_a_missing_file_and_a_folder_raise_one_sentence(database: Database, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        ingest(database, tmp_path / "none.xml")
    with pytest.raises(SourceError, match="is a folder"):
        ingest(database, tmp_path)
