"""Runs: the list with its filters, progress, the result, its evidence by page, one record beside its candidate."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webapp.conftest import FakeDispatcher
from tests.webapp.pages.conftest import SCRIPT, Browser, Inserted
from webapp.context import Kalla
from webapp.pages.card import pieces


def test_filters_of_the_list(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    first, second = insert_run(), insert_run(recipe_id="other", name="Another one")
    parts.runs.cancel(second)
    page = browser.open("/runs?status=cancelled")
    assert [e.attributes["href"] for e in page.all("a", data_open="")] == [f"/runs/{second}"]
    page = browser.open("/runs?recipe_id=invoices-payments")
    assert [e.attributes["href"] for e in page.all("a", data_open="")] == [f"/runs/{first}"]
    assert page.all("option", value="invoices-payments", selected="")
    assert "No run fits these filters" in browser.open("/runs?status=failed").text


def test_the_list_refreshes_only_while_a_run_is_open(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    assert "data-live" in browser.open("/runs").all("section", id="live")[0].attributes
    parts.runs.cancel(run_id)
    assert "data-live" not in browser.open("/runs").all("section", id="live")[0].attributes


def test_progress(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    page = browser.open(f"/runs/{run_id}")
    assert "Waiting to be sent" in page.text
    assert page.all("div", id="live", data_live=f"/api/runs/{run_id}/events")
    parts.runs.mark_submitted(run_id)
    parts.runs.record_progress(run_id, "matching", progress=0.75, matched_count=3000, total_left=5000)
    page = browser.open(f"/runs/{run_id}")
    assert "Matching records" in page.text
    assert "75.0 %" in page.text
    assert "Pairs so far 3,000" in page.text.replace("\n", " ")
    assert page.all("progress", value="0.75")


def test_a_run_that_waits_for_the_cluster_says_so(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    parts.runs.mark_submitted(run_id)
    parts.runs.record_progress(run_id, "staging", progress=0.0, waiting=True)
    page = browser.open(f"/runs/{run_id}")
    assert "Waiting for free slots in the cluster" in page.text and "Reading the sources" not in page.text
    parts.runs.record_progress(run_id, "staging", progress=0.1)
    page = browser.open(f"/runs/{run_id}")
    assert "Waiting for free slots" not in page.text and "Reading the sources" in page.text


def test_cancel(browser: Browser, parts: Kalla, dispatcher: FakeDispatcher, insert_run: Inserted) -> None:
    run_id = insert_run()
    page = browser.open(browser.post(f"/runs/{run_id}/cancel"))
    assert "The run is cancelled." in page.text
    assert dispatcher.cancelled == [run_id]
    page = browser.post(f"/runs/{run_id}/cancel", status=409)
    assert "has already ended" in page.text


def test_run_again(browser: Browser, parts: Kalla, dispatcher: FakeDispatcher, insert_run: Inserted) -> None:
    run_id = insert_run()
    assert "still open" in browser.post(f"/runs/{run_id}/again", status=409).text
    parts.runs.fail(run_id, "It broke.")
    onward = browser.post(f"/runs/{run_id}/again")
    assert len(dispatcher.jobs) == 1
    assert browser.open(onward).all("a", href=f"/runs/{run_id}")


def test_a_failed_run_says_why_and_what_to_do(browser: Browser, parts: Kalla, insert_run: Inserted) -> None:
    run_id = insert_run()
    parts.runs.fail(run_id, "The table fin.ledger was not found.", "staging")
    page = browser.open(f"/runs/{run_id}")
    assert "The table fin.ledger was not found." in page.text
    assert "It stopped while reading the sources." in page.text
    assert "run it again" in page.text
    assert page.all("form", action=f"/runs/{run_id}/again")


def test_the_equation_comes_first(browser: Browser, completed: str) -> None:
    text = browser.open(f"/runs/{completed}").text
    places = [
        text.index(words)
        for words in ("50.0 %", "Read", "9,859.99", "Fewer than 80 %", "Why records are unmatched", "Evidence")
    ]
    assert places == sorted(places)
    assert "Left invoices records 4 = 2 + 2 50.0 % 0" in text
    assert "amount 9,859.99 = 1,349.99 + 8,510.00 13.7 % 0.00" in text
    assert "Right payments records 4 = 2 + 2 50.0 % 0" in text


def test_reasons_lead_to_their_rows(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}")
    link = next(e for e in page.all("a") if e.text == "A condition fails with every record it could match")
    rows = browser.open(link.attributes["href"].partition("#")[0])
    assert "1 to 1 of 1 records" in rows.text
    assert "I-3" in rows.text
    assert rows.all("option", value="predicate", selected="")


def cells(browser: Browser, path: str, label: str) -> list[str]:
    page = browser.open(path)
    return [e.text.strip() for e in page.elements if e.tag == "td" and e.attributes.get("data-label") == label]


def test_sort_search_and_set_are_in_the_url(browser: Browser, completed: str) -> None:
    base = f"/runs/{completed}?set=unmatched_left"
    assert cells(browser, f"{base}&sort=amount", "invoice") == ["I-4", "I-3"]
    assert cells(browser, f"{base}&sort=amount&order=desc", "invoice") == ["I-3", "I-4"]
    assert cells(browser, f"{base}&q=onerror", "invoice") == ["I-3"]
    assert cells(browser, f"/runs/{completed}?set=matched", "invoice") == ["I-1", "I-2"]
    page = browser.open(f"{base}&sort=amount&q=I-&reason=no_key")
    head = page.all("th", aria_sort="ascending")
    assert [" ".join(e.text.split()) for e in head] == ["amount ▲"]
    link = next(e for e in page.all("a") if e.attributes.get("title") == "Sort by amount").attributes["href"]
    assert all(part in link for part in ("set=unmatched_left", "order=desc", "q=I-", "reason=no_key"))


def test_amounts_are_grouped_and_texts_stay(browser: Browser, completed: str) -> None:
    page = f"/runs/{completed}?set=unmatched_left"
    assert cells(browser, page, "amount") == ["8,500.00", "10.00"]
    assert cells(browser, page, "note")[1] == "=1+1"
    assert cells(browser, page, "What failed")[0] == "left amount and right paid are at most 0.01 apart"
    assert cells(browser, page, "Apart") == ["15.00", "–"]


@pytest.mark.parametrize(
    "query", ["?sort=nothing", "?order=up", "?reason=nothing", "?set=matched&reason=no_key", "?q=" + "x" * 300]
)
def test_questions_that_make_no_sense_are_told_in_place(browser: Browser, completed: str, query: str) -> None:
    page = browser.open(f"/runs/{completed}{query}")
    assert [e for e in page.elements if e.attributes.get("role") == "alert"]
    assert "Left invoices records 4" in page.text


def test_damaged_evidence_leaves_the_counts(browser: Browser, parts: Kalla, completed: str) -> None:
    folder = parts.settings.staging_path / "results" / "runs" / completed
    (folder / "manifest.json").unlink()
    page = browser.open(f"/runs/{completed}")
    assert "Left invoices records 4 = 2 + 2" in page.text
    assert [e for e in page.elements if e.attributes.get("role") == "alert"]
    assert str(folder) not in page.html


def test_downloads(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}?set=matched")
    links = {e.text: e.attributes["href"] for e in page.all("a", download="")}
    assert list(links) == ["XLSX", "CSV", "Parquet", "Manifest"]
    for words, start in (("CSV", b"\xef\xbb\xbf"), ("Parquet", b"PAR1"), ("XLSX", b"PK"), ("Manifest", b"{")):
        with browser.client.get(links[words]) as response:
            assert response.status_code == 200
            assert response.data.startswith(start)


def test_verify(browser: Browser, parts: Kalla, completed: str) -> None:
    page = browser.post(f"/runs/{completed}/verify", status=200)
    assert page.all("div", role="status")
    assert "sizes and SHA-256" in page.text
    part = next((parts.settings.staging_path / "results" / "runs" / completed / "matched").iterdir())
    part.write_bytes(part.read_bytes()[:-1])
    page = browser.post(f"/runs/{completed}/verify", status=200)
    assert "The evidence is not what its manifest says." in page.text


def test_a_record_beside_its_candidate(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}/unmatched_left/3")
    assert page.all("h1")[0].text == "I-3"
    assert "The nearest candidate is P-3, 15.00 apart." in page.text
    assert "fails left amount and right paid are at most 0.01 apart: 15.00 apart" in page.text
    assert "holds left invoice equals right reference" in page.text
    assert [e.text.strip() for e in page.all("mark")] == ["500", "485"]
    other = browser.open(f"/runs/{completed}/unmatched_right/3")
    assert other.all("h1")[0].text == "P-3"


def test_a_record_without_a_candidate(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}/unmatched_right/4")
    assert "A part of the key is empty." in page.text
    assert page.all("mark") == []
    browser.open(f"/runs/{completed}/unmatched_left/1", 404)
    browser.open(f"/runs/{completed}/matched/1", 404)


def test_an_open_run_has_no_records(browser: Browser, insert_run: Inserted) -> None:
    page = browser.open(f"/runs/{insert_run()}/unmatched_left/1", 409)
    assert "once it is completed" in page.text


def test_hostile_cells_show_as_they_are(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}?set=unmatched_left&q=onerror")
    assert "onerror=alert(2)" in page.text
    assert SCRIPT not in page.html


@pytest.mark.parametrize(
    ("text", "marks", "cut"),
    [
        ("8500.00", [[2, 4]], [("85", False), ("00", True), (".00", False)]),
        ("abc", [], [("abc", False)]),
        ("abc", [[0, 3]], [("abc", True)]),
        ("abcd", [[0, 1], [3, 4]], [("a", True), ("bc", False), ("d", True)]),
        ("", [], []),
    ],
)
def test_pieces(text: str, marks: list[list[int]], cut: Any) -> None:
    assert pieces(text, marks) == cut
