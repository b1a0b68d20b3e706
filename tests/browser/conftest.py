"""A real Chromium on a real gateway whose hub is fed by the test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def a_page(browser: Browser, url: str, *, width: int = 1400, **context: Any) -> AsyncIterator[Page]:
    """The dashboard, open; fails at the end if the page threw an error or its policy stopped something."""
    held = await browser.new_context(viewport={"width": width, "height": 850}, **{"locale": "en-US", **context})
    page = await held.new_page()
    page.set_default_timeout(10_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if "Content Security Policy" in line.text else None)
    await page.goto(url)
    yield page
    await held.close()
    assert errors == []
