"""A run that is killed at any moment and given again ends as one that was left alone."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.builders import article_xml, write_articles
from tests.conftest import COMMAND, command_environment, run_command
from tests.plugins.lexicon_annotator import CONDITIONS, DRUGS

CITATIONS = 2600
REFUSED = 1
"""The status of a run in whose files a record has to be refused, as one has here."""

TABLES = (
    "annotation",
    "annotation_exception",
    "annotator",
    "citation",
    "concept",
    "cooccurrence_delta",
    "deleted_citation",
    "ingest_exception",
    "ingest_run",
    "label",
    "citation_mentions",
    "cooccurrence_total",
    "sentence_text",
    "unindexed_citation",
    "name",
    "section",
    "sentence",
)

CONTENT = {
    "citation": "SELECT pmid, title, abstract, retracted FROM analysis.citation ORDER BY pmid",
    "sentence": "SELECT sentence_id, section, start_char, end_char, text FROM analysis.sentence ORDER BY sentence_id",
    "mention": "SELECT sentence_id, label, start_char, end_char, name, concept, score FROM analysis.mention "
    "ORDER BY sentence_id, start_char, end_char, label",
    "cooccurrence": "SELECT drug, condition, sentence_count, citation_count, first_year, last_year, npmi "
    "FROM analysis.cooccurrence ORDER BY drug, condition",
    "exception": "SELECT source, position, pmid, outcome, reason FROM analysis.ingest_exception ORDER BY source, position",
    "ledger": "SELECT pmid, status, mention_count, attempts FROM comention.annotation ORDER BY pmid",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Citations over three files, with a revision, a deletion and a refused record among them."""
    folder = tmp_path_factory.mktemp("killed")
    chance = random.Random(7)

    def abstract() -> str:
        return " ".join(
            f"{chance.choice(DRUGS).capitalize()} was followed by {chance.choice(CONDITIONS)} on day {chance.randrange(60)}."
            for _ in range(chance.randrange(1, 6))
        )

    articles = [article_xml(pmid, abstract()) for pmid in range(1, CITATIONS + 1)]
    return [
        write_articles(folder / "1.xml.gz", articles[:1200]),
        write_articles(
            folder / "2.xml",
            [
                *articles[1200:1900],
                article_xml(1250, "Another text."),  # two records of one PMID, in different batches
                *articles[1900:],
                article_xml(None),
                article_xml(5, abstract()),
            ],
        ),
        write_articles(
            folder / "3.xml",
            [
                "<DeleteCitation><PMID>8</PMID><PMID>10</PMID></DeleteCitation>",
                article_xml(9, abstract()),
                article_xml(10, abstract()).replace("<Year>2020</Year><Month>01", "<Year>2021</Year><Month>01"),
                *(article_xml(pmid, abstract()) for pmid in range(5001, 5601)),
                "<DeleteCitation><PMID>5001</PMID></DeleteCitation>",
            ],
        ),
    ]


def contents(address: str) -> dict[str, object]:
    """How many rows each table has, and what stands in them apart from numbers and times."""
    database = Database(parse_url(address, connect_timeout=10))
    with database.transaction() as connection:
        found: dict[str, object] = {
            f"rows of {table}": connection.execute(text(f"SELECT count(*) FROM comention.{table}")).scalar_one()
            for table in TABLES
        }
        found |= {name: [tuple(row) for row in connection.execute(text(query))] for name, query in CONTENT.items()}
    database.close()
    return found


def settings(address: str) -> dict[str, str]:
    return {"COMENTION_DATABASE__URL": address, "COMENTION_ANNOTATE__BATCH_CITATIONS": "64"}


@pytest.fixture(scope="module")
def undisturbed(postgres: EmbeddedPostgres, template: str, files: list[Path]) -> dict[str, object]:
    address = postgres.create_database("undisturbed", template=template)
    outcome = run_command("run", *files, **settings(address))
    assert outcome.status == REFUSED, outcome.stderr
    found = contents(address)
    postgres.drop_database("undisturbed")
    assert found["rows of citation"] == CITATIONS - 1 + 599
    assert found["rows of cooccurrence_delta"] == 0
    return found


def count_of(table: str) -> Callable[[Database], int]:
    def count(database: Database) -> int:
        with database.transaction() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM comention.{table}")).scalar_one())

    return count


def kill_when(address: str, files: list[Path], reached: Callable[[Database], bool]) -> bool:
    """Start a run and kill it with -9 as soon as the database shows what is waited for; False where it ended before."""
    database = Database(parse_url(address, connect_timeout=10))
    process = subprocess.Popen(
        [*COMMAND, "run", *map(str, files)],
        env=command_environment(**settings(address)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None and not reached(database):
            pass
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL
    finally:
        database.close()


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("ingest_run", 1),
        ("citation", 1),
        ("citation", 1000),
        ("citation", 1200),
        ("citation", 2200),
        ("deleted_citation", 1),
        ("deleted_citation", 3),
        ("annotator", 1),
        ("annotation", 64),
        ("annotation", 1500),
    ],
)
def test_a_run_killed_at_a_point_of_its_work_ends_as_an_undisturbed_one(
    database_address: str, files: list[Path], undisturbed: dict[str, object], table: str, rows: int
) -> None:
    count = count_of(table)
    assert kill_when(database_address, files, lambda database: count(database) >= rows)
    assert run_command("run", *files, **settings(database_address)).status == REFUSED
    assert contents(database_address) == undisturbed


def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(
    database_address: str, files: list[Path], undisturbed: dict[str, object]
) -> None:
    chance = random.Random(3)
    kills = 0
    for _ in range(6):
        doomed_at = time.monotonic() + chance.uniform(1, 4)
        if not kill_when(database_address, files, lambda _, at=doomed_at: time.monotonic() >= at):  # type: ignore[misc]
            break
        kills += 1
    assert kills > 1
    assert run_command("run", *files, **settings(database_address)).status == REFUSED
    assert contents(database_address) == undisturbed


def test_a_run_on_the_embedded_postgres_survives_the_kill_of_everything(
    files: list[Path], undisturbed: dict[str, object], tmp_path: Path
) -> None:
    """Here the server is of the run's own process tree, and goes down with it."""
    home = {"COMENTION_HOME": str(tmp_path / "home"), "COMENTION_ANNOTATE__BATCH_CITATIONS": "64"}
    process = subprocess.Popen(
        [*COMMAND, "run", *map(str, files)],
        env=command_environment(**home),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = EmbeddedPostgres(tmp_path / "home")
    deadline = time.monotonic() + 60
    data = tmp_path / "home" / "postgres"
    while process.poll() is None and not (data.is_dir() and list(data.rglob("postmaster.pid"))):
        assert time.monotonic() < deadline
    with server:
        database = Database(parse_url(server.url, connect_timeout=10))
        annotated = count_of("annotation")
        while process.poll() is None and not (_has_tables(database) and annotated(database) >= 64):
            assert time.monotonic() < deadline
        process.kill()
        process.wait()
        database.close()
    assert run_command("run", *files, **home).status == REFUSED
    with server:
        assert contents(server.url) == undisturbed


def _has_tables(database: Database) -> bool:
    with database.transaction() as connection:
        return bool(connection.execute(text("SELECT to_regclass('comention.annotation') IS NOT NULL")).scalar_one())
