"""`comention demo`: the first thing that anybody sees."""

from __future__ import annotations

import shlex

import pytest
from sqlalchemy import text

from comention.types import FIRST_SAMPLE_PMID
from ingest.files import read_records
from ingest.samples import sample_files
from storage.database import Database
from tests.conftest import Comention

COMPACT = {"COMENTION_ANNOTATE__ANNOTATOR": "compact"}


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_the_sample_is_read_whole_and_its_pmids_are_not_pubmeds() -> None:
    records = [record for path in sample_files() for record in read_records(path)]
    assert len(records) == 125
    assert all((record.pmid or 0) >= FIRST_SAMPLE_PMID for record in records)


def test_the_demo_shows_pairs_and_evidence_and_can_be_repeated_and_removed(
    comention: Comention, database: Database
) -> None:
    first = comention("demo", **COMPACT)
    assert first.status == 0, first.stderr
    for expected in ("clozapine", "citations", "NPMI", "PMID 9900", "Type next"):
        assert expected in first.stdout
    stored = rows(database, "SELECT * FROM analysis.mention ORDER BY sentence_id, start_char, label")
    assert len(stored) > 1500
    again = comention("demo", **COMPACT)
    assert again.stdout == first.stdout
    assert rows(database, "SELECT * FROM analysis.mention ORDER BY sentence_id, start_char, label") == stored

    pair = rows(
        database,
        "SELECT sentence_count FROM analysis.cooccurrence WHERE drug = 'clozapine' AND condition = 'agranulocytosis'",
    )
    assert pair
    assert rows(database, "SELECT count(*) FROM analysis.citation WHERE retracted") == [(1,)]
    assert comention("verify").status == 0

    assert comention("demo", "--remove").status == 0
    for table in (
        "citation",
        "sentence",
        "mention",
        "annotation",
        "ingest_run",
        "deleted_citation",
        "cooccurrence_count",
    ):
        assert rows(database, f"SELECT count(*) FROM comention.{table}") == [(0,)], table
    assert comention("demo", **COMPACT).stdout == first.stdout


def test_what_the_demo_says_to_type_next_works(comention: Comention) -> None:
    shown = comention("demo", **COMPACT).stdout
    commands = [line.split("comention ", 1)[1] for line in shown.splitlines() if line.startswith("  comention ")]
    assert len(commands) >= 5
    for command in commands:
        if "FILE.xml.gz" in command or "--query" in command:
            continue
        outcome = comention(*shlex.split(command), **COMPACT)
        assert outcome.status == 0, command
        assert outcome.stdout or "removed" in outcome.stderr, command


@pytest.mark.parametrize("option", ["--limit=3", "--json"])
def test_the_sample_can_be_queried_like_anything_else(comention: Comention, option: str) -> None:
    comention("demo", **COMPACT)
    assert comention("top", "--drug", "clozapine", option).stdout.count("clozapine") >= 1
