"""What the page on the API shows runs against a server, and gives what it shows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.conftest import ROOT
from tests.dashboard.serving import serve_dashboard

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```(sh|python)\n(.*?)^```\n\n```\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8417"


@pytest.fixture(scope="module")
def address(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    with analyst_database(postgres, template, "docs_api") as (database, _), serve_dashboard(database) as served:
        yield served.rstrip("/")


def assert_shown(out: str, shown: str) -> None:
    """What came out is what the page shows; `…` stands for anything."""
    assert re.fullmatch(re.escape(shown.rstrip()).replace("…", r"[^\n]*"), out.rstrip()), out


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_examples_with_curl(address: str, tmp_path: Path) -> None:
    examples = [(code, shown) for kind, code, shown in EXAMPLE.findall(PAGE) if kind == "sh"]
    assert len(examples) == PAGE.count("```sh\n") == 5
    for code, shown in examples:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", code.replace(ADDRESS, address)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        assert_shown(done.stdout, shown)


def test_the_examples_with_python(address: str) -> None:
    examples = [(code, shown) for kind, code, shown in EXAMPLE.findall(PAGE) if kind == "python"]
    assert len(examples) == PAGE.count("```python\n") == 2
    whole = "".join(code.replace(ADDRESS, address) for code, _ in examples)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", whole], capture_output=True, text=True, check=True, timeout=60
    )
    assert_shown(done.stdout, "".join(shown for _, shown in examples))


def test_the_page_names_every_resource(address: str) -> None:
    import json
    from urllib.request import urlopen

    with urlopen(f"{address}/api/v1/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    named = {
        one.replace("PMID", "{pmid}")
        for line in PAGE.splitlines()
        for one in re.findall(r"`(/[a-zA-Z/]+)`", line.split("|")[1] if line.startswith("| `") else "")
    }
    assert {f"/v1{one}" for one in named} == set(paths)
