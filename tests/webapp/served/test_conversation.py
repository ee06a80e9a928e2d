"""A person talks with the guided mode in a browser: from two messy files to an understood result, without SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.webapp.served.browsing import Faults, too_wide, unreadable
from tests.webapp.served.serving import Served, served
from tests.webapp.served.statements import Truth, write_statements
from tests.webapp.served.talking import SECONDS, Talk


@pytest.fixture(scope="module")
def kalla(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("talked")) as found:
        yield found


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return write_statements(tmp_path_factory.mktemp("statements"))


def to_the_rule(talk: Talk, truth: Truth) -> None:
    """Both files, and three pairs confirmed."""
    talk.begin(truth.bank, truth.ledger)
    for number in (1, 2, 3):
        talk.judge(number)
    talk.waits("rule_summary")


def test_two_bank_files_become_an_understood_result(page: Page, truth: Truth, kalla: Served) -> None:
    talk = Talk(page)
    talk.count_clicks()
    talk.begin(truth.bank, truth.ledger)
    for number in (1, 2, 3):
        talk.waits("match_proposal")
        talk.no_sql()
        talk.shoot(f"talk-pair-{number}")
        talk.judge(number)
    talk.waits("rule_summary")
    talk.no_sql()
    talk.shoot("talk-rule")
    talk.loosen()
    talk.approve("rule_summary")
    talk.waits("result_summary")
    talk.no_sql()
    talk.shoot("talk-sample")
    talk.approve("result_summary")
    final = talk.result()
    talk.no_sql()
    talk.shoot("talk-result")
    talk.shoot("talk-whole", whole=True)
    for text in ("matched", "unmatched", "ledger"):
        expect(final).to_contain_text(re.compile(text, re.I))
    final.get_by_role("link", name="Open the run").click()
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    assert talk.clicks < 15
    run = kalla.run(page.url.rsplit("/", 1)[1])
    assert (run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"]) == (
        truth.pairs,
        truth.bank_only,
        truth.ledger_only,
    )


def test_a_reload_in_the_middle_loses_nothing(page: Page, truth: Truth) -> None:
    talk = Talk(page)
    with page.expect_response("**/api/chat"):
        talk.begin(truth.bank, truth.ledger)
    page.reload()
    with page.expect_response("**/api/chat"):  # a click that has not reached the app is not an answer yet
        talk.judge(1)
    page.reload()
    talk.judge(2, "No,")
    talk.waits("match_proposal")
    page.reload()
    expect(page.locator(".message.user")).to_have_count(3)
    expect(page.locator(".past")).to_have_count(2)
    expect(page.locator("#about")).to_contain_text("1 confirmed, 1 rejected")


def test_files_are_dropped_anywhere(page: Page, truth: Truth) -> None:
    page.goto("/reconcile")
    texts = [[path.name, path.read_text(encoding="utf-8")] for path in (truth.bank, truth.ledger)]
    page.evaluate(
        """(files) => {
          const data = new DataTransfer();
          for (const [name, text] of files) data.items.add(new File([text], name));
          const place = document.querySelector("#about");
          for (const kind of ["dragenter", "dragover", "drop"])
            place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        texts,
    )
    chips = page.locator("[data-attachments] li")
    expect(chips).to_have_count(2)
    expect(chips.first).to_contain_text("312 records, 5 columns")
    expect(chips.last).to_contain_text("312 records, 4 columns")
    page.keyboard.press("Enter")
    Talk(page).waits("match_proposal")


def test_a_file_that_cannot_be_read_says_so_beside_it(page: Page, faults: Faults) -> None:
    page.goto("/reconcile")
    files = [{"name": "broken.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,2,3\n"}]
    page.locator("#files").set_input_files(files)  # type: ignore[arg-type]
    chip = page.locator("[data-attachments] li")
    expect(chip.locator(".bad")).to_contain_text("broken.csv")
    expect(chip.get_by_role("button", name="Try again broken.csv")).to_be_visible()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-composer-fault]")).to_contain_text("broken.csv cannot be sent")
    chip.get_by_role("button", name="Take away broken.csv").click()
    expect(chip).to_have_count(0)
    page.reload()  # asks nothing: there is no file any more
    faults.found = [fault for fault in faults.found if "confirm" not in fault and "400" not in fault]


