"""Secrets from files, as a container engine mounts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from comention.errors import SettingsError
from comention.settings import load_settings
from storage.database import database_url
from tests.conftest import Outcome, run_command


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "postgres_password"
    path.write_text("p@ss/word:1\n", encoding="utf-8")
    return path


def test_the_password_of_a_file_completes_the_address(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COMENTION_DATABASE__URL", "postgresql://comention@postgres/comention")
    monkeypatch.setenv("COMENTION_DATABASE__PASSWORD_FILE", str(secret))
    settings = load_settings()
    assert database_url(settings).password == "p@ss/word:1"
    assert "p@ss" not in repr(settings)


@pytest.mark.parametrize("name", ["COMENTION_DATABASE__URL", "COMENTION_REDIS__URL", "COMENTION_NCBI__API_KEY"])
def test_every_secret_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, secret: Path, name: str) -> None:
    monkeypatch.setenv(f"{name}_FILE", str(secret))
    group, _, inner = name.removeprefix("COMENTION_").lower().partition("__")
    assert getattr(getattr(load_settings(), group), inner).get_secret_value() == "p@ss/word:1"


def test_what_is_no_secret_has_no_file(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COMENTION_NCBI__EMAIL_FILE", str(secret))
    with pytest.raises(SettingsError, match="there is no setting COMENTION_NCBI__EMAIL_FILE"):
        load_settings()


def test_a_secret_that_stands_twice_is_refused(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    monkeypatch.setenv("COMENTION_NCBI__API_KEY", "one")
    monkeypatch.setenv("COMENTION_NCBI__API_KEY_FILE", str(secret))
    with pytest.raises(SettingsError, match="COMENTION_NCBI__API_KEY and COMENTION_NCBI__API_KEY_FILE are both set"):
        load_settings()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"\n", "is empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 20_000, "more than")],
)
def test_a_file_that_is_no_secret_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("COMENTION_NCBI__API_KEY_FILE", str(path))
    with pytest.raises(SettingsError, match=f"{path}, which COMENTION_NCBI__API_KEY_FILE names.*{reason}"):
        load_settings()


def test_a_command_says_so_in_one_sentence(tmp_path: Path) -> None:
    outcome: Outcome = run_command("status", COMENTION_DATABASE__PASSWORD_FILE=str(tmp_path / "absent"))
    assert outcome.status == 1
    assert outcome.stderr.startswith("comention: ")
    assert len(outcome.stderr.strip().splitlines()) == 1
