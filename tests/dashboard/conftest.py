"""A dashboard over a real database, as a browser without scripts sees it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape

import pytest
from starlette.testclient import TestClient

from comention.settings import DashboardSettings
from dashboard.app import create_app
from storage.database import Database, parse_url
from storage.embedded import EmbeddedPostgres
from storage.reading import Reader
from tests.analyst_database import analyst_database

Browse = Callable[..., TestClient]


@contextmanager
def browse(address: str, **settings: object) -> Iterator[TestClient]:
    """A client of a dashboard over the database at an address."""
    chosen = DashboardSettings(**settings)
    reader = Reader(
        parse_url(address, connect_timeout=10),
        statement_timeout=chosen.statement_timeout,
        connections=chosen.connections,
    )
    app = create_app(chosen, reader)
    try:
        with TestClient(app, base_url="http://localhost:8417", follow_redirects=False) as client:
            yield client
    finally:
        reader.close()


@pytest.fixture(scope="session")
def filled_address(postgres: EmbeddedPostgres, template: str) -> Iterator[tuple[str, Database]]:
    """The database of 21 made-up citations, and its address."""
    with analyst_database(postgres, template, "dashboard") as (address, database):
        yield address, database


@pytest.fixture(scope="session")
def filled(filled_address: tuple[str, Database]) -> Iterator[TestClient]:
    """A dashboard over the made-up citations."""
    with browse(filled_address[0]) as client:
        yield client


@pytest.fixture
def empty(database_address: str) -> Iterator[TestClient]:
    """A dashboard over a database with no data at all."""
    with browse(database_address) as client:
        yield client


def text_of(html: str) -> str:
    """What a page says, without its markup."""
    without = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", without)))


def rows_of(html: str) -> list[list[str]]:
    """The cells of the first table's body, row by row."""
    body = re.search(r"<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert body is not None
    return [
        [text_of(cell).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr>(.*?)</tr>", body[1], re.DOTALL)
    ]