def test_the_keyboard_is_enough(page: Page, truth: Truth) -> None:
    talk = Talk(page)
    page.goto("/reconcile")
    page.locator("#files").set_input_files([truth.bank, truth.ledger])
    page.locator("#message").focus()
    page.keyboard.type("Both files")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("please")
    page.keyboard.press("Enter")
    card = talk.waits("match_proposal")
    expect(page.locator(".message.user").first).to_contain_text("Both files")
    expect(page.locator("#message")).to_be_focused()
    card.get_by_role("textbox").fill("a reason")
    page.keyboard.press("Enter")  # answers nothing: which of the three would it be?
    expect(card).to_be_visible()
    card.focus()
    for key, verdict in (("y", "Yes, these belong together"), ("u", "Not sure"), ("n", "No, these do not match")):
        expect(page.locator("[data-open-card][data-card-type=match_proposal]")).to_be_focused()
        page.keyboard.press(key)
        expect(page.locator(".past", has_text=verdict)).to_have_count(1)
    expect(page.locator("[data-open-card]").last).to_be_focused()


def test_new_messages_are_said_once(page: Page, truth: Truth) -> None:
    page.add_init_script(
        """window.said = [];
        addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
          const words = document.querySelector("[data-announce]").textContent;
          if (words) window.said.push(words);
        }).observe(document.querySelector("[data-announce]"), { childList: true, characterData: true, subtree: true }));"""
    )
    talk = Talk(page)
    talk.begin(truth.bank, truth.ledger)
    talk.waits("match_proposal")
    said = page.evaluate("window.said")
    assert sum("do these two records belong together" in words for words in said) == 1, said
    assert "Kalla is working." in said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_step_fits_and_can_be_read(
    chrome: Browser, kalla: Served, truth: Truth, faults: Faults, scheme: str, width: int
) -> None:
    context = chrome.new_context(base_url=kalla.url, color_scheme=scheme, viewport={"width": width, "height": 844})  # type: ignore[arg-type]
    found = context.new_page()
    found.set_default_timeout(SECONDS)
    faults.watch(found, kalla.url)
    talk = Talk(found)

    def seen(name: str) -> None:
        assert not unreadable(found), name
        assert not too_wide(found), name
        assert found.locator("h1").count() == 1, name
        talk.shoot(f"{scheme}-{width}-{name}", whole=True)

    found.goto("/reconcile")
    seen("start")
    to_the_rule(talk, truth)
    seen("rule")
    talk.approve("rule_summary")
    talk.waits("result_summary")
    for fold in found.locator("main details").all():
        fold.evaluate("(part) => part.open = true")
    seen("sample")
    talk.approve("result_summary")
    talk.result()
    seen("result")
    context.close()
    assert not faults.found


def test_without_javascript_it_works_with_plain_forms(chrome: Browser, kalla: Served, truth: Truth) -> None:
    context = chrome.new_context(base_url=kalla.url, java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(SECONDS)
    page.goto("/reconcile")
    page.locator("#files").set_input_files([truth.bank, truth.ledger])
    page.get_by_role("button", name="Send").click()
    talk = Talk(page)
    for number in (1, 2, 3):
        talk.judge(number)
    card = talk.waits("rule_summary")
    card.locator("select[name=tolerance]").select_option(index=1)
    card.get_by_role("button", name="Use this tolerance").click()
    talk.approve("rule_summary")
    talk.approve("result_summary")
    talk.result()
    context.close()


def test_a_conversation_is_listed_reset_and_deleted_after_a_question(page: Page, truth: Truth) -> None:
    talk = Talk(page)
    talk.begin(truth.bank, truth.ledger)
    talk.judge(1)
    talk.waits("match_proposal")
    address = page.url
    page.get_by_role("link", name="Start over").click()
    question = page.locator("dialog[open]")
    expect(question).to_contain_text("are forgotten")
    question.get_by_role("button", name="Start over").click()
    expect(page.locator("#about")).to_contain_text("not chosen yet")
    expect(page.locator("#phases")).to_have_attribute("data-phase", "greeting")
    page.goto("/reconcile")
    here = page.locator(".sessions li").first
    here.get_by_role("link").first.click()
    expect(page).to_have_url(re.compile(re.escape(address.partition("#")[0])))
    page.locator(".sessions .here").get_by_role("link", name=re.compile("^Delete")).click()
    page.locator("dialog[open]").get_by_role("button", name="Delete the conversation").click()
    expect(page.locator("main")).to_contain_text("The conversation is deleted.")


def test_little_data_for_the_first_page(chrome: Browser, kalla: Served) -> None:
    context = chrome.new_context(base_url=kalla.url)
    page, sizes = context.new_page(), []
    page.on("response", lambda answer: sizes.append(len(answer.body())))
    page.goto("/reconcile")
    page.wait_for_load_state("networkidle")
    context.close()
    assert 0 < sum(sizes) < 100_000
