"""What JavaScript adds, and how pages fit their windows, in a real browser."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests.webapp.pages.conftest import INVOICES, Inserted
from webapp.context import Kalla

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

DROP = """([selector, name, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type: "text/csv" }));
  const box = document.querySelector(selector).closest("[data-drop]");
  box.dispatchEvent(new DragEvent("dragover", { dataTransfer: data, bubbles: true, cancelable: true }));
  box.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The app, served to this machine."""

    def served(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Werkzeug's server leaves a file open where the browser hangs up while it is sent."""
        found = app(environ, start)
        if not environ["PATH_INFO"].startswith("/assets/"):
            return found
        with contextlib.closing(found):  # type: ignore[type-var]
            return [b"".join(found)]

    server = make_server("127.0.0.1", 0, served, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tab(chromium: Any, address: str) -> Iterator[Any]:
    """An empty tab on the app; anything that its console complains of fails the test."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:")) else complaints.append(request.url),
    )
    page.set_default_timeout(10_000)
    yield page
    context.close()
    assert complaints == []


def focused(tab: Any) -> str:
    found: str = tab.evaluate("document.activeElement.textContent")
    return found


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_fit_their_window(tab: Any, completed: str, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 800})
    paths = ["/", "/sources", "/sources/new", "/sources/invoices", "/recipes", "/recipes/invoices-payments", "/runs"]
    paths += ["/recipes/new?left=invoices&right=payments", f"/runs/{completed}", f"/runs/{completed}/unmatched_left/3"]
    for path in paths:
        tab.goto(path)
        wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path


def test_the_theme_is_kept(tab: Any) -> None:
    tab.goto("/")
    switch = tab.locator("[data-theme-switch]")
    assert switch.get_attribute("aria-pressed") == "false"
    switch.click()
    assert tab.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    tab.goto("/runs")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert tab.locator("[data-theme-switch]").get_attribute("aria-pressed") == "true"


def test_deleting_asks_in_a_dialog(tab: Any, parts: Kalla, stored: dict[str, Any]) -> None:
    tab.goto("/sources")
    tab.get_by_role("link", name="Delete invoices").click()
    dialog = tab.locator("dialog[open]")
    dialog.wait_for()
    assert "Delete invoices?" in dialog.inner_text()
    assert focused(tab) == "Keep it"
    tab.keyboard.press("Escape")
    assert dialog.count() == 0
    assert parts.sources.get("invoices") is not None
    tab.get_by_role("link", name="Delete invoices").click()
    dialog.get_by_role("button", name="Delete invoices").click()
    tab.get_by_text("The source is deleted.").wait_for()
    assert parts.sources.get("invoices") is None


def test_rows_by_keyboard(tab: Any, completed: str) -> None:
    tab.goto(f"/runs/{completed}")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "q"
    tab.keyboard.type("jk/")
    assert tab.locator("#q").input_value() == "jk/"
    tab.keyboard.press("Escape")
    for key, row in (("j", "3"), ("j", "4"), ("j", "4"), ("k", "3")):
        tab.keyboard.press(key)
        assert focused(tab).startswith(row)
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/unmatched_left/3")


def test_skip_link_and_visible_focus(tab: Any) -> None:
    tab.goto("/")
    tab.keyboard.press("Tab")
    assert focused(tab) == "Skip to content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    tab.keyboard.press("Tab")
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("way", ["choose", "drop"])
def test_a_file_is_sent_ahead(tab: Any, parts: Kalla, tmp_path: Path, way: str) -> None:
    tab.goto("/sources")
    if way == "choose":
        (tmp_path / "bank.csv").write_text(INVOICES, encoding="utf-8")
        tab.set_input_files("#file", tmp_path / "bank.csv")
    else:
        tab.evaluate(DROP, ["#file", "bank.csv", INVOICES])
    tab.locator("[data-upload-words]", has_text="is uploaded").wait_for()
    assert tab.locator("[data-announce]").inner_text().startswith("bank.csv")
    tab.get_by_role("button", name="Upload and register").click()
    tab.get_by_text("uploaded and registered").wait_for()
    assert parts.sources.list()[0].alias.startswith("csv_bank_")


def test_a_file_of_another_kind_is_refused_at_once(tab: Any) -> None:
    tab.goto("/sources")
    tab.evaluate(DROP, ["#file", "bank.exe", "x"])
    tab.locator("[data-upload-words].bad", has_text="CSV, Parquet or XLSX").wait_for()
    assert tab.get_by_role("button", name="Upload and register").is_enabled()


def test_a_sheet_of_a_workbook_is_chosen(tab: Any, parts: Kalla, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("March")
    for row in (["ref", "net"], ["007", 18.9]):
        sheet.append(row)
    book.save(tmp_path / "ledger.xlsx")
    tab.goto("/sources")
    tab.set_input_files("#file", tmp_path / "ledger.xlsx")
    tab.get_by_label("Sheet of ledger.xlsx").select_option("March")
    tab.get_by_role("button", name="Take this sheet").click()
    tab.locator("[data-upload-words]", has_text="1 records, 2 columns").wait_for()
    tab.get_by_role("button", name="Upload and register").click()
    tab.get_by_text("uploaded and registered").wait_for()
    assert parts.sources.list()[0].uri.endswith("/ledger - March.csv")


def test_rows_of_a_source_come_after_the_page(tab: Any, stored: dict[str, Any]) -> None:
    tab.goto("/sources/payments")
    tab.get_by_text("4 of 4 rows shown").wait_for()
    tab.get_by_role("link", name="Find the key").click()
    tab.get_by_text("tells all rows apart").wait_for()


def test_a_run_is_followed_to_its_end(tab: Any, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    parts.runs.mark_submitted(run_id)
    tab.goto(f"/runs/{run_id}")
    tab.get_by_text("Waiting its turn").first.wait_for()
    tab.evaluate("window.untouched = true")
    parts.runs.record_progress(run_id, "matching", progress=0.5, matched_count=1200)
    tab.get_by_text("Matching records").first.wait_for()
    assert tab.locator("#live dl").first.inner_text().split() == ["Pairs", "so", "far", "1,200"]
    parts.runs.fail(run_id, "The disk is full.")
    tab.get_by_text("The disk is full.").first.wait_for()
    assert tab.locator("[data-announce]").inner_text() == "The disk is full."
    assert tab.evaluate("window.untouched") is True
    assert tab.locator("[data-live]").count() == 0


def test_the_list_of_runs_follows_too(tab: Any, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    tab.goto("/runs")
    tab.locator("#live").get_by_text("Waiting to be sent").wait_for()
    parts.runs.cancel(run_id)
    tab.locator("#live").get_by_text("Cancelled").wait_for()
    assert tab.locator("[data-live]").count() == 0


def test_a_sample_file_is_asked_for_where_it_is_needed(tab: Any, stored: dict[str, Any]) -> None:
    tab.goto("/recipes/new")
    assert not tab.locator("#right_file").is_visible()
    tab.select_option("#right", "upload:")
    assert tab.locator("#right_file").is_visible()
    tab.select_option("#right", "payments")
    assert not tab.locator("#right_file").is_visible()


def test_a_pressed_button_says_what_it_does(tab: Any, stored: dict[str, Any]) -> None:
    tab.goto("/recipes/invoices-payments")
    tab.evaluate("document.querySelector('form[action$=check]').addEventListener('submit', (e) => e.preventDefault())")
    button = tab.get_by_role("button", name="Check")
    button.click()
    tab.get_by_role("button", name="Checking").wait_for()
    assert tab.get_by_role("button", name="Checking").get_attribute("aria-disabled") == "true"


def test_a_workbook_in_the_conversation_asks_for_its_sheet(tab: Any, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("March")
    for row in (["ref", "net"], ["007", 18.9]):
        sheet.append(row)
    book.save(tmp_path / "ledger.xlsx")
    tab.goto("/reconcile")
    tab.set_input_files("#files", tmp_path / "ledger.xlsx")
    tab.get_by_label("Sheet of ledger.xlsx").select_option("March")
    tab.get_by_role("button", name="Take this sheet").click()
    tab.locator("[data-attachments]", has_text="1 records, 2 columns").wait_for()
