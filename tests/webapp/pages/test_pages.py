"""Every page: it answers, it is sound HTML, it is operable by name, and nothing from a source comes alive in it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import TOKEN
from tests.webapp.pages.conftest import BREAKOUT, SCRIPT, Browser, Inserted, Page, a_recipe
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.pages.frame import NAVIGATION

STATIC = Path(__file__).parents[3] / "webapp" / "pages" / "static"
EMPTY = ["/", "/sources", "/sources/new", "/recipes", "/recipes/new", "/runs", "/runs?status=failed&recipe_id=x"]
STORED = [
    "/sources/invoices",
    "/sources/invoices/rows",
    "/sources/invoices/key",
    "/sources/invoices/edit",
    "/sources/invoices/delete",
    "/recipes/new?left=invoices&right=payments",
    "/recipes/invoices-payments",
    "/recipes/invoices-payments/edit",
    "/recipes/invoices-payments/delete",
]
FINISHED = [
    "",
    "?set=matched",
    "?set=unmatched_right&reason=null_key",
    "?q=nothing",
    "/unmatched_left/3",
    "/unmatched_right/4",
]
WORDS_OF_MACHINES = ("payload", "worker", "null", "boolean", "regex", "None", "undefined")


def check(page: Page, path: str = "") -> None:
    """What must hold of every page."""
    assert page.html.startswith("<!doctype html>")
    assert page.faults == []
    ids = Counter(e.attributes["id"] for e in page.elements if "id" in e.attributes)
    assert [name for name, number in ids.items() if number > 1] == []
    assert len(page.all("h1")) == 1
    assert len(page.all("main")) == 1
    assert page.all("html", lang="en")
    assert page.all("a", href="#main", class_="skip")
    for element in page.elements:
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"], element
        for name in ("aria-describedby", "for", "aria-labelledby"):
            for target in element.attributes.get(name, "").split():
                assert target in ids, f"{name}={target} points nowhere"
    labelled = {e.attributes.get("for") for e in page.all("label")}
    for element in [*page.all("input"), *page.all("select"), *page.all("textarea")]:
        if element.attributes.get("type") in ("hidden", "submit"):
            continue
        named = (
            element.attributes.get("id") in labelled or "aria-label" in element.attributes or "label" in element.inside
        )
        assert named, element
    for element in [*page.all("button"), *page.all("a")]:
        assert element.text.strip() or "aria-label" in element.attributes, element
    for element in [*page.all("script"), *page.all("link"), *page.all("img")]:
        assert element.attributes.get("src", element.attributes.get("href", "")).startswith("/assets/")
    seen = page.text.lower().split()
    assert [word for word in WORDS_OF_MACHINES if word in seen] == []


@pytest.mark.parametrize("path", EMPTY)
def test_an_empty_app(browser: Browser, path: str) -> None:
    check(browser.open(path))


@pytest.mark.parametrize("path", EMPTY + STORED)
def test_with_something_stored(browser: Browser, stored: dict[str, Any], insert_run: Inserted, path: str) -> None:
    insert_run()
    check(browser.open(path))


@pytest.mark.parametrize("path", FINISHED)
def test_a_finished_run(browser: Browser, completed: str, path: str) -> None:
    page = browser.open(f"/runs/{completed}{path}")
    check(page)
    assert SCRIPT not in page.html
    assert BREAKOUT not in page.html


def test_lists_of_an_empty_app_say_what_will_be_there(browser: Browser) -> None:
    for path in ("/", "/sources", "/recipes", "/runs"):
        page = browser.open(path)
        box = [e for e in page.elements if e.attributes.get("class") == "empty"]
        assert box, path
        assert [e for e in page.all("a") if "div" in e.inside and "primary" in e.attributes.get("class", "")]


def test_the_navigation(browser: Browser) -> None:
    page = browser.open("/recipes/new")
    links = [e for e in page.all("a") if "nav" in e.inside]
    assert [e.text for e in links] == [words for _, words, _ in NAVIGATION]
    assert [e.text for e in page.all("a", aria_current="page")] == ["New Reconciliation"]
    for link in links:
        browser.open(link.attributes["href"])


def test_every_link_leads_somewhere(browser: Browser, completed: str) -> None:
    seen: set[str] = set()
    waiting = ["/", f"/runs/{completed}"]
    while waiting:
        path = waiting.pop().partition("#")[0]
        kind = re.sub(r"(sort|offset)=[^&]*", r"\1", path)  # one column's sorting stands for all
        if kind in seen or not path.startswith("/"):
            continue
        seen.add(kind)
        with browser.client.get(path) as response:
            assert response.status_code == 200, path
            if response.mimetype == "text/html":
                waiting += [e.attributes["href"] for e in Page(response.text).all("a")]
    assert len(seen) > 20


def test_every_form_has_a_token_and_a_target(app: Flask, browser: Browser, completed: str) -> None:
    adapter = app.url_map.bind("localhost")
    for path in (*EMPTY, *STORED, f"/runs/{completed}"):
        page = browser.open(path)
        posts = page.all("form", method="post")
        assert len(page.all("input", name="csrf_token")) == len(posts)
        for form in posts:
            adapter.match(form.attributes["action"].partition("#")[0], method="POST")


def test_forms_without_the_token_are_refused(client: FlaskClient, stored: dict[str, Any]) -> None:
    for path in (
        "/sources",
        "/sources/invoices/delete",
        "/recipes/invoices-payments/delete",
        "/recipes/invoices-payments/runs",
    ):
        assert client.post(path, data={"alias": "x"}).status_code == 403
        assert client.get(path).status_code != 303
    assert client.get("/sources/invoices").status_code == 200


def test_the_first_load_is_small(browser: Browser, completed: str) -> None:
    page = browser.open(f"/runs/{completed}")
    files = sum(path.stat().st_size for path in STATIC.iterdir())
    assert files + len(page.html.encode()) < 100_000


def test_assets_change_their_address_with_their_content(browser: Browser) -> None:
    page = browser.open("/")
    sheet = page.all("link", rel="stylesheet")[0].attributes["href"]
    assert "?v=" in sheet
    with browser.client.get(sheet) as response:
        assert (response.status_code, response.mimetype) == (200, "text/css")


def test_pages_that_are_not_there(browser: Browser, stored: dict[str, Any]) -> None:
    for path in (
        "/nothing",
        "/sources/none",
        "/recipes/none",
        "/runs/none",
        "/runs/none/unmatched_left/1",
        "/sources/none/rows",
    ):
        page = browser.open(path, 404)
        check(page)
        assert "not found" in page.text.lower() or "nothing at" in page.text.lower()


def test_an_unforeseen_fault_is_a_page(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("postgres://user:secret@host")

    monkeypatch.setattr("webapp.services.runs.list_runs", fail)
    page = browser.open("/runs", 500)
    check(page)
    assert "secret" not in page.html


def test_the_login_page(guarded: FlaskClient) -> None:
    response = guarded.get("/runs?status=failed")
    assert response.status_code == 303
    page = Page(guarded.get(response.headers["Location"]).text)
    check(page)
    token = page.all("input", name="csrf_token")[0].attributes["value"]
    following = page.all("input", name="next")[0].attributes["value"]
    wrong = guarded.post("/login", data={"csrf_token": token, "token": "no", "next": following})
    assert wrong.status_code == 401
    check(Page(wrong.text))
    right = guarded.post("/login", data={"csrf_token": token, "token": TOKEN, "next": following})
    assert (right.status_code, right.headers["Location"]) == (303, "/runs?status=failed")
    page = Page(guarded.get("/").text)
    check(page)
    assert page.all("form", action="/logout")
    guarded.post("/logout", data={"csrf_token": page.all("input", name="csrf_token")[0].attributes["value"]})
    assert guarded.get("/").status_code == 303


@pytest.mark.parametrize("text", [SCRIPT, BREAKOUT, "{{ 7*7 }}", "%00\u202e"])
def test_hostile_names_are_inert(browser: Browser, parts: Kalla, files: Path, insert_run: Inserted, text: str) -> None:
    recipe = a_recipe(files, recipe_id="hostile", name=text, description=text, match_description=text)
    recipe["sources"]["left"]["primary_key"] = [text]
    parts.recipes.put(recipe)
    run_id = insert_run(recipe_id="hostile", name=text, match_description=text)
    failed = insert_run(recipe_id="hostile", name=text)
    parts.runs.mark_submitted(failed)
    parts.runs.fail(failed, text)
    for path in (
        "/",
        "/recipes",
        "/recipes/hostile",
        "/recipes/hostile/edit",
        "/recipes/hostile/delete",
        "/runs",
        f"/runs/{run_id}",
        f"/runs/{failed}",
    ):
        page = browser.open(path)
        check(page)
        assert SCRIPT not in page.html
        assert BREAKOUT not in page.html
        assert len(page.all("script")) == 2
        assert page.all("img") == []


def test_hostile_columns_and_rows_are_inert(browser: Browser, parts: Kalla, files: Path) -> None:
    quoted = BREAKOUT.replace('"', '""')
    (files / "hostile.csv").write_text(f'id,"{quoted}",{SCRIPT}\n1,"{quoted}",{SCRIPT}\n', encoding="utf-8")
    parts.sources.put("hostile", str(files / "hostile.csv"), "csv")
    for path in ("/sources/hostile/rows", "/recipes/new?left=hostile&right=hostile", "/sources/hostile/key"):
        page = browser.open(path)
        check(page)
        assert len(page.all("script")) == 2
        assert page.all("img") == []


def test_hostile_queries_are_inert(browser: Browser, completed: str) -> None:
    for query in (f"q={SCRIPT}", f"set={SCRIPT}", f"q={BREAKOUT}", f"done={SCRIPT}"):
        page = browser.open(f"/runs/{completed}?{query}")
        check(page)
        assert len(page.all("script")) == 2
    for path in (f"/runs?recipe_id={BREAKOUT}", f"/sources/new?alias={BREAKOUT}&uri={SCRIPT}"):
        check(browser.open(path))
    check(browser.open(f"/recipes/new?left={SCRIPT}&right=x", 404))


@pytest.mark.parametrize(
    "query",
    ["_scheme=javascript", "_external=1&_scheme=javascript", "endpoint=x", "_method=PUT", "_anchor=x", "self=1"],
)
def test_queries_cannot_turn_links(browser: Browser, insert_run: Inserted, completed: str, query: str) -> None:
    for path in (f"/runs?offset=1&{query}", f"/recipes?offset=1&{query}", f"/runs/{completed}?offset=1&{query}"):
        page = browser.open(path)
        check(page)
        links = [link.attributes["href"] for link in page.all("a")]
        assert all(link.startswith(("/", "#")) and not link.startswith("//") for link in links), links
    other = browser.open(f"/runs/{completed}?run_id=another&sort=_row")
    assert not [link for link in other.all("a") if link.attributes["href"].startswith("/runs/another")]


@pytest.mark.parametrize("path", ["/%5Cevil.example", "/%09/evil.example/x", "///evil.example/x", "/%2F/evil.example"])
def test_the_error_page_leads_to_this_app_only(browser: Browser, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    page = browser.open(path, 404)
    check(page)
    assert not [link for link in page.all("a") if "evil" in link.attributes["href"]]  # trying again finds it no more

    def away(*_: object, **__: object) -> None:
        raise ServiceError("The app database does not answer.", code="database.unavailable")

    monkeypatch.setattr("webapp.web.authentication.check_access", away)
    page = browser.open(path, 503)
    check(page)
    again = next(link.attributes["href"] for link in page.all("a") if "evil" in link.attributes["href"])
    assert again[0] == "/" and again[1] not in "/\\\t"
