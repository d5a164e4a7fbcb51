"""Chromium as tests drive it, by Playwright."""

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from labkit.cli.testing import REQUIRE_BROWSER, find_browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-webgl")


def require() -> None:
    """Skip the test, or fail it where a browser is required, unless there is one to drive."""
    if missing := _missing():
        if os.environ.get(REQUIRE_BROWSER):
            pytest.fail(missing)
        pytest.skip(f"{missing} (./lab test provides both)")


def _missing() -> str | None:
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return "no Playwright"
    return None if find_browser() else "no Chromium"


@contextlib.contextmanager
def launched() -> "Iterator[Browser]":
    """A browser for as long as the block runs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launch = playwright.chromium.launch
        with contextlib.closing(launch(executable_path=find_browser(), args=_FLAGS)) as browser:
            yield browser
