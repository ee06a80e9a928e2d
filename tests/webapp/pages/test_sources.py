"""The forms of sources: saved, refused beside the field, tested, deleted after a question."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import openpyxl
import pytest

from tests.connectors.postgres_database import READER, SECRET, Database
from tests.webapp.pages.conftest import Browser, Page, a_recipe
from webapp.context import Kalla
from webapp.pages.sources import default_alias

pytest_plugins = ("tests.connectors.postgres_fixtures",)


def fault(page: Page, name: str) -> str:
    """What a form says beside a field."""
    assert any(name in e.attributes.get("aria-describedby", "") for e in page.elements)
    return "".join(e.text for e in page.all("span", id=f"{name}-fault")).strip()


def typed(page: Page, name: str) -> str:
    return page.all("input", name=name)[0].attributes["value"]


def test_a_source_is_registered(browser: Browser, parts: Kalla, files: Path) -> None:
    uri = str(files / "invoices.csv")
    onward = browser.post("/sources", {"alias": "invoices", "source_type": "csv", "uri": uri})
    page = browser.open(onward)
    assert "The source is registered." in page.text
    record = parts.sources.get("invoices")
    assert record is not None
    assert (record.uri, record.source_type) == (uri, "csv")


def test_what_was_typed_stays_and_the_fault_is_beside_it(browser: Browser, parts: Kalla) -> None:
    page = browser.post("/sources", {"alias": "my invoices", "source_type": "csv", "uri": "/etc/passwd.csv"}, 400)
    assert "letters, digits" in fault(page, "alias")
    assert typed(page, "alias") == "my invoices"
    assert typed(page, "uri") == "/etc/passwd.csv"
    page = browser.post("/sources", {"alias": "x", "source_type": "csv", "uri": "/etc/passwd.csv"}, 400)
    assert "not below a folder" in fault(page, "uri")
    page = browser.post("/sources", {"alias": "x", "source_type": "postgres", "uri": "postgres://h/db"}, 400)
    assert "table" in fault(page, "uri")
    page = browser.post("/sources", {}, 400)
    assert [fault(page, name) for name in ("alias", "source_type", "uri")] == ["This is needed."] * 3
    assert parts.sources.count() == 0


def test_a_new_source_does_not_replace_another(browser: Browser, stored: dict[str, Any], parts: Kalla) -> None:
    values = {"alias": "invoices", "source_type": "csv", "uri": stored["sources"]["right"]["uri"]}
    page = browser.post("/sources", values, 400)
    assert "already" in fault(page, "alias")
    browser.post("/sources", values | {"editing": "invoices"})
    assert parts.sources.get("invoices").uri == stored["sources"]["right"]["uri"]  # type: ignore[union-attr]


def test_a_stored_password_is_never_shown_and_can_stay(browser: Browser, parts: Kalla) -> None:
    parts.sources.put("ledger", "postgres://kalla:geheim@localhost:5432/books?table=a", "postgres")
    for path in ("/sources", "/sources/ledger", "/sources/ledger/edit", "/sources/ledger/delete"):
        assert "geheim" not in browser.open(path).html
    masked = typed(browser.open("/sources/ledger/edit"), "uri")
    assert masked == "postgres://kalla:***@localhost:5432/books?table=a"
    changed = masked.replace("table=a", "table=b")
    browser.post("/sources", {"alias": "ledger", "source_type": "postgres", "uri": changed, "editing": "ledger"})
    assert parts.sources.get("ledger").uri == "postgres://kalla:geheim@localhost:5432/books?table=b"  # type: ignore[union-attr]


def test_a_typed_password_does_not_come_back_and_need_not_be_typed_again(browser: Browser, parts: Kalla) -> None:
    uri = "postgres://kalla:geheim@localhost:5432/books?table=a"
    values = {"alias": "two words", "source_type": "postgres", "uri": uri}
    page = browser.post("/sources", values, 400)
    assert fault(page, "alias")
    assert "geheim" not in page.html
    again = {"alias": "ledger", "source_type": "postgres", "uri": typed(page, "uri"), "kept": typed(page, "kept")}
    assert again["uri"] == uri.replace("geheim", "***")
    elsewhere = again | {"uri": again["uri"].replace("localhost", "evil.example")}
    assert "masked" in fault(browser.post("/sources", elsewhere, 400), "uri")
    assert "masked" in fault(browser.post("/sources", again | {"kept": "kalla:sealed:1:forged"}, 400), "uri")
    browser.post("/sources", again)
    assert parts.sources.get("ledger").uri == uri  # type: ignore[union-attr]


def test_a_source_is_tested(browser: Browser, stored: dict[str, Any], files: Path) -> None:
    assert "It can be reached" in browser.post("/sources/invoices/test", status=200).text
    (files / "invoices.csv").unlink()
    page = browser.post("/sources/invoices/test", status=200)
    assert "It could not be reached" in page.text
    assert "Could not be reached" in page.text


def test_an_address_is_tested_before_it_is_saved(browser: Browser, parts: Kalla, files: Path) -> None:
    values = {"alias": "x", "source_type": "csv", "uri": str(files / "invoices.csv"), "action": "test"}
    page = browser.post("/sources", values, 200)
    assert "It can be reached" in page.text
    assert typed(page, "uri") == values["uri"]
    assert "could not be reached" in browser.post("/sources", values | {"uri": str(files / "no.csv")}, 200).text
    assert "not below a folder" in fault(browser.post("/sources", values | {"uri": "/etc/a.csv"}, 400), "uri")
    assert parts.sources.count() == 0


def test_what_is_there_is_listed_and_picked(browser: Browser, parts: Kalla, files: Path) -> None:
    values = {"alias": "x", "source_type": "csv", "uri": f"{files}/", "action": "list"}
    page = browser.post("/sources", values, 200)
    assert "invoices.csv" in page.text and "payments.csv" in page.text
    found = re.findall(r'name="pick" value="([^"]+)"', page.html)
    (pick,) = [uri for uri in found if uri.endswith("/invoices.csv")]
    picked = browser.post("/sources", values | {"pick": pick}, 200)
    assert (typed(picked, "uri"), typed(picked, "alias")) == (pick, "x")
    assert "This is needed" in fault(browser.post("/sources", {"action": "list", "source_type": "csv"}, 400), "uri")
    assert "not below a folder" in fault(browser.post("/sources", values | {"uri": "/etc/"}, 400), "uri")
    assert parts.sources.count() == 0


def test_a_password_stays_with_what_is_picked(browser: Browser, parts: Kalla, database: Database) -> None:
    database.run(f"CREATE TABLE ledger (id int); GRANT SELECT ON ledger TO {READER}")
    place = database.uri("", reader=True).partition("?")[0]
    values = {"alias": "ledger", "source_type": "postgres", "uri": place, "action": "list"}
    page = browser.post("/sources", values, 200)
    shown = html.unescape(page.html)
    assert SECRET not in shown and quote(SECRET, safe="") not in shown
    (pick,) = [html.unescape(p) for p in re.findall(r'name="pick" value="([^"]+)"', page.html) if "ledger" in p]
    given = {"alias": "ledger", "source_type": "postgres", "uri": typed(page, "uri"), "kept": typed(page, "kept")}
    page = browser.post("/sources", given | {"pick": pick}, 200)
    assert typed(page, "uri") == pick and "***" in pick
    browser.post("/sources", given | {"uri": pick, "kept": typed(page, "kept")})
    assert parts.sources.get("ledger").uri.startswith(place)  # type: ignore[union-attr]
    elsewhere = given | {"pick": pick.replace("@", "@evil.example:1/x@", 1)}
    assert SECRET not in browser.post("/sources", elsewhere, 200).html


def test_rows_and_key(browser: Browser, stored: dict[str, Any], files: Path) -> None:
    rows = browser.open("/sources/payments/rows")
    assert "4 of 4 rows shown" in rows.text
    assert "P-3" in rows.text
    assert "empty" in rows.text
    assert "tells all rows apart" in browser.open("/sources/payments/key").text
    (files / "payments.csv").unlink()
    page = browser.open("/sources/payments/rows", 404)
    assert "Try again" in page.text


def test_deleting_asks_first(browser: Browser, parts: Kalla, stored: dict[str, Any]) -> None:
    question = browser.open("/sources/invoices/delete")
    assert "Delete invoices?" in question.text
    assert parts.sources.get("invoices") is not None
    page = browser.open(browser.post("/sources/invoices/delete"))
    assert "The source is deleted" in page.text
    assert parts.sources.get("invoices") is None


def test_a_source_in_use_stays(browser: Browser, parts: Kalla, stored: dict[str, Any], files: Path) -> None:
    recipe = a_recipe(files)
    del recipe["sources"]["left"]["uri"]
    parts.recipes.put(recipe)
    assert "invoices-payments" in browser.open("/sources/invoices").text
    page = browser.post("/sources/invoices/delete", status=409)
    assert "is used by recipe" in page.text
    assert parts.sources.get("invoices") is not None


def test_an_upload_becomes_a_source(browser: Browser, parts: Kalla) -> None:
    file = (io.BytesIO(b"Betrag;Nr\n1,50;a\n"), "Umsätze März.csv")
    page = browser.open(browser.post("/sources/upload", {"file": file}))
    assert "uploaded and registered" in page.text
    (source,) = parts.sources.list()
    assert source.alias.startswith("csv_Umsätze-März_")
    assert "Betrag" in browser.open(f"/sources/{source.alias}/rows").text


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (None, "Choose a file."),
        ((b"", "a.csv"), "is empty"),
        ((b"a,b\n1\n", "a.csv"), "line"),
        ((b"x", "a.exe"), ".csv"),
    ],
)
def test_uploads_that_cannot_be_used(browser: Browser, parts: Kalla, file: Any, words: str) -> None:
    values = {} if file is None else {"file": (io.BytesIO(file[0]), file[1])}
    page = browser.post("/sources/upload", values, 400)
    assert words in fault(page, "file")
    assert parts.sources.count() == 0


def test_a_workbook_becomes_a_source_by_its_sheet(browser: Browser, parts: Kalla) -> None:
    book = openpyxl.Workbook()
    book.active.append(["ref", "net"])
    book.active.append(["007", 18.9])
    book.create_sheet("Notes").append(["x"])
    out = io.BytesIO()
    book.save(out)
    page = browser.post("/sources/upload", {"file": (io.BytesIO(out.getvalue()), "Ledger.xlsx")}, 400)
    assert "several sheets: 'Sheet', 'Notes'" in fault(page, "file")
    assert parts.sources.count() == 0
    file = (io.BytesIO(out.getvalue()), "Ledger.xlsx")
    page = browser.open(browser.post("/sources/upload", {"file": file, "file_sheet": "Sheet"}))
    assert "uploaded and registered" in page.text
    (source,) = parts.sources.list()
    assert "18.9" in browser.open(f"/sources/{source.alias}/rows").text


def test_a_sheet_in_a_new_recipe_has_its_numbers_as_they_are_stored(browser: Browser, parts: Kalla) -> None:
    """Also where most of its texts have a comma."""
    book = openpyxl.Workbook()
    for row in [["ref", "net", "note"], ["007", 1.234, "1.100,50"], ["008", 2.5, "1.200,50"]]:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    browser.post("/sources/upload", {"file": (io.BytesIO(out.getvalue()), "Ledger.xlsx")})
    (source,) = parts.sources.list()
    page = browser.open(f"/recipes/new?left={source.alias}&right={source.alias}")
    shown = re.search(r'<select id="left_numbers".*?value="([^"]*)" selected', page.html, re.S)
    assert shown and shown[1] == "1250.00"


@pytest.mark.parametrize(
    ("uri", "alias"),
    [("s3://b/s/u/bank.csv", "bank"), ("s3://b/s/u/Bank 2026 (1).CSV", "Bank-2026-1"), ("s3://b/s/u/---.csv", "file")],
)
def test_names_from_files(uri: str, alias: str) -> None:
    assert default_alias(uri) == alias
