"""The baseline and the update files: all of them, once, whatever happens on the way."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.builders import article_xml
from tests.conftest import COMMAND, Comention, command_environment, run_command
from tests.mirror import MirrorServer, Trouble, release, write_release

PER_FILE = 700
CONTENT = (
    "SELECT pmid, version, text, record_hash, bulk_position, from_bulk FROM comention.citation ORDER BY pmid",
    "SELECT * FROM comention.section ORDER BY pmid, ordinal",
    "SELECT * FROM comention.sentence ORDER BY pmid, ordinal",
    "SELECT pmid, version, bulk_position FROM comention.deleted_citation ORDER BY pmid",
)
LEDGER = (
    "SELECT kind, source, status, requested, stored, unchanged, deleted, left_out, missing FROM analysis.ingest_run "
    "ORDER BY source, kind"
)


def contents(database: Database, *queries: str) -> list[list[tuple[object, ...]]]:
    with database.transaction() as connection:
        return [[tuple(row) for row in connection.execute(text(query))] for query in queries]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three files of a baseline, with their checksums."""
    folder = tmp_path_factory.mktemp("baseline")
    chance = random.Random(1)
    for number in range(1, 4):
        first = (number - 1) * PER_FILE + 1
        articles = [
            article_xml(pmid, " ".join(f"Word {chance.random()} of {pmid}." for _ in range(6)))
            for pmid in range(first, first + PER_FILE)
        ]
        write_release(folder, f"pubmed26n000{number}.xml.gz", articles)
    return folder


@pytest.fixture(scope="module")
def undisturbed(postgres: EmbeddedPostgres, template: str, folder: Path) -> Iterator[list[list[tuple[object, ...]]]]:
    """What an uninterrupted load leaves behind."""
    address = postgres.create_database("undisturbed_bulk", template=template)
    done = run_command("ingest", "baseline", folder, "--processes", "1", COMENTION_DATABASE__URL=address)
    assert done.status == 0, done.stderr
    database = Database(parse_url(address, connect_timeout=10))
    yield contents(database, *CONTENT, LEDGER)
    database.close()
    postgres.drop_database("undisturbed_bulk")


def test_a_baseline_read_by_two_processes_is_that_read_by_one(
    comention: Comention, database: Database, folder: Path, undisturbed: list[list[tuple[object, ...]]]
) -> None:
    done = comention("ingest", "baseline", folder, "--processes", "2", "--json")
    assert done.status == 0, done.stderr
    assert [source["new"] for source in done.document["sources"]] == [PER_FILE] * 3
    assert contents(database, *CONTENT, LEDGER) == undisturbed
    again = comention("ingest", "baseline", folder)
    assert "3 files were read before" in again.stderr
    assert again.status == 0
    assert contents(database, *CONTENT, LEDGER) == undisturbed


@pytest.mark.parametrize("committed", [1, 900])
def test_a_load_that_is_killed_and_given_again_ends_as_an_uninterrupted_one(
    comention: Comention,
    database: Database,
    database_address: str,
    folder: Path,
    undisturbed: list[list[tuple[object, ...]]],
    committed: int,
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "ingest", "baseline", str(folder), "--processes", "2"],
        env=command_environment(COMENTION_DATABASE__URL=database_address),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    count = "SELECT count(*) FROM comention.citation"
    while process.poll() is None and contents(database, count)[0][0][0] < committed:  # type: ignore[operator]
        pass
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert comention("ingest", "baseline", folder, "--processes", "2").status == 0
    assert contents(database, *CONTENT, LEDGER) == undisturbed


def test_workers_end_with_the_command_that_started_them(
    database: Database, database_address: str, folder: Path
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "ingest", "baseline", str(folder), "--processes", "2"],
        env=command_environment(COMENTION_DATABASE__URL=database_address),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and not contents(database, "SELECT 1 FROM comention.citation LIMIT 1")[0]:
        pass
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(children) >= 2
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def delete(*pmids: int) -> str:
    listed = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{listed}</DeleteCitation>"


