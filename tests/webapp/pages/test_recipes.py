"""Recipes: made by the form, run, checked, edited as a document, deleted after a question."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.webapp.conftest import FakeDispatcher
from tests.webapp.pages.conftest import PAYMENTS, Browser, Inserted, Page, a_recipe
from tests.webapp.pages.test_sources import fault
from webapp.context import Kalla
from webapp.services.recipes import slug


def filled(page: Page) -> dict[str, str]:
    """What a browser would send of a page's main form: hidden and text fields, choices."""
    values = {
        e.attributes["name"]: e.attributes.get("value", "")
        for e in page.all("input")
        if e.attributes.get("type") not in ("checkbox", "file") and e.attributes.get("name") != "csrf_token"
    }
    for name, body in re.findall(r'<select id="(\w+)".*?>(.*?)</select>', page.html, re.S):
        chosen = re.search(r'value="([^"]*)" selected', body)
        values[name] = unescape(chosen[1]) if chosen else ""
    return values


# --- the form -------------------------------------------------------------------------------------------


def test_both_sources_show_their_rows_and_what_they_suggest(browser: Browser, stored: dict[str, Any]) -> None:
    onward = browser.post("/recipes/new/sources", {"left": "invoices", "right": "payments"})
    page = browser.open(onward)
    assert "left: invoices, 4 records, 4 columns" in page.text.lower()
    values = filled(page)
    assert (values["key_0_left"], values["key_0_right"]) == ("invoice", "reference")
    assert (values["amount_left"], values["amount_right"]) == ("amount", "paid")
    assert (values["left_key_0"], values["right_key_0"]) == ("invoice", "payment")


def test_a_choice_that_is_missing(browser: Browser, stored: dict[str, Any]) -> None:
    page = browser.post("/recipes/new/sources", {"left": "", "right": "upload:"}, 400)
    assert fault(page, "left") == "Choose a source."
    assert "Choose a file" in fault(page, "right_file")


def test_the_rule_in_words_before_anything_is_saved(browser: Browser, parts: Kalla, stored: dict[str, Any]) -> None:
    values = filled(browser.open("/recipes/new?left=invoices&right=payments"))
    values |= {"tolerance": "0.01", "date_left": "due", "date_right": "booked", "days": "5", "key_0_loose": "yes"}
    page = browser.post("/recipes/new", values | {"action": "check"}, 200)
    assert "invoice equals reference by letters and digits alone" in page.text
    assert "amount and paid are at most 0.01 apart" in page.text
    assert "due and booked are within 5 days of each other" in page.text
    assert "normalize_ref(l.invoice) = normalize_ref(r.reference)" in page.text
    assert filled(page) | {"key_0_loose": "yes", "action": "check"} == values | {"action": "check"}
    assert page.all("input", name="key_0_loose", checked="")
    assert parts.recipes.count() == 1


def test_saved(browser: Browser, parts: Kalla, stored: dict[str, Any]) -> None:
    values = filled(browser.open("/recipes/new?left=invoices&right=payments"))
    onward = browser.post("/recipes/new", values | {"action": "save", "name": "Rechnungen & Zahlungen"})
    assert "The recipe is saved." in browser.open(onward).text
    document = parts.recipes.get("rechnungen-zahlungen").document  # type: ignore[union-attr]
    assert document["sources"]["left"] == {
        "alias": "invoices",
        "type": "csv",
        "primary_key": ["invoice"],
        "format": {"decimal": ".", "thousands": "", "date_order": "ymd", "ragged": "error"},
    } | {name: value for name, value in document["sources"]["left"].items() if name == "format"}
    assert document["match_description"].startswith("Two records belong together when invoice equals reference")


def test_conditions_are_kept_in_the_recipe(browser: Browser, parts: Kalla, stored: dict[str, Any]) -> None:
    values = filled(browser.open("/recipes/new?left=invoices&right=payments")) | {"action": "save", "name": "Filtered"}
    values |= {"left_filter_0_column": "due", "left_filter_0_op": "gte"}
    page = browser.post("/recipes/new", values, 400)
    assert "column and a value" in "".join(e.text for e in page.all("span", id="left_filter_0-fault"))
    browser.post("/recipes/new", values | {"left_filter_0_value": "2026-01-06"})
    left = parts.recipes.get("filtered").document["sources"]["left"]  # type: ignore[union-attr]
    assert left["filters"] == [{"column": "due", "op": "gte", "value": "2026-01-06"}]
    assert "due is at least 2026-01-06" in browser.open("/recipes/filtered").text


