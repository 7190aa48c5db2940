"""The pages on connecting: their roles can be made, their timeouts hold, their code runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.conftest import ROOT

PAGES = sorted((ROOT / "docs" / "connect").glob("*.md"))


@pytest.fixture(scope="module")
def address(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    with analyst_database(postgres, template, "connect") as (found, _):
        yield found


def as_user(address: str, user: str) -> str:
    """The address, for another user."""
    return make_url(address).set(username=user).render_as_string(hide_password=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_login_of_a_page_reads_and_has_a_timeout_only_where_it_is_given(address: str, page: Path) -> None:
    [(create, login)] = re.findall(r"^(CREATE ROLE (\w+) LOGIN .*;)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    settings = re.findall(rf"^(ALTER ROLE {login} SET .*;)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    with psycopg.connect(address, autocommit=True) as owner:
        owner.execute(create.encode())
        try:
            with psycopg.connect(as_user(address, login)) as member:
                assert member.execute("SELECT count(*) > 0 FROM analysis.cooccurrence").fetchone() == (True,)
                # What the page says: a member does not inherit the role's timeout.
                assert member.execute("SHOW statement_timeout").fetchone() == ("0",)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    member.execute("SELECT * FROM comention.citation")
            for statement in settings:
                owner.execute(statement.encode())
            with psycopg.connect(as_user(address, login)) as member:
                shown = member.execute("SHOW statement_timeout").fetchone()
                assert shown is not None
                assert shown[0] in ("10s", "1min")
        finally:
            owner.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_code_of_the_page_runs(address: str, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    pytest.importorskip(library)
    page = (ROOT / "docs" / "connect" / "pandas.md").read_text(encoding="utf-8")
    [program] = [
        one
        for one in re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        if f"import {library}" in one
    ]
    monkeypatch.setenv(
        "COMENTION_READER", make_url(address).set(drivername="postgresql+psycopg").render_as_string(False)
    )
    names: dict[str, object] = {}
    exec(compile(program, "docs/connect/pandas.md", "exec"), names)
    names["engine"].dispose()  # type: ignore[attr-defined]
    if library == "pandas":
        by_year = names["by_year"]
        assert by_year.loc[2006, "tremor"] == 2  # type: ignore[attr-defined]
    else:
        signals = names["signals"]
        assert signals["drug"][0] == "clozapine"  # type: ignore[index]
