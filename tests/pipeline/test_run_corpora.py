"""Real PubMed texts, where the corpora are at hand: offsets agree with PubTator's from XML to SQL."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from sqlalchemy import text

from storage.database import Database
from tests.conftest import Comention


def pubtator_texts(path: Path) -> dict[int, str]:
    """The document of every PMID as PubTator has it: title, newline, abstract."""
    found: dict[int, str] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            part = re.match(r"(\d+)\|([ta])\|(.*)\n", line)
            if part:
                pmid = int(part[1])
                found[pmid] = f"{found[pmid]}\n{part[3]}" if part[2] == "a" else part[3]
    return found


def test_document_offsets_agree_with_pubtator(comention: Comention, database: Database, corpora: Path) -> None:
    folder = corpora / "bc5cdr"
    outcome = comention("ingest", "files", folder / "synthetic_efetch_CDR_Development.xml.gz", "--json")
    assert outcome.status == 0, outcome.stderr
    expected = pubtator_texts(folder / "CDR_DevelopmentSet.PubTator.txt.gz")
    with database.transaction() as connection:
        rows = connection.execute(text("SELECT pmid, title || E'\\n' || abstract AS text FROM analysis.citation"))
        stored = {row.pmid: row.text for row in rows}
    assert stored == expected


def test_every_real_citation_is_stored_or_explained_and_every_sentence_is_a_slice(
    comention: Comention, database: Database, corpora: Path
) -> None:
    files = sorted((corpora / "pubmed_xml").glob("*.xml.gz"))
    outcome = comention("run", *files, "--json", "--limit", "0")
    assert outcome.status == 0, outcome.stderr
    sources = outcome.document["sources"]
    assert sum(source["read"] for source in sources) == 7749 + 6
    with database.transaction() as connection:
        row = connection.execute(
            text(
                """
                SELECT count(*) AS sentences,
                       count(*) FILTER (WHERE s.text <> substr(c.title || E'\\n' || c.abstract, s.start_char + 1,
                                                               s.end_char - s.start_char)) AS wrong
                FROM analysis.sentence s JOIN analysis.citation c USING (pmid)
                """
            )
        ).one()
        wrong_mentions = connection.execute(
            text(
                "SELECT count(*) FROM analysis.mention m JOIN analysis.sentence s USING (sentence_id) "
                "WHERE m.text <> substr(s.text, m.start_char + 1, m.end_char - m.start_char)"
            )
        ).scalar_one()
    assert row.sentences > 70_000
    assert (row.wrong, wrong_mentions) == (0, 0)
    assert comention("verify").status == 0


def test_every_real_file_is_accounted_for_also_the_deletions(
    comention: Comention, database: Database, corpora: Path
) -> None:
    files = sorted((corpora / "pubmed_xml").iterdir())
    outcome = comention("ingest", "files", *files, "--processes", "2", "--json")
    assert outcome.status == 0, outcome.stderr
    sources = outcome.document["sources"]
    deletions = [source for source in sources if Path(source["source"]).name.startswith("delete_")]
    books = [source for source in sources if "book" in source["source"]]
    assert len(deletions) == 3
    assert all(source["deleted"] == source["read"] > 0 for source in deletions)
    assert sum(source["read"] for source in books) == 6
    assert sum(source["read"] - source["deleted"] for source in sources) == 7749 + 6
    assert all(source["refused"] == source["missing"] == 0 for source in sources)
    with database.transaction() as connection:
        wrong = connection.execute(
            text(
                "SELECT count(*) FILTER (WHERE status <> 'done' "
                "OR requested <> stored + unchanged + deleted + left_out + missing), count(*) FROM analysis.ingest_run"
            )
        ).one()
        stored = connection.execute(text("SELECT count(*) FROM analysis.citation")).scalar_one()
        explained = connection.execute(text("SELECT count(*) FROM analysis.ingest_exception")).scalar_one()
    assert tuple(wrong) == (0, len(files))
    repeated = sum(source["revised"] + source["unchanged"] for source in sources)
    assert stored + explained + repeated == 7749 + 6
