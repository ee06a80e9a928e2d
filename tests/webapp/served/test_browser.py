"""A person at a browser, with the real app, runner, database and Chromium: from two files to an understood result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers import PostgresServer, postgres_server
from tests.webapp.served.browsing import Faults, save, too_wide, unreadable
from tests.webapp.served.serving import SAMPLE, Served, served

PASSWORD = "s3cret-of-the-ledger"
PAGES = [
    "/",
    "/sources",
    "/sources/invoices_csv",
    "/recipes",
    "/recipes/new",
    "/recipes/invoice-payment-match",
    "/runs",
]


@pytest.fixture(scope="module")
def database() -> Iterator[tuple[PostgresServer, str]]:
    with postgres_server() as server:
        name = server.create_database()
        server.execute(name, (SAMPLE / "seed.sql").read_text())
        server.execute(
            name, f"CREATE USER auditor PASSWORD '{PASSWORD}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor"
        )
        yield server, name


@pytest.fixture(scope="module")
def kalla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("browsed")) as found:
        yield found


@pytest.fixture(scope="module")
def run_id(kalla: Served) -> str:
    """A completed run of the sample."""
    found = kalla.submit()
    assert kalla.ended(found)["status"] == "completed"
    return found


def book(path: Path, *sheets: str) -> Path:
    made = openpyxl.Workbook()
    for name in sheets:
        sheet = made.create_sheet(name)
        sheet.append([f"{name}_id", "amount"])
        sheet.append(["A-1", 10.1])
    made.remove(made.worksheets[0])
    made.save(path)
    return path


def test_of_a_workbook_a_sheet_is_chosen_of_the_file_that_was_chosen_last(
    page: Page, kalla: Served, tmp_path: Path
) -> None:
    page.goto("/sources")
    field = page.get_by_label("File", exact=True)
    button = page.get_by_role("button", name="Upload and register")
    field.set_input_files(book(tmp_path / "first.xlsx", "one", "two"))
    words = page.locator("[data-upload-words]")
    expect(words).to_have_text("first.xlsx has several sheets. Choose one.")
    expect(button).to_be_disabled()
    field.set_input_files(book(tmp_path / "second.xlsx", "May", "June"))
    choice = page.get_by_label("Sheet of second.xlsx")
    expect(choice).to_be_focused()
    expect(page.get_by_text("Sheet of first.xlsx")).to_have_count(0)
    choice.select_option("June")
    page.get_by_role("button", name="Take this sheet").click()
    expect(words).to_contain_text("records, 2 columns")
    expect(choice).to_have_count(0)
    button.click()
    expect(page.get_by_text("The file is uploaded and registered as a source.")).to_be_visible()
    expect(page.get_by_role("columnheader", name="June_id")).to_be_visible()
    page.goto("/sources")
    field.set_input_files(book(tmp_path / "third.xlsx", "a", "b"))
    expect(button).to_be_disabled()
    field.set_input_files([])
    expect(button).to_be_enabled()
    expect(page.get_by_label("Sheet of third.xlsx")).to_have_count(0)


def test_what_lies_in_a_folder_is_listed_before_anything_else_is_filled_in(page: Page) -> None:
    page.goto("/sources/new")
    page.get_by_label("Kind").select_option("csv")
    page.get_by_label("Address").fill(f"{SAMPLE}/")
    page.get_by_role("button", name="List what is there").click()
    page.get_by_role("button", name="invoices.csv").click()
    expect(page.get_by_label("Address")).to_have_value(re.compile(r"/invoices\.csv$"))
    page.get_by_label("Name").fill("picked")
    page.get_by_label("Name").press("Enter")  # saves, and neither lists nor picks
    expect(page.get_by_role("heading", name="picked")).to_be_visible()


def test_a_postgres_source_is_registered_tested_and_shown(
    page: Page, kalla: Served, database: tuple[PostgresServer, str]
) -> None:
    server, name = database
    page.goto("/sources")
    page.get_by_role("link", name="Add a source").first.click()
    page.get_by_label("Name").fill("ledger")
    page.get_by_label("Kind").select_option("postgres")
    page.get_by_label("Address").fill(server.uri(name, "public.invoices", user="auditor", password=PASSWORD))
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ledger")
    page.get_by_role("button", name="Test the connection").click()
    expect(page.locator("main")).to_contain_text(re.compile("connect|reach|answer", re.I))
    expect(page.locator("main")).to_contain_text("INV-2026-0003")
    save(page, Path(), "source")
    assert PASSWORD not in page.content()
    page.goto("/sources")
    expect(page.get_by_role("row").filter(has_text="ledger")).to_contain_text("***")


def test_two_files_are_uploaded_reconciled_and_understood(page: Page, kalla: Served, tmp_path: Path) -> None:
    aliases = []
    for file in ("invoices.csv", "payments.csv"):
        page.goto("/sources")
        page.locator("input[type=file]").set_input_files(SAMPLE / file)
        expect(page.locator("[data-upload-words]")).to_contain_text("is uploaded")
        page.get_by_role("button", name="Upload and register").click()
        aliases.append(page.get_by_role("heading", level=1).inner_text().strip())
    sources = {source["alias"]: source for source in kalla.call("GET", "/api/sources")[1]}
    sides = dict(zip(("left", "right"), aliases, strict=True))
    keys = {"left": "invoice_id", "right": "payment_id"}
    recipe = {
        "recipe_id": "uploaded", "name": "From two uploads",
        "match_sql": "SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r ON l.invoice_id = r.reference_number AND tolerance_match(l.amount, r.paid_amount, 0.02)",
        "match_description": "Same reference, amounts at most 0.02 apart.",
        "sources": {side: {"alias": alias, "type": "csv_upload", "uri": sources[alias]["uri"], "primary_key": [keys[side]]} for side, alias in sides.items()},
    }  # fmt: skip
    status, answer = kalla.call("POST", "/api/recipes", recipe)
    assert status == 200, answer
    page.goto("/recipes/uploaded")
    page.locator("section[aria-labelledby=run]").get_by_role("button", name=re.compile("^Run")).first.click()
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    expect(page.locator("main")).to_contain_text("Completed", timeout=60_000)
    main = page.locator("main")
    for text in ("46.7", "21,495.00", "No record on the other side has this key", "7", "8"):
        expect(main).to_contain_text(text)
    save(page, tmp_path, "run")
    page.get_by_role("link", name=re.compile("condition fails")).first.click()
    expect(page.locator("main table").last).to_contain_text("INV-2026-0003")
    page.get_by_role("row").filter(has_text="INV-2026-0003").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("INV-2026-0003")
    expect(page.locator("main")).to_contain_text("15.00")
    save(page, tmp_path, "record")


def test_the_result_is_downloaded_and_verified(page: Page, run_id: str, tmp_path: Path) -> None:
    page.goto(f"/runs/{run_id}?set=unmatched_left")
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("XLSX")).first.click()
    download.value.save_as(tmp_path / "left.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "left.xlsx").active
    assert sheet.max_row == 1 + 8
    assert "INV-2026-0003" in {cell.value for row in sheet.iter_rows() for cell in row}
    page.get_by_role("button", name="Verify").click()
    expect(page.locator("main")).to_contain_text("The evidence is what its manifest says.")


def test_a_recipe_is_made_without_sql(page: Page, kalla: Served) -> None:
    page.goto("/recipes/new")
    for label, alias in (("left", "invoices_csv"), ("right", "payments_csv")):
        page.locator(f"select[name={label}]").select_option(alias)
    page.get_by_role("button", name="Show the records").click()
    page.get_by_label("At most apart").fill("0.02")
    page.get_by_label("Name", exact=True).fill("Made by hand")
    page.get_by_role("button", name="Save and run").click()
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    run = kalla.ended(page.url.rsplit("/", 1)[1].split("?")[0])
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (7, 8, 8)


def test_the_keyboard_is_enough(page: Page, run_id: str) -> None:
    page.goto(f"/runs/{run_id}?set=unmatched_left")
    page.keyboard.press("Tab")
    assert "skip" in page.evaluate("document.activeElement.className + document.activeElement.textContent").lower()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(f"/runs/{run_id}/unmatched_left/[0-9]+"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_can_be_read(
    chrome: Browser, kalla: Served, run_id: str, faults: Faults, scheme: str, width: int
) -> None:
    context = chrome.new_context(base_url=kalla.url, color_scheme=scheme, viewport={"width": width, "height": 800})  # type: ignore[arg-type]
    found = context.new_page()
    faults.watch(found, kalla.url)
    for path in [*PAGES, f"/runs/{run_id}", f"/runs/{run_id}/unmatched_left/3", "/api/docs"]:
        found.goto(path)
        found.wait_for_load_state("networkidle")
        assert not unreadable(found), path
        assert path == "/api/docs" or not too_wide(found), path
        assert found.locator("h1").count() == 1, path
        save(found, Path(), f"{scheme}-{width}-{path.strip('/').replace('/', '-') or 'dashboard'}")
    context.close()
    assert not faults.found


def test_reading_needs_no_script_and_little_data(chrome: Browser, kalla: Served, run_id: str) -> None:
    context = chrome.new_context(base_url=kalla.url, java_script_enabled=False)
    found = context.new_page()
    for path in [*PAGES, f"/runs/{run_id}", f"/runs/{run_id}/unmatched_left/3"]:
        assert (answer := found.goto(path)) is not None and answer.status == 200, path
    expect(found.locator("main")).to_contain_text("INV-2026-0003")
    context.close()
    fresh = chrome.new_context(base_url=kalla.url)
    page, sizes = fresh.new_page(), []
    page.on("response", lambda answer: sizes.append(len(answer.body())))
    page.goto("/")
    page.wait_for_load_state("networkidle")
    fresh.close()
    assert 0 < sum(sizes) < 100_000
