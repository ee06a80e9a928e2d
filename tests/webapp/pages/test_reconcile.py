"""The page of a conversation as HTML: every card open and answered, hostile texts, panels, questions, forms."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from tests.webapp.pages import conversations as made
from tests.webapp.pages.conftest import Browser, Page
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.pages import reconcile

YES = ("confirm", "Yes, these belong together")


@pytest.fixture
def drawn(app: Flask) -> Any:
    """``drawn(document)``: the page of a session document, taken apart and found sound."""

    def draw(document: dict[str, Any], fault: reconcile.Fault | None = None) -> Page:
        with app.test_request_context(f"/reconcile/{document['session_id']}"):
            page = Page(reconcile.conversation_page(document, fault))
        assert page.faults == []
        assert not [e for e in page.elements if "style" in e.attributes or "onclick" in e.attributes]
        assert not page.all("img") and len(page.all("script")) == 3
        assert len(ids := [e.attributes["id"] for e in page.elements if e.attributes.get("id")]) == len(set(ids))
        return page

    return draw


def buttons(page: Page) -> list[str]:
    found = [e for e in page.all("button") if "form" in e.inside and "article" in e.inside]
    return [" ".join(e.text.split()) for e in found if "disabled" not in e.attributes]


def test_a_pair_stands_field_against_field(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.match(2))))
    assert buttons(page) == ["Yes, these belong together", "No, these do not match", "Not sure"]
    for text in ("Pair 2 of 3", "found inside", "0.01", "2 days", "<script>alert(1)</script>", "stands inside"):
        assert text in page.text, text
    (form,) = page.all("form", data_card_form="")
    assert form.attributes["action"] == f"/reconcile/{made.SESSION}/cards/match-2"
    assert page.all("label", for_="match-2-reason")


def test_an_answered_pair_is_folded_with_its_verdict(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.match(1, YES)), made.user(YES[1])))
    assert buttons(page) == []
    (summary,) = [e for e in page.all("summary") if "Pair 1" in e.text]
    assert YES[1] in summary.text


def test_a_rule_says_itself_in_words_first(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.rule()), phase="inference"))
    assert buttons(page) == ["Use this tolerance", "Approve the rule", "Send the change"]
    text = page.text
    assert text.index("“reference” stands inside") < text.index("1,180") < text.index("Not decided by this rule")
    options = [e.text for e in page.all("option")]
    assert options[2] == "0.02 EUR: 1,180 matched, 95.2 %"
    (drawing,) = page.all("svg", class_="curve")
    assert drawing.attributes["aria-label"].startswith("From 0 EUR to 1.00 EUR")
    (sql,) = page.all("pre")
    assert "details" in sql.inside and sql.text == made.SQL


def test_a_rule_that_was_changed_has_no_slider(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.rule(("adjust", "Change the rule: 0.05"))), phase="inference"))
    assert buttons(page) == [] and not page.all("select")


def test_the_result_of_a_sample(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.result()), phase="validation"))
    assert buttons(page) == ["Approve and run on all records", "Send the change"]
    text = page.text
    assert text.index("91.0 %") < text.index("No record on the other side has this key") < text.index("no such key")
    assert "Unmatched left: 2 of 18 records" in text
    assert "The sample is 200 of 1,240 left and 200 of 1,198 right records." in text


def test_a_rate_of_the_database_is_exact(drawn: Any) -> None:
    assert "82.0 %" in drawn(made.document(made.agent(made.result(match_rate=Decimal("0.82"))))).text


def test_the_final_result_links_to_its_run(drawn: Any, completed: str, parts: Kalla) -> None:
    from webapp.services import runs

    run = runs.get_run(parts, completed)
    final = made.card("result_summary", run | {"sample": False}, prefix="result")
    progress = made.card("progress", {"run_id": completed, "status": "submitted"})
    page = drawn(made.document(made.agent(progress, final), phase="execution", status="completed", run_id=completed))
    assert page.all("a", href=f"/runs/{completed}", class_="button primary")
    for text in ("9,859.99", "Completed", "A condition fails with every record it could match"):
        assert text in page.text, text
    assert buttons(page) == []


def test_progress_is_followed_and_can_be_cancelled(drawn: Any, insert_run: Any, parts: Kalla) -> None:
    run_id = insert_run()
    parts.runs.mark_submitted(run_id)
    parts.runs.record_progress(run_id, "matching", progress=0.5)
    progress = made.card("progress", {"run_id": run_id, "status": "submitted"})
    page = drawn(made.document(made.agent(progress), phase="execution", status="running", run_id=run_id))
    (card,) = page.all("article", id="progress-1")
    assert card.attributes["data-live"] == f"/api/runs/{run_id}/events"
    assert "Matching records" in page.text and "50.0 %" in page.text
    assert "Cancel the run" in buttons(page)
    assert page.all("meta", http_equiv="refresh")


def test_a_run_that_has_ended_is_followed_until_its_end_was_told(drawn: Any, completed: str) -> None:
    """A page without scripts that was loaded between the two would stay as it is."""
    progress = made.card("progress", {"run_id": completed, "status": "submitted"})
    running = {"phase": "execution", "run_id": completed}
    assert drawn(made.document(made.agent(progress), status="running", **running)).all("meta", http_equiv="refresh")
    told = drawn(made.document(made.agent(progress), status="completed", **running))
    assert not told.all("meta", http_equiv="refresh")


def test_a_run_that_is_gone(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.card("progress", {"run_id": "x", "status": "running"}))))
    assert "This run is no longer there." in page.text


def test_small_cards(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.upload(), made.confirm(), made.select())))
    assert buttons(page) == ["Upload", "Yes", "No", "Source 0 CSV file", "Source 1 CSV file"]
    assert page.all("form", enctype="multipart/form-data", data_card="upload-1")
    many = drawn(made.document(made.agent(made.select(multiple=True, options=9))))
    assert len(many.all("input", type="checkbox", name="choice")) == 9


def test_a_sample_says_how_many_there_are(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.sample())))
    assert "12 of 1,240 records shown" in page.text
    assert [e.attributes.get("class") for e in page.all("th")][1] == "number"


def test_what_the_agent_writes_is_text(drawn: Any) -> None:
    page = drawn(made.document(made.agent(made.text("**Both** files:\n- <b>bank</b>\n- [x](http://evil)"))))
    assert "Both" in [e.text for e in page.all("strong")]
    assert "<b>bank</b>" in page.text and "[x](http://evil)" in page.text


def test_the_guided_mode_says_that_nothing_leaves(drawn: Any) -> None:
    page = drawn(made.document())
    assert "What leaves this machine Nothing." in page.text
    assert not page.all("form", data_privacy="")


def test_with_a_model_each_personal_column_can_be_shown(drawn: Any) -> None:
    sides = {"left": made.side("bank", 5), "right": made.side("ledger", 5, masked=[])}
    page = drawn(made.document(made.user("hello"), driver="claude", sides=sides))
    shows = [e.attributes["value"] for e in page.all("button", name="show")]
    assert shows == ["yes", "no"]
    assert page.all("a", href=f"/reconcile/{made.SESSION}/sent")


def test_an_interrupted_turn_can_go_on(drawn: Any) -> None:
    page = drawn(made.document(made.user("hello"), turn="interrupted"))
    assert page.all("form", action=f"/reconcile/{made.SESSION}/resume")
    working = drawn(made.document(made.user("hello"), turn="working"))
    assert working.all("meta", http_equiv="refresh") and "working on your last message" in working.text


def test_what_went_wrong_stands_where_it_was_caused(drawn: Any) -> None:
    error = ServiceError("This card has been answered.", code="chat.card_answered", hint="Load the page again.")
    document = made.document(made.agent(made.match(1)))
    at_card = drawn(document, reconcile.Fault(error, "match-1"))
    (place,) = at_card.all("div", data_card_fault="")
    assert "has been answered. Load the page again." in " ".join(place.text.split())
    below = drawn(document, reconcile.Fault(error, message="typed words"))
    (place,) = below.all("div", data_composer_fault="")
    assert "has been answered" in place.text
    assert below.all("textarea", id="message")[0].text == "typed words"


def test_hostile_names_stay_text(drawn: Any) -> None:
    hostile = '"><script>alert(1)</script>'
    sides = {"left": made.side(hostile, 5, personal=[hostile], masked=[]), "right": None}
    page = drawn(made.document(made.user(hostile, hostile), title=hostile, sides=sides, driver="claude"))
    assert hostile in page.all("h1")[0].text


# --- the routes ------------------------------------------------------------------------------------------


def test_the_first_page(browser: Browser) -> None:
    page = browser.open("/reconcile")
    assert page.faults == []
    assert [e.text for e in page.all("a", aria_current="page")] == ["New Reconciliation"]
    assert page.all("form", action="/reconcile/say", enctype="multipart/form-data")
    assert page.all("a", href="/recipes/new")


def test_an_unknown_conversation(browser: Browser) -> None:
    for path in ("/reconcile/none", f"/reconcile/{made.SESSION}", f"/reconcile/{made.SESSION}/delete"):
        assert "This conversation was not found." in browser.open(path, 404).text
