"""Chromium for tests: found on the machine, started without a window, every page's faults collected."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The browser's program; without one the test is skipped, or fails where nothing may be skipped."""
    found = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    if found is None and not os.environ.get("KALLA_REQUIRE_ALL"):
        pytest.skip("no Chromium: apt-get install chromium")
    assert found, "no Chromium: apt-get install chromium"
    return found


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    program = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield started
        finally:
            started.close()


@dataclass
class Faults:
    """What went wrong on a page without anyone clicking wrong: script errors, failed requests, foreign addresses."""

    found: list[str] = field(default_factory=list)

    def watch(self, page: Page, own: str) -> None:
        page.on("pageerror", lambda error: self.found.append(f"script: {error}"))
        page.on("console", lambda message: self._console(message.type, message.text))
        page.on("response", lambda answer: self._answer(answer.status, answer.url))
        page.on("request", lambda request: self._request(request.url, own))

    def _console(self, kind: str, text: str) -> None:
        if kind == "error":
            self.found.append(f"console: {text}")

    def _answer(self, status: int, url: str) -> None:
        if status >= 400:
            self.found.append(f"{status}: {url}")

    def _request(self, url: str, own: str) -> None:
        if not url.startswith((own, "data:", "blob:")):
            self.found.append(f"foreign: {url}")


def unreadable(page: Page) -> list[str]:
    """Texts whose contrast with what is behind them is below AA (4.5:1; 3:1 for large ones), by WCAG 2.2's formula."""
    return page.evaluate(_CONTRAST)


def too_wide(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1"))


def save(page: Page, folder: Path, name: str) -> None:
    """A picture of the whole page, where KALLA_SHOTS names a folder for them."""
    if os.environ.get("KALLA_SHOTS"):
        page.screenshot(path=Path(os.environ["KALLA_SHOTS"]) / f"{name}.png", full_page=True)


_CONTRAST = """
() => {
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const c = numbers(getComputedStyle(at).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility()) continue;
    if (node.closest("script, style, option, [disabled], svg")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(numbers(style.color)), light(behind(node))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${walk.currentNode.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}
"""
