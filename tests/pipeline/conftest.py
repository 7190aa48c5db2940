"""Workers on real servers, and what one undisturbed process leaves of the same citations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from tests.conftest import command_environment, run_command
from tests.forked import WORKER_MODULES, Forks
from tests.ncbi import NcbiServer, make_articles
from tests.workers import CITATIONS, KEY, Plant, content


@pytest.fixture(scope="session")
def served() -> Iterator[NcbiServer]:
    """A stand-in for NCBI with the citations that workers are given."""
    with NcbiServer(make_articles(CITATIONS), enforce_rate=False) as server:
        yield server


@pytest.fixture(scope="session")
def inline(postgres: EmbeddedPostgres, template: str, served: NcbiServer) -> dict[str, object]:
    """What `comention run` leaves."""
    address = postgres.create_database("inline", template=template)
    outcome = run_command(
        "run",
        "--query",
        "patient",
        COMENTION_DATABASE__URL=address,
        COMENTION_NCBI__BASE_URL=served.base_url,
        COMENTION_NCBI__EMAIL="someone@example.org",
        COMENTION_NCBI__API_KEY=KEY,
    )
    assert outcome.status == 0, outcome.stderr
    database = Database(parse_url(address, connect_timeout=10))
    found = content(database)
    database.close()
    postgres.drop_database("inline")
    return found


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """What starts Celery workers."""
    with Forks(command_environment(), module="celery.__main__", modules=WORKER_MODULES) as started:
        yield started


@pytest.fixture
def plant(
    forks: Forks, tmp_path: Path, database_address: str, database: Database, served: NcbiServer
) -> Iterator[Plant]:
    """A Valkey to start workers on, with a database of this test."""
    with Plant(forks, tmp_path, database_address, database, served) as running:
        yield running
