"""Pictures of every page, from the sample: `python -m tests.browser.screenshots FOLDER`, or `make screenshots`.

A wide screen in light and in dark, and a narrow one; each page whole. It brings the sample in with the bundled annotator, in a
Postgres of its own, and lets a second annotator read it, so that there is something to compare.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage.embedded import EmbeddedPostgres
from tests.browser.conftest import find_chromium, open_browser
from tests.conftest import run_command
from tests.dashboard.served import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PAGES = {
    "search": "",
    "found": "search?q=amiod",
    "drug": "drug?name=amiodarone",
    "condition": "condition?name=thyrotoxicosis",
    "pair": "pair?drug=amiodarone&condition=thyrotoxicosis",
    "citation": "citation/990000001",
    "sentences": "sentences?q=%22liver+failure%22+or+hepatitis",
    "compare": "compare?first=amiodarone&second=lithium",
    "network": "network?drug=amiodarone",
    "annotators": "annotators",
    "operations": "operations",
    "unknown": "drug?name=amiodaron3",
    "error": "drug?name=amiodarone&from=2020&to=2010",
}
SHAPES: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "narrow": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light", "device_scale_factor": 2},
}
IN_README = {"drug-light": "drug.png", "pair-light": "pair.png", "network-dark": "network.png"}
"""What the README shows: the first screen of these."""


def fill(url: str) -> None:
    """Bring in what the pages show, or stop with what the command said."""
    for arguments, settings in (
        (("db", "upgrade"), {}),
        (("demo",), {"COMENTION_ANNOTATE__ANNOTATOR": "compact"}),
        (("annotate", "--annotator", "lexicon"), {}),
        (("db", "maintain"), {}),
        (("subscribe", "lithium", "--query", "lithium[tiab]", "--every", "6h", "--no-check"), {}),
    ):
        done = run_command(*arguments, timeout=600, COMENTION_DATABASE__URL=url, **settings)
        if done.status:
            raise SystemExit(f"comention {' '.join(arguments)}: {done.stderr}")


def settle(page: Page) -> None:
    """Wait for what is drawn late."""
    page.wait_for_load_state("networkidle")
    if page.locator(".chart[data-chart]").count():
        page.locator(".chart").scroll_into_view_if_needed()
        page.locator(".chart .plot .main-svg").first.wait_for()
        page.evaluate("scrollTo(0, 0)")


def shoot(browser: Browser, server: str, folder: Path, pages: Mapping[str, str]) -> int:
    """Write a picture of each page in each shape; return how many."""
    number = 0
    for shape, options in SHAPES.items():
        context = browser.new_context(**options)
        page = context.new_page()
        for name, path in pages.items():
            page.goto(server + path)
            settle(page)
            page.screenshot(path=folder / f"{name}-{shape}.png", full_page=True)
            if f"{name}-{shape}" in IN_README:
                page.screenshot(path=folder / IN_README[f"{name}-{shape}"])
            number += 1
        page.goto(server + PAGES["pair"])
        page.get_by_role("link", name="Report a wrong mention").first.click()
        page.screenshot(path=folder / f"report-{shape}.png", full_page=True)
        context.close()
    return number + len(SHAPES)


def main(folder: Path) -> None:
    """Fill a database, serve it, and write the pictures."""
    executable = find_chromium()
    if executable is None:
        raise SystemExit("there is no Chromium: apt-get install chromium fonts-liberation, or set COMENTION_CHROMIUM")
    folder.mkdir(parents=True, exist_ok=True)
    for name in [name for name in os.environ if name.startswith("COMENTION_") and name != "COMENTION_CHROMIUM"]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="comention-pictures-") as home, EmbeddedPostgres(Path(home)) as postgres:
        url, empty = postgres.create_database("pictures"), postgres.create_database("pictures_empty")
        fill(url)
        run_command("db", "upgrade", COMENTION_DATABASE__URL=empty)
        with open_browser(executable) as browser:
            with serving(url) as (_, server):
                number = shoot(browser, server, folder, PAGES)
            with serving(empty) as (_, server):
                number += shoot_empty(browser, server, folder)
    sys.stdout.write(f"{number} pictures in {folder}\n")


def shoot_empty(browser: Browser, server: str, folder: Path) -> int:
    """Write pictures of what a database without data shows; return how many."""
    context = browser.new_context(**SHAPES["light"])
    page = context.new_page()
    names = {"search": "", "compare": "compare", "annotators": "annotators", "operations": "operations"}
    for name, path in names.items():
        page.goto(server + path)
        page.screenshot(path=folder / f"empty-{name}-light.png", full_page=True)
    context.close()
    return len(names)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots"))
