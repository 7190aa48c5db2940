"""The database of a benchmark of the store, with its corpus."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.store_corpus import BATCH, MENTIONS_A_CITATION, Corpus
from benchmarks.store_load import check_load, load_corpus
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade


@dataclass(frozen=True, slots=True)
class Store:
    """A database with its corpus."""

    database: Database
    corpus: Corpus
    home: Path


@contextmanager
def open_store(home: Path, mentions: int, processes: int) -> Iterator[Store]:
    """Open the database of a home, and fill it where it is empty."""
    citations = max(BATCH, round(mentions / MENTIONS_A_CITATION / BATCH) * BATCH)
    corpus = Corpus(citations)
    with _open_database(home) as database:
        upgrade(database)
        found = _count_citations(database)
        if not found:
            began = time.monotonic()
            load_corpus(database, corpus, owed=0, processes=processes)
            print(f"{mentions:,} mentions loaded in {time.monotonic() - began:,.0f} s", file=sys.stderr)
            check_load(database, corpus)
        elif found < citations:
            raise SystemExit(f"{home} holds {found:,} citations, not the {citations:,} of --mentions {mentions}")
    # Started anew, the server takes as much memory as what it holds now asks for.
    with _open_database(home) as database:
        yield Store(database, corpus, home)


@contextmanager
def _open_database(home: Path) -> Iterator[Database]:
    with EmbeddedPostgres(home) as server:
        database = Database(parse_url(server.url, connect_timeout=10))
        try:
            yield database
        finally:
            database.close()


def _count_citations(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM comention.citation").scalar_one())


def connect(database: Database) -> psycopg.Connection[tuple[object, ...]]:
    """A connection as a client has it: statements of its own, each a transaction."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(url, autocommit=True)
