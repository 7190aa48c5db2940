"""The SQL that the pages show runs as an analyst, and gives the results that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg
import pytest

from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [DOCS / "sql.md", DOCS / "statistics.md", *sorted((DOCS / "connect").glob("*.md"))]
EXAMPLE = re.compile(r"^```sql\n(.*?)^```\n(?:\n```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
COPY = re.compile(r"^```psql\n\\copy (\(.*\)) TO '[a-z.]+' (WITH \(.*\))\n```", re.MULTILINE)


def list_examples() -> list[tuple[str, str, str]]:
    """Page, statement and the result that follows it, empty where none does; statements on roles are not an analyst's."""
    return [
        (f"{page.name}:{number}", statement, shown)
        for page in PAGES
        for number, (statement, shown) in enumerate(EXAMPLE.findall(page.read_text(encoding="utf-8")), start=1)
        if not re.match(r"CREATE ROLE|ALTER ROLE|GRANT", statement)
    ]


@pytest.fixture(scope="module")
def analyst(postgres: EmbeddedPostgres, template: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with analyst_database(postgres, template, "docs") as (address, _), psycopg.connect(address) as connection:
        connection.execute("SET ROLE analyst")
        yield connection


def as_psql_shows(cursor: psycopg.Cursor[tuple[object, ...]]) -> list[list[str]]:
    """The heading and the rows of a result, as text."""
    result = cursor.pgresult
    assert result is not None
    heading = [column.name for column in cursor.description or ()]
    rows = [
        [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]
    return [heading, *rows]


def read_shown(shown: str) -> list[list[str]]:
    """The same of a result on a page: cells between bars, a line of dashes under the heading."""
    return [
        [cell.strip() for cell in line.split("|")] for line in shown.splitlines() if not re.fullmatch(r"[-+]+", line)
    ]


@pytest.mark.parametrize(("where", "statement", "shown"), list_examples(), ids=[one[0] for one in list_examples()])
def test_an_example_runs_and_gives_what_is_shown(
    analyst: psycopg.Connection[tuple[object, ...]], where: str, statement: str, shown: str
) -> None:
    with analyst.transaction(force_rollback=True):
        found = as_psql_shows(analyst.execute(statement.encode()))
    assert len(found) > 1
    if shown:
        expected = read_shown(shown)
        assert [len(row) for row in found] == [len(row) for row in expected], found
        blurred = [
            ["…" if known == "…" else cell for cell, known in zip(row, known_row, strict=True)]
            for row, known_row in zip(found, expected, strict=True)
        ]
        assert blurred == expected


def test_the_page_has_ten_questions_each_with_an_answer() -> None:
    page = (DOCS / "sql.md").read_text(encoding="utf-8")
    sections = re.split(r"^## [0-9]+\. ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == 10
    assert all("```sql\n" in section or "```psql\n" in section for section in sections)
    assert all(shown for _, _, shown in list_examples() if _.startswith("sql.md"))


def test_what_psql_copies_is_a_table(analyst: psycopg.Connection[tuple[object, ...]]) -> None:
    [(query, options)] = COPY.findall((DOCS / "sql.md").read_text(encoding="utf-8"))
    with (
        analyst.transaction(force_rollback=True),
        analyst.cursor().copy(f"COPY {query} TO STDOUT {options}".encode()) as out,
    ):
        lines = b"".join(bytes(part) for part in out).decode().splitlines()
    assert lines[0] == "drug,condition,citation_count,sentence_count,information_component_low"
    assert lines[1].startswith("clozapine,agranulocytosis,4,4,")