@pytest.fixture
def mirror() -> Iterator[MirrorServer]:
    """Three update files: a revision and a deletion after the first."""
    files = {
        "pubmed26n1335.xml.gz": release([article_xml(1), article_xml(2), article_xml(3)]),
        "pubmed26n1336.xml.gz": release([article_xml(2, "A newer text."), delete(3)]),
        "pubmed26n1337.xml.gz": release([article_xml(4)]),
    }
    with MirrorServer(files) as server:
        yield server


def test_update_files_come_from_a_mirror_and_are_not_fetched_twice(
    comention: Comention, database: Database, mirror: MirrorServer, tmp_path: Path
) -> None:
    mirror.troubles["pubmed26n1336.xml.gz"] = [Trouble.BROKEN, Trouble.CORRUPT]
    settings = {"COMENTION_HOME": str(tmp_path), "COMENTION_NCBI__MIRROR": mirror.url.removesuffix("updatefiles/")}
    done = comention("ingest", "updates", **settings)
    assert done.status == 0, done.stderr
    state = contents(database, "SELECT pmid, abstract FROM analysis.citation ORDER BY pmid")[0]
    assert state == [(1, "Clozapine caused agranulocytosis."), (2, "A newer text."), (4, state[0][1])]
    assert not (tmp_path / "downloads").exists()
    before = len(mirror.asked)
    again = comention("ingest", "updates", mirror.url, **settings)
    assert again.status == 0
    assert "3 files were read before" in again.stderr
    assert [name for name, _ in mirror.asked[before:]] == [""]
    mirror.files["pubmed26n1338.xml.gz"] = release([article_xml(5)])
    mirror.files["pubmed26n1338.xml.gz.md5"] = b"00112233445566778899aabbccddeeff"
    corrupt = comention("ingest", "updates", mirror.url, **settings)
    assert corrupt.status == 1
    assert "pubmed26n1338.xml.gz is corrupt" in corrupt.stderr
    assert "Traceback" not in corrupt.stderr


def test_downloads_are_kept_where_a_folder_is_named(comention: Comention, mirror: MirrorServer, tmp_path: Path) -> None:
    done = comention("ingest", "updates", mirror.url, "--keep", tmp_path / "kept", "--files", "1336-1337")
    assert done.status == 0, done.stderr
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert kept == ["pubmed26n1336.xml.gz", "pubmed26n1337.xml.gz"]


def test_a_number_that_lacks_is_named(comention: Comention, mirror: MirrorServer) -> None:
    del mirror.files["pubmed26n1336.xml.gz"]
    done = comention("ingest", "updates", mirror.url, "--json")
    assert done.status == 1
    assert done.document["gaps"] == ["pubmed26n1336.xml.gz"]
    assert "pubmed26n1336.xml.gz" in done.stderr


def test_bad_places_and_files_are_one_sentence_and_exit_1(comention: Comention, tmp_path: Path) -> None:
    for place, said in (
        ("http://127.0.0.1:9/pubmed/", "does not answer"),
        (str(tmp_path / "none"), "does not exist"),
        (str(tmp_path), "no file like"),
    ):
        done = comention("ingest", "updates", place, COMENTION_NCBI__TIMEOUT="1")
        assert done.status == 1
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
    (tmp_path / "pubmed26n0001.xml").write_text("<html/>")
    path = write_release(tmp_path, "pubmed26n0002.xml.gz", [article_xml(1)])
    path.write_bytes(path.read_bytes()[:-20])
    write_release(tmp_path, "pubmed26n0003.xml.gz", [article_xml(2)])
    done = comention("ingest", "updates", tmp_path, "--processes", "2")
    assert done.status == 1
    assert "is not PubMed XML" in done.stderr
    assert "is corrupt: its MD5" in done.stderr
    assert "1 files have no .md5 file" in done.stderr
    assert "pubmed26n0003.xml.gz: 1 record read: 1 new" in done.stderr
    assert comention("ingest", "updates", tmp_path, "--files", "2-1").status == 2
