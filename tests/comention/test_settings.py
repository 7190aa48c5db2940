from __future__ import annotations

from pathlib import Path

import pytest

from comention.errors import SettingsError
from comention.settings import load_settings


def test_a_nested_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMENTION_DATABASE__URL", "postgresql://user:secret@host/name")
    settings = load_settings()
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == "postgresql://user:secret@host/name"
    assert "secret" not in repr(settings)


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "comention.toml").write_text('[annotate]\nannotator = "one"\nprecision = "fp32"\n')
    monkeypatch.chdir(tmp_path)
    assert load_settings().annotate.annotator == "one"
    monkeypatch.setenv("COMENTION_ANNOTATE__ANNOTATOR", "two")
    assert load_settings().annotate.annotator == "two"
    assert load_settings().annotate.precision == "fp32"


def test_a_wrong_value_names_the_setting_and_not_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMENTION_ANNOTATE__THREADS", "many-secret-threads")
    with pytest.raises(SettingsError, match="COMENTION_ANNOTATE__THREADS") as caught:
        load_settings()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["COMENTION_DATABASE_URL", "COMENTION_HOM", "COMENTION_NCBI__APIKEY"])
def test_a_misspelt_setting_is_not_passed_over(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_a_file_that_is_not_toml_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "comention.toml").write_text("annotator = = 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"comention\.toml"):
        load_settings()
