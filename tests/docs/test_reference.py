"""The reference pages say what the program does; `make reference` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from pipeline.cli import cli
from pipeline.reference import analysis_page, commands_page, settings_page
from storage.database import Database
from tests.conftest import ROOT

PAGES = ROOT / "docs" / "reference"
MARKDOWN = sorted(path for path in ROOT.rglob("*.md") if ".venv" not in path.parts)


def test_the_page_of_commands_is_current() -> None:
    assert (PAGES / "commands.md").read_text(encoding="utf-8") == commands_page()


def test_the_page_of_settings_is_current() -> None:
    assert (PAGES / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_the_page_of_the_analyst_schema_is_current(database: Database) -> None:
    assert (PAGES / "analysis.md").read_text(encoding="utf-8") == analysis_page(database)


def test_the_readme_and_changelog_name_only_commands_that_exist() -> None:
    for page in ("README.md", "CHANGELOG.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))
        for line in re.findall(r"^comention (.+)", code, re.MULTILINE) + re.findall(r"`comention ([^`]+)`", text):
            assert is_command(line), f"{page}: comention {line}"


def is_command(line: str) -> bool:
    """Say whether the words of a command line lead to a command; ``a|b`` stands for either."""
    group: click.Command = cli
    for word in line.split():
        if not isinstance(group, click.Group):
            return True
        children = [group.get_command(click.Context(group), name) for name in word.split("|")]
        if None in children:
            return False
        group = next(child for child in children if child is not None)
    return True


def test_the_readme_names_only_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in MARKDOWN:
        for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert "".join(target) in targets, page


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
