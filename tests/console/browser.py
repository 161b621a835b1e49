"""Headless Chromium for tests, in a thread of its own: Playwright's loop and Django's database do not share one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

#: Swagger's and Redoc's pages take a second here and half a minute on a crowded machine.
WAIT_MS = 90_000
expect.set_options(timeout=WAIT_MS)

T = TypeVar("T")
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str:
    """Return the browser of this machine; a machine without one skips the test: the lock file cannot bring one."""
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this machine")
    return path


class Window:
    """One page; `do(function)` runs a function of the page in the browser's thread."""

    def __init__(self) -> None:
        path = chromium_path()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self.errors: list[str] = []
        self._thread.submit(self._open, path).result()

    def _open(self, path: str) -> None:
        self._playwright: Playwright = sync_playwright().start()
        self._browser: Browser = self._playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"], timeout=WAIT_MS
        )
        self._context: BrowserContext = self._browser.new_context(viewport={"width": 1500, "height": 950})
        self._page: Page = self._context.new_page()
        self._page.set_default_timeout(WAIT_MS)
        self._page.on("pageerror", lambda error: self.errors.append(str(error)))

    def do(self, function: Callable[[Page], T]) -> T:
        return self._thread.submit(function, self._page).result()

    def close(self) -> None:
        self._thread.submit(self._browser.close).result()
        self._thread.submit(self._playwright.stop).result()
        self._thread.shutdown()