def test_saved_and_run(browser: Browser, dispatcher: FakeDispatcher, stored: dict[str, Any]) -> None:
    values = filled(browser.open("/recipes/new?left=invoices&right=payments"))
    onward = browser.post("/recipes/new", values | {"action": "save_run", "name": "First"})
    assert onward.startswith("/runs/")
    (job,) = dispatcher.jobs
    assert "tolerance_match(l.amount, r.paid, 0.00)" in job["match_sql"]
    browser.open(onward)


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        ({"key_0_right": ""}, "key_0", "both sides"),
        ({"key_0_left": "", "key_0_right": ""}, "key_0", "at least one pair"),
        ({"tolerance": "-1"}, "tolerance", "at least 0"),
        ({"date_left": "due", "date_right": "booked", "days": "1.5"}, "days", "whole number"),
        ({"date_left": "due"}, "date", "both sides"),
        ({"left_key_0": ""}, "left_key_0", "at least one column"),
        ({"name": ""}, "name", "name"),
        ({"recipe_id": "invoices-payments"}, "recipe_id", "already"),
        ({"recipe_id": "-x"}, "recipe_id", "letters"),
        ({"name": "漢字"}, "recipe_id", "letters and digits"),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    browser: Browser, parts: Kalla, stored: dict[str, Any], changes: dict[str, str], name: str, words: str
) -> None:
    values = filled(browser.open("/recipes/new?left=invoices&right=payments"))
    values |= {"name": "Something", "action": "save"} | changes
    page = browser.post("/recipes/new", values, 400)
    assert words in "".join(e.text for e in page.all("span", id=f"{name}-fault"))
    kept = filled(page)
    assert {field: kept[field] for field in changes if field != "recipe_id"} == {
        f: v for f, v in changes.items() if f != "recipe_id"
    }
    assert parts.recipes.count() == 1


def test_a_file_for_each_run(
    browser: Browser, parts: Kalla, dispatcher: FakeDispatcher, stored: dict[str, Any]
) -> None:
    file = (io.BytesIO(PAYMENTS.encode()), "bank january.csv")
    onward = browser.post("/recipes/new/sources", {"left": "invoices", "right": "upload:", "right_file": file})
    values = filled(browser.open(onward))
    run = browser.post("/recipes/new", values | {"action": "save_run", "name": "Monthly"})
    assert run.startswith("/runs/")
    source = parts.recipes.get("monthly").document["sources"]["right"]  # type: ignore[union-attr]
    assert (source["type"], source["alias"]) == ("file", "bank-january")
    assert source["schema"] == ["payment", "reference", "paid", "booked"]
    assert "uri" not in source
    assert len(dispatcher.jobs) == 1
    # the next run asks for its own file
    page = browser.post("/recipes/monthly/runs", status=400)
    assert "Choose the bank-january file" in fault(page, "right_file")
    wrong = (io.BytesIO(b"payment,reference\n1,2\n"), "other.csv")
    page = browser.post("/recipes/monthly/runs", {"right_file": wrong}, 400)
    assert "paid" in page.text
    right = (io.BytesIO(PAYMENTS.encode()), "february.csv")
    assert browser.post("/recipes/monthly/runs", {"right_file": right}).startswith("/runs/")


def test_a_source_that_cannot_be_read_is_told_beside_it(browser: Browser, stored: dict[str, Any], files: Path) -> None:
    (files / "payments.csv").unlink()
    page = browser.open("/recipes/new?left=invoices&right=payments")
    assert "payments.csv" in page.text
    assert [e for e in page.elements if e.attributes.get("role") == "alert"]


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Invoices against payments", "invoices-against-payments"),
        ("Über 7 %", "uber-7"),
        ("№", "no"),
        ("漢字", ""),
        ("--a--", "a"),
    ],
)
def test_ids_from_names(name: str, made: str) -> None:
    assert slug(name) == made


# --- a stored recipe ------------------------------------------------------------------------------------


def test_plain_words_first(browser: Browser, stored: dict[str, Any]) -> None:
    page = browser.open("/recipes/invoices-payments")
    words = page.text.index("Same number, amounts at most one cent apart.")
    assert words < page.text.index("left invoice equals right reference") < page.text.index("SELECT")
    assert [e for e in page.all("pre") if "details" in e.inside and "SELECT" in e.text]


