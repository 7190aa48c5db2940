from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from annotate import registry
from annotate.registry import list_annotators, load_annotator
from comention.errors import AnnotatorError, SettingsError
from comention.settings import AnnotateSettings
from comention.types import AnnotatorInfo

ROOT = Path(__file__).parents[2]


class Plugin:
    info = AnnotatorInfo(name="plug", version="1", model="", revision="", labels=("Drug",), config_hash="")

    def annotate(self, sentences):
        return []


def load_plugin(settings: AnnotateSettings) -> Plugin:
    assert settings.threads == 1
    return Plugin()


def load_broken(settings: AnnotateSettings) -> Plugin:
    raise ZeroDivisionError("oops")


def load_unset(settings: AnnotateSettings) -> Plugin:
    raise SettingsError("set something")


def load_wrong(settings: AnnotateSettings) -> object:
    return object()


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch):
    points = [
        EntryPoint(name, f"{__name__}:load_{name}", registry.ENTRY_POINTS)
        for name in ("plugin", "broken", "unset", "wrong")
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points if group == registry.ENTRY_POINTS else [])


def test_the_bundled_annotator_and_plugins_are_listed():
    listed = {annotator.name: annotator for annotator in list_annotators()}
    assert listed["compact"].source == "bundled"
    assert listed["compact"].labels[:2] == ("Drug", "Condition")
    assert {"plugin", "broken"} <= listed.keys()


def test_listing_annotators_imports_no_torch():
    code = "import sys; from annotate.registry import list_annotators; list_annotators(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "tokenizers"} & set(done.stdout.split())


def test_a_plugin_is_loaded_by_its_entry_point(settings: AnnotateSettings):
    assert load_annotator("plugin", settings).info.name == "plug"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("broken", AnnotatorError, r"'broken' .*load_broken\) cannot be loaded: ZeroDivisionError\('oops'\)"),
        ("unset", SettingsError, "set something"),
        ("wrong", AnnotatorError, "has no info or no annotate"),
    ],
)
def test_a_plugin_that_fails_is_named(name: str, error: type[Exception], message: str, settings: AnnotateSettings):
    with pytest.raises(error, match=message):
        load_annotator(name, settings)


def test_a_folder_is_an_annotator(random_folder: Path, settings: AnnotateSettings):
    annotator = load_annotator(str(random_folder), settings)
    assert annotator.info.name == "random"
    assert annotator.info.labels == ("Drug", "Condition")


def test_a_head_can_be_asked_for_by_name(random_folder: Path, settings: AnnotateSettings):
    assert load_annotator(f"{random_folder}:test", settings).info.name == "random:test"
    with pytest.raises(AnnotatorError, match="no head 'other'; it has test"):
        load_annotator(f"{random_folder}:other", settings)


@pytest.mark.parametrize("name", ["gigantic", "", "compact/ade", "gigantic:ade", ":ade"])
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, settings: AnnotateSettings):
    with pytest.raises(AnnotatorError, match=r"there is no annotator .* compact"):
        load_annotator(name, settings)
