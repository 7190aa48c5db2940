"""The example of a plugin is a package that installs, passes its own tests and is found by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT, Outcome, run_command

EXAMPLE = ROOT / "docs" / "example_annotator"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example installed in it, built as pip builds it and without a network."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        pytest.skip("uv is not installed: `make install` brings it")
    target = tmp_path_factory.mktemp("site")
    source = shutil.copytree(EXAMPLE, tmp_path_factory.mktemp("source") / "example")
    done = subprocess.run(
        [uv, "pip", "install", "--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable,
         "--target", target, source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def command(installed: Path, *arguments: str) -> Outcome:
    return run_command(*arguments, PYTHONPATH=os.pathsep.join([str(installed), str(ROOT)]))


def test_it_passes_its_own_tests(installed: Path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", EXAMPLE / "pyproject.toml",
         EXAMPLE / "tests"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), str(ROOT)]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_found_checked_and_tried_by_name(installed: Path):
    listed = {one["name"]: one for one in command(installed, "annotators", "list", "--json").document}
    assert listed["doses"]["source"] == "comention-doses"
    done = command(installed, "annotators", "check", "doses", "The dose was 5 mg/kg.")
    assert done.status == 0, done.stdout + done.stderr
    assert "BROKEN" not in done.stdout
    found = command(installed, "annotators", "try", "doses", "The dose was 5 mg/kg.", "--json").document
    assert [(one["start_char"], one["end_char"], one["label"]) for one in found["mentions"]] == [(13, 20, "Dose")]


def test_an_example_without_a_mention_is_no_proof(installed: Path):
    done = command(installed, "annotators", "check", "doses", "Nothing here.", "--json")
    assert done.status == 1
    broken = [one for one in json.loads(done.stdout) if one["problem"] is not None]
    assert [one["part"] for one in broken] == ["the examples have mentions"]
    assert "breaks 1 of" in done.stderr


def test_a_label_map_does_not_go_with_a_plugin(installed: Path, tmp_path: Path):
    (tmp_path / "map.toml").write_text("")
    done = command(installed, "annotators", "info", "doses", "--labels", str(tmp_path / "map.toml"))
    assert (done.status, done.stdout) == (1, "")
    assert "'doses' is a plugin's" in done.stderr


def test_the_page_on_plugins_shows_the_code_as_it_is():
    page = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    entry = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert 'doses = "comention_doses:load"' in page
    assert entry["comention.annotators"]["doses"] == "comention_doses:load"
    source = (EXAMPLE / "src" / "comention_doses" / "__init__.py").read_text(encoding="utf-8")
    (shown,) = [part.split("```")[0] for part in page.split("```python\n") if part.startswith("class DoseAnnotator")]
    assert shown.strip() in source
