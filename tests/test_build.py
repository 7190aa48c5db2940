"""What a build makes of the kernels in C: with a compiler, without one, and with one that fails."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels are for x86-64")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As much of the project as a build takes."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for package in ("comention", "ingest", "annotate", "storage", "pipeline", "dashboard", "migrations"):
        (tmp_path / package).mkdir()
    shutil.copy(ROOT / "comention" / "__init__.py", tmp_path / "comention")
    shutil.copy(ROOT / "annotate" / "int8_kernels.c", tmp_path / "annotate")
    (tmp_path / ".gitignore").write_text("*.so\n")
    return tmp_path


def build(tree: Path, **environment: str) -> tuple[Path, list[str], str]:
    """Build a wheel, and return it, the names of its files, and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tree / "dist"],
        cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (wheel,) = (tree / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return wheel, opened.namelist(), done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_wheel_has_the_kernels_and_is_one_for_this_platform(tree: Path):
    wheel, names, _ = build(tree)
    assert "annotate/int8_kernels.so" in names
    assert "-py3-none-linux_" in wheel.name


@pytest.mark.parametrize(
    ("environment", "said"),
    [({"PATH": "/nowhere", "CC": ""}, "there is no C compiler"), ({"CC": "false"}, "kernels cannot be compiled")],
    ids=["no compiler", "one that fails"],
)
def test_without_a_compiler_a_wheel_is_built_for_any_platform(tree: Path, environment: dict[str, str], said: str):
    wheel, names, output = build(tree, **environment)
    assert said in output
    assert "annotate/int8_kernels.so" not in names
    assert wheel.name.endswith("-py3-none-any.whl")
