"""A real browser on a real server. Where there is no Chromium, or no Playwright, these tests are skipped and say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from storage.embedded import EmbeddedPostgres
from tests.analyst_database import analyst_database
from tests.dashboard.hostile_corpus import hostile_database
from tests.dashboard.served import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NAMED = os.environ.get("COMENTION_CHROMIUM")
WAIT_MS = 20_000


def find_chromium() -> str | None:
    """The browser that COMENTION_CHROMIUM names, or one on the path."""
    return NAMED or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def open_browser(executable: str) -> Iterator[Browser]:
    """A Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A container has no sandbox for its user, and little shared memory.
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-dashboard installs it")
    executable = find_chromium()
    if executable is None:
        pytest.skip("there is no Chromium: apt-get install chromium fonts-liberation, or set COMENTION_CHROMIUM")
    with open_browser(executable) as opened:
        yield opened


class Watched:
    """A page, and all that went wrong on it: errors of scripts, what the policy forbade, dialogs, requests to others."""

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("console", self._note)
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self._check(request.url, server))
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', "
            "(event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"
        )

    def _note(self, message: ConsoleMessage) -> None:
        # A page that says 404 is one that we ask for.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.troubles.append(f"console: {message.text}")

    def _dismiss(self, dialog: Any) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _check(self, address: str, server: str) -> None:
        if not address.startswith((server, "data:", "blob:")):
            self.troubles.append(f"request: {address}")


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page of a server in a profile of its own; at the end of the test nothing may have gone wrong on any."""
    watched: list[Watched] = []
    contexts = []

    def open_(server: str, path: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        watched.append(Watched(context.new_page(), server))
        watched[-1].page.goto(server + path)
        return watched[-1].page

    yield open_
    for context in contexts:
        context.close()
    assert [trouble for one in watched for trouble in one.troubles] == []


@pytest.fixture(scope="session")
def filled_server(browser: Browser, postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A dashboard over the 21 made-up citations."""
    with analyst_database(postgres, template, "browser") as (address, _), serving(address) as (_process, server):
        yield server


@pytest.fixture(scope="session")
def empty_server(browser: Browser, postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A dashboard over a database without data."""
    address = postgres.create_database("browser_empty", template=template)
    with serving(address) as (_process, server):
        yield server
    postgres.drop_database("browser_empty")


@pytest.fixture(scope="session")
def hostile_server(browser: Browser, postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """A dashboard over texts that attack."""
    with hostile_database(postgres, template, "browser_hostile") as address, serving(address) as (_process, server):
        yield server
