"""What the browser tests share: one Chromium a module, and a fresh page of the module's ``kalla`` for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.webapp.served.browsing import Faults, browser
from tests.webapp.served.serving import Served
from tests.webapp.served.talking import SECONDS


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def page(chrome: Browser, kalla: Served, faults: Faults) -> Iterator[Page]:
    """A page that fails its test for every fault which the test has not taken out of ``faults.found``."""
    context = chrome.new_context(base_url=kalla.url, viewport={"width": 1280, "height": 900}, accept_downloads=True)
    found = context.new_page()
    found.set_default_timeout(SECONDS)
    faults.watch(found, kalla.url)
    yield found
    context.close()
    assert not faults.found
