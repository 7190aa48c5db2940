"""`comention demo`: the first thing that anybody sees."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from comention.types import FIRST_SAMPLE_PMID
from ingest.files import read_records
from ingest.samples import sample_files
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.conftest import Comention, Outcome, run_command

COMPACT = {"COMENTION_ANNOTATE__ANNOTATOR": "compact"}
MENTIONS = "SELECT * FROM analysis.mention ORDER BY sentence_id, start_char, label"
SHOWN = "demo"


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_the_sample_is_read_whole_and_its_pmids_are_not_pubmeds() -> None:
    records = [record for path in sample_files() for record in read_records(path)]
    assert len(records) == 125
    assert all((record.pmid or 0) >= FIRST_SAMPLE_PMID for record in records)


@pytest.fixture(scope="module")
def demo(postgres: EmbeddedPostgres, template: str) -> Iterator[Outcome]:
    """What `comention demo` prints with the bundled annotator; its database is kept for copies."""
    address = postgres.create_database(SHOWN, template=template)
    yield run_command("demo", timeout=280, **COMPACT, COMENTION_DATABASE__URL=address)
    postgres.drop_database(SHOWN)


@pytest.fixture
def shown_address(postgres: EmbeddedPostgres, demo: Outcome) -> Iterator[str]:
    """The address of a database of this test in which the demo has run."""
    assert demo.status == 0, demo.stderr
    yield postgres.create_database(f"{SHOWN}_copy", template=SHOWN)
    postgres.drop_database(f"{SHOWN}_copy")


@pytest.fixture
def after_demo(shown_address: str) -> Comention:
    """The command line on that database."""

    def run(*arguments: str, **settings: str) -> Outcome:
        return run_command(*arguments, **{"COMENTION_DATABASE__URL": shown_address, **COMPACT, **settings})

    return run


def test_the_demo_shows_pairs_and_evidence_and_can_be_repeated(
    demo: Outcome, after_demo: Comention, shown_address: str
) -> None:
    for expected in ("clozapine", "citations", "NPMI", "PMID 9900", "Type next"):
        assert expected in demo.stdout
    database = Database(parse_url(shown_address, connect_timeout=10))
    stored = rows(database, MENTIONS)
    assert len(stored) > 1500
    assert after_demo("demo").stdout == demo.stdout
    assert rows(database, MENTIONS) == stored
    pair = rows(
        database,
        "SELECT sentence_count FROM analysis.cooccurrence WHERE drug = 'clozapine' AND condition = 'agranulocytosis'",
    )
    assert pair
    assert rows(database, "SELECT count(*) FROM analysis.citation WHERE retracted") == [(1,)]
    assert after_demo("verify").status == 0
    database.close()


def test_the_demo_can_be_removed_and_shows_the_same_when_it_comes_back(
    comention: Comention, database: Database
) -> None:
    """Removal knows no annotator: here it is the quick one of the tests."""
    first = comention("demo")
    assert first.status == 0, first.stderr
    assert "clozapine" in first.stdout
    stored = rows(database, MENTIONS)
    assert stored
    assert comention("demo", "--remove").status == 0
    for table in (
        "citation",
        "sentence",
        "citation_mentions",
        "cooccurrence_total",
        "sentence_text",
        "unindexed_citation",
        "annotation",
        "ingest_run",
        "deleted_citation",
    ):
        assert rows(database, f"SELECT count(*) FROM comention.{table}") == [(0,)], table
    assert comention("demo").stdout == first.stdout
    assert len(rows(database, MENTIONS)) == len(stored)


def test_what_the_demo_says_to_type_next_works(demo: Outcome, after_demo: Comention) -> None:
    commands = [line.split("comention ", 1)[1] for line in demo.stdout.splitlines() if line.startswith("  comention ")]
    assert len(commands) >= 5
    for command in commands:
        if "FILE.xml.gz" in command or "--query" in command or command.startswith("serve"):
            continue  # needs a file, or NCBI, or goes on until it is stopped: `tests/dashboard/test_serving.py`
        outcome = after_demo(*shlex.split(command))
        assert outcome.status == 0, command
        assert outcome.stdout or "removed" in outcome.stderr, command


@pytest.mark.parametrize("option", ["--limit=3", "--json"])
def test_the_sample_can_be_queried_like_anything_else(after_demo: Comention, option: str) -> None:
    assert after_demo("top", "--drug", "clozapine", option).stdout.count("clozapine") >= 1
