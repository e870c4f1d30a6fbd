"""A real browser for tests of pages: Debian's Chromium, driven by Playwright.

    from tests.browser import browser, watched_page

`browser` is a fixture. Without a browser its tests are skipped, except where CI=true, where they fail.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Any:
    """A headless Chromium (`playwright.sync_api.Browser`)."""
    return _chromium()


@cache  # Playwright allows one per thread, however many test files import the fixture
def _chromium() -> Any:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if find_spec("playwright") is None:
        _missing("Playwright is not installed: pip install playwright")
    if program is None:
        _missing("There is no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium refuses to sandbox for root
    started = playwright.chromium.launch(executable_path=program, args=sandbox)
    atexit.register(playwright.stop)
    atexit.register(started.close)
    return started


@dataclass
class Watched:
    """A page and what it did: errors on its console, addresses it asked for."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def watched_page(
    browser: Any, *, width: int = 1280, offline: bool = False, dark: bool = False
) -> Iterator[Watched]:
    """A fresh page that remembers what it asked for and complained about.

    Args:
        browser: the fixture of this module.
        width: of the window in pixels; 390 is a phone.
        offline: without a network.
        dark: the reader prefers dark pages.
    """
    scheme = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=offline
    )
    watched = Watched(context.new_page())
    page = watched.page
    page.on("console", lambda said: said.type in ("error", "warning") and watched.errors.append(said.text))
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("dialog", lambda dialog: (watched.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: watched.requests.append(request.url))
    try:
        yield watched
    finally:
        context.close()


def _missing(what: str) -> None:
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(what)