def test_run_with_other_records(
    browser: Browser, dispatcher: FakeDispatcher, stored: dict[str, Any], files: Path
) -> None:
    other = files / "february.csv"
    other.write_text((files / "invoices.csv").read_text(encoding="utf-8"), encoding="utf-8")
    browser.post(
        "/recipes/invoices-payments/runs",
        {
            "left_uri": str(other),
            "right_filter_0_column": "booked", "right_filter_0_op": "between", "right_filter_0_value": "2026-01-01; 2026-01-31",
            "right_filter_1_column": "payment", "right_filter_1_op": "in", "right_filter_1_value": "P-1; P-2",
        },
    )  # fmt: skip
    left, right = dispatcher.jobs[0]["sources"]
    assert "february.csv" in left["uri"]
    assert right["filters"] == [
        {"column": "booked", "op": "between", "value": ["2026-01-01", "2026-01-31"]},
        {"column": "payment", "op": "in", "value": ["P-1", "P-2"]},
    ]


@pytest.mark.parametrize(
    ("values", "name", "words"),
    [
        ({"left_uri": "/etc/passwd.csv"}, "left_uri", "not below a folder"),
        ({"left_filter_0_column": "x", "left_filter_0_op": "eq"}, "left_filter_0", "column and a value"),
        (
            {"left_filter_1_column": "x", "left_filter_1_op": "between", "left_filter_1_value": "1"},
            "left_filter_1",
            "semicolon",
        ),
    ],
)
def test_a_run_that_cannot_start(
    browser: Browser, dispatcher: FakeDispatcher, stored: dict[str, Any], values: dict[str, str], name: str, words: str
) -> None:
    page = browser.post("/recipes/invoices-payments/runs", values, 400)
    assert words in fault(page, name)
    for field, value in values.items():
        if not field.endswith("_op"):
            assert page.all("input", name=field)[0].attributes["value"] == value
    assert dispatcher.jobs == []


def test_a_runner_out_of_reach_is_told(browser: Browser, dispatcher: FakeDispatcher, stored: dict[str, Any]) -> None:
    from webapp.errors import ServiceError

    dispatcher.error = ServiceError("The runner does not answer.", code="runner.unreachable", hint="Start it.")
    page = browser.post("/recipes/invoices-payments/runs", status=502)
    assert "The runner does not answer. Start it." in page.text


def test_check(browser: Browser, stored: dict[str, Any], files: Path) -> None:
    assert "The recipe fits its sources." in browser.post("/recipes/invoices-payments/check", status=200).text
    (files / "payments.csv").write_text("payment,ref,paid,booked\n", encoding="utf-8")
    page = browser.post("/recipes/invoices-payments/check", status=200)
    assert "does not fit" in page.text
    assert "reference" in page.text


def test_edit_as_a_document(browser: Browser, parts: Kalla, stored: dict[str, Any]) -> None:
    text = browser.open("/recipes/invoices-payments/edit").all("textarea")[0].text
    document = json.loads(text) | {"name": "Another name"}
    browser.post("/recipes/invoices-payments/edit", {"document": json.dumps(document)})
    assert parts.recipes.get("invoices-payments").document["name"] == "Another name"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[:-5], "not valid JSON"),
        (lambda text: text.replace('"invoices-payments"', '"other"'), "must stay"),
        (lambda text: text.replace("left_src", "left_table"), "left_table"),
        (lambda text: "[1]", "must stay"),
    ],
)
def test_a_document_that_cannot_be_saved(
    browser: Browser, parts: Kalla, stored: dict[str, Any], change: Any, words: str
) -> None:
    before = parts.recipes.get("invoices-payments")
    text = change(browser.open("/recipes/invoices-payments/edit").all("textarea")[0].text.strip()).strip()
    page = browser.post("/recipes/invoices-payments/edit", {"document": text}, 400)
    assert words in page.text
    assert page.all("textarea")[0].text.strip() == text
    assert parts.recipes.get("invoices-payments") == before


def test_deleting_asks_first_and_names_what_stays(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    insert_run()
    question = browser.open("/recipes/invoices-payments/delete")
    assert "Its 1 run and their evidence stay" in question.text
    assert "The recipe is deleted." in browser.open(browser.post("/recipes/invoices-payments/delete")).text
    assert parts.recipes.count() == 0
    assert parts.runs.count() == 1


def test_many_recipes_come_by_page(browser: Browser, parts: Kalla, files: Path) -> None:
    for number in range(55):
        parts.recipes.put(a_recipe(files, recipe_id=f"r-{number}", name=f"Recipe {number}"))
    page = browser.open("/recipes")
    assert "1 to 50 of 55 recipes" in page.text
    after = page.all("a", rel="next")[0].attributes["href"]
    assert "51 to 55 of 55 recipes" in browser.open(after).text
