"""The conversation led by a model, in a browser: the real SDK against a Messages API of the tests."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.messages_api import Call, Fail, Hang, MessagesApi, Say, messages_api
from tests.webapp.served.browsing import too_wide, unreadable
from tests.webapp.served.serving import Served, served, until
from tests.webapp.served.statements import Truth, write_statements
from tests.webapp.served.talking import SECONDS, Talk

APP = ("webapp.serve", "app")
KEY = "sk-ant-secret-of-the-tests"
SQL = (
    'SELECT l."Umsatz", r."Rechnung", l."Betrag", r."Offen" FROM left_src l JOIN right_src r '
    'ON regex_extract(l."Verwendungszweck", \'RE-[0-9]{4}-[0-9]+\') = r."Rechnung" '
    'AND tolerance_match(l."Betrag", r."Offen", 0.02)'
)


@pytest.fixture(scope="module")
def model() -> Iterator[MessagesApi]:
    with messages_api() as found:
        yield found


@pytest.fixture(scope="module")
def kalla(tmp_path_factory: pytest.TempPathFactory, model: MessagesApi) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("modelled"), **environment(model)) as found:
        yield found


def environment(model: MessagesApi) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": model.url}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return write_statements(tmp_path_factory.mktemp("statements"), pairs=120)


def references(truth: Truth) -> list[tuple[str, str]]:
    """Three pairs by the keys of both sides."""
    with truth.bank.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    found = [(row["Umsatz"], re.search(r"RE-\d+-\d+", row["Verwendungszweck"])) for row in rows]
    return [(number, match[0]) for number, match in found if match][:3]


def proposal(pair: tuple[str, str]) -> list[Say]:
    call = Call(
        "propose_match",
        {
            "left_row": {"Umsatz": pair[0]},
            "right_row": {"Rechnung": pair[1]},
            "reasoning": f"**{pair[1]}** stands in the remittance text.",
        },
    )
    return [Say("", [call]), Say("Do these two belong together?")]


def looks() -> list[Say]:
    """The answer to both files, up to the first pair."""
    both = [Call("get_source_preview", {"alias": a, "side": s}) for a, s in (("bank", "left"), ("ledger", "right"))]
    return [Say("I look at **both** files.", both)]


def built() -> list[Say]:
    infer = Call(
        "infer_rules", {"left_columns": ["Verwendungszweck", "Betrag"], "right_columns": ["Rechnung", "Offen"]}
    )
    build = Call(
        "build_recipe",
        {
            "name": "Bank against ledger",
            "match_sql": SQL,
            "match_description": "The invoice number stands in the remittance text, amounts at most 0.02 apart.",
            "left_pk": ["Umsatz"],
            "right_pk": ["Rechnung"],
        },
    )
    return [Say("", [infer]), Say("This is what your pairs have in common.", [build]), Say("Is this the rule?")]


def test_the_model_leads_from_two_files_to_a_result(
    page: Page, kalla: Served, model: MessagesApi, truth: Truth
) -> None:
    talk, pairs = Talk(page), references(truth)
    model.script += looks() + proposal(pairs[0])
    talk.begin(truth.bank, truth.ledger, words="The bank against the open items, please")
    talk.waits("match_proposal")
    expect(page.locator("#about")).to_contain_text("go to the language model")
    talk.shoot("model-pair")
    for number, answers in ((1, proposal(pairs[1])), (2, proposal(pairs[2])), (3, built())):
        model.script += answers
        talk.judge(number)
        talk.no_sql()
    talk.waits("rule_summary")
    expect(page.locator("#transcript")).to_contain_text("This is what your pairs have in common.")
    save, tried = Call("save_recipe"), [Call("validate_recipe"), Call("run_sample")]
    model.script += [Say("", [save]), Say("", tried), Say("On the sample nearly everything is matched.")]
    talk.approve("rule_summary")
    talk.waits("result_summary")
    model.script += [Say("", [Call("run_full")]), Say("It runs."), Say("All payments with a number are matched.")]
    talk.approve("result_summary")
    final = talk.result()
    talk.no_sql()
    expect(page.locator("#transcript")).to_contain_text("All payments with a number are matched.")
    assert not unreadable(page) and not too_wide(page)
    final.get_by_role("link", name="Open the run").click()
    page.wait_for_url(re.compile("/runs/"))
    run = kalla.run(page.url.rsplit("/", 1)[1])
    assert (run["matched_count"], run["unmatched_left_count"]) == (truth.pairs, truth.bank_only)
    assert not model.script


def test_words_appear_while_they_are_written(page: Page, model: MessagesApi) -> None:
    talk = Talk(page)
    model.script += [Say("These words come one after the other, and slowly so that it is seen.", pause=0.2)]
    talk.begin(words="Hello")
    expect(page.locator("[data-pending] .streamed").last).to_contain_text("These words")
    expect(page.locator("[data-pending]")).not_to_contain_text("it is seen")
    expect(page.locator("#transcript")).to_contain_text("so that it is seen.")
    expect(page.locator("[data-pending] li")).to_have_count(0)


def test_a_turn_can_be_stopped(page: Page, model: MessagesApi) -> None:
    talk = Talk(page)
    model.script += [Say("word " * 200, pause=0.2)]
    talk.begin(words="Tell me everything")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#transcript")).to_have_attribute("data-turn", "idle")
    expect(page.locator("[data-pending] li")).to_have_count(0, timeout=15_000)


def test_a_failure_of_the_model_is_told_and_can_be_tried_again(page: Page, model: MessagesApi) -> None:
    talk = Talk(page)
    model.script += [Fail(401, "authentication_error")]
    talk.begin(words="Hello")
    expect(page.locator("#transcript .agent").last).to_contain_text(re.compile("key|model", re.I))
    model.script += [Say("Now it works.")]
    talk.say("Again")
    expect(page.locator("#transcript")).to_contain_text("Now it works.")


def test_what_is_sent_can_be_seen_and_columns_shown_or_masked(page: Page, model: MessagesApi, truth: Truth) -> None:
    talk, pairs = Talk(page), references(truth)
    model.script += looks() + proposal(pairs[0])
    talk.begin(truth.bank, truth.ledger)
    talk.waits("match_proposal")
    columns = page.locator(".masks li", has_text="Kunde")
    expect(columns).to_contain_text("masked")
    page.get_by_role("link", name="See what was sent").click()
    sent = page.locator("dialog[open]")
    expect(sent).to_contain_text("Verwendungszweck")
    assert "Jürgens" not in sent.inner_text() and KEY not in page.content()
    page.keyboard.press("Escape")
    columns.get_by_role("button", name=re.compile("^Show")).click()
    expect(columns).to_contain_text("shown")
    expect(columns.get_by_role("button", name=re.compile("^Mask"))).to_be_focused()
    page.reload()
    expect(page.locator(".masks li", has_text="Kunde")).to_contain_text("shown")


def test_a_killed_app_goes_on_by_itself(chrome: Browser, model: MessagesApi, truth: Truth, tmp_path: Path) -> None:
    pairs = references(truth)
    context = chrome.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    asked = len(model.requests)
    with served(tmp_path, **environment(model)) as found:
        model.script += [Hang(60)]
        page.goto(f"{found.url}/reconcile")
        page.locator("#message").fill("The bank against the open items")
        page.keyboard.press("Enter")
        until(lambda: len(model.requests), lambda number: number > asked, 60)
        page.wait_for_url(re.compile("/reconcile/[0-9a-f-]{36}"))
        address = page.url
        model.script[:] = [Say("I am back where we were.")]
        assert found.kill(*APP)  # its supervisor starts it again
        until(lambda: found.call("GET", "/health")[0], lambda status: status == 200)
        page.goto(address)
        expect(page.locator("#transcript")).to_contain_text("I am back where we were.")
        expect(page.locator(".message.user")).to_have_count(1)
        expect(page.locator("#transcript")).to_have_attribute("data-turn", "idle")
        model.script += looks() + proposal(pairs[0])
        page.locator("#files").set_input_files([truth.bank, truth.ledger])
        page.get_by_role("button", name="Send").click()
        Talk(page).waits("match_proposal")
    context.close()
