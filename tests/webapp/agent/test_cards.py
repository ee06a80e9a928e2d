"""Cards: each reply, checked against the stored card, and what it does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.webapp.agent.talking import (
    LEDGER,
    Talk,
    build,
    call,
    calls,
    card,
    propose,
    same_reference,
    with_draft,
    with_files,
    with_pairs,
)
from webapp.agent import cards
from webapp.agent.driver import Step
from webapp.agent.entries import CardReply
from webapp.agent.session import Session
from webapp.errors import ServiceError

PREFIXES = {
    "select": {"select"},
    "confirm": {"confirm"},
    "sample_table": {"sample"},
    "match_proposal": {"match"},
    "rule_summary": {"rules"},
    "progress": {"progress"},
    "result_summary": {"validation", "result"},
    "upload_request": {"upload"},
}


def session_with(card_type: str, data: dict[str, Any] | None = None, prefix: str | None = None) -> tuple[Session, dict]:
    session = Session("00000000-0000-4000-8000-000000000000")
    made = cards.make(card_type, data or {}, prefix)
    session.messages.append({"role": "agent", "segments": [made], "timestamp": "2026-01-01T00:00:00Z"})
    return session, made


def refused(session: Session, given: object) -> str:
    with pytest.raises(ServiceError) as caught:
        cards.check_reply(session, given)
    return caught.value.code


def test_types_and_prefixes_are_the_contracts():
    assert {name: set(kind.prefixes) for name, kind in cards.KINDS.items()} == PREFIXES


@pytest.mark.parametrize(
    ("card_type", "actions"),
    [
        ("confirm", {"confirm", "cancel"}),
        ("match_proposal", {"confirm", "reject", "unsure"}),
        ("rule_summary", {"approve", "adjust"}),
        ("result_summary", {"approve", "adjust"}),
        ("sample_table", set()),
        ("progress", set()),
    ],
)
def test_each_card_takes_its_own_answers_only(card_type: str, actions: set[str]):
    every = {"confirm", "cancel", "reject", "unsure", "approve", "adjust", "select", "uploaded", "delete", ""}
    for action in every:
        session, made = session_with(card_type)
        given = {"card_id": made["card_id"], "action": action, "value": "why"}
        if action in actions:
            assert cards.check_reply(session, given).action == action
        else:
            assert refused(session, given) == "chat.invalid_action"


def test_the_final_result_takes_no_answer():
    session, made = session_with("result_summary", prefix="result")
    assert refused(session, {"card_id": made["card_id"], "action": "approve"}) == "chat.invalid_action"


@pytest.mark.parametrize("given", [None, [], "x", {}, {"card_id": 1, "action": "confirm"}])
def test_a_reply_without_form_is_refused(given: object):
    session, _ = session_with("confirm")
    assert refused(session, given) == "request.invalid_body"


def test_an_unknown_card_is_refused():
    session, _ = session_with("confirm")
    assert refused(session, {"card_id": "confirm-nothing", "action": "confirm"}) == "chat.unknown_card"


@pytest.mark.parametrize("value", [1, [], {"reason": 1}, {"other": "x"}, "x" * 2001])
def test_a_reason_is_a_short_text(value: object):
    session, made = session_with("match_proposal")
    assert refused(session, {"card_id": made["card_id"], "action": "reject", "value": value}) == "chat.invalid_action"


@pytest.mark.parametrize("value", [None, "", {}, {"tolerance": 0.05}, {"speed": "1"}, 7])
def test_an_adjustment_says_what_to_change(value: object):
    session, made = session_with("rule_summary")
    assert refused(session, {"card_id": made["card_id"], "action": "adjust", "value": value}) == "chat.invalid_action"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("two cents", "Change the rule: two cents"),
        ({"tolerance": "0.02"}, "Change the rule: allow a difference of 0.02"),
        ({"tolerance": "0.02", "text": "please"}, "Change the rule: allow a difference of 0.02; please"),
    ],
)
def test_an_adjustment_in_words(value: object, words: str):
    session, made = session_with("rule_summary")
    reply = cards.check_reply(session, {"card_id": made["card_id"], "action": "adjust", "value": value})
    assert (reply.words, reply.value) == (words, value)


def test_a_choice_is_one_of_the_options():
    options = [{"value": "a", "label": "A bank", "hint": ""}, {"value": "b", "label": "B", "hint": ""}]
    session, made = session_with("select", {"title": "?", "options": options, "multiple": False})
    for wrong in ("c", ["a", "b"], 1, [], None):
        assert (
            refused(session, {"card_id": made["card_id"], "action": "select", "value": wrong}) == "chat.invalid_action"
        )
    assert cards.check_reply(session, {"card_id": made["card_id"], "action": "select", "value": "a"}).words == "A bank"
    session, made = session_with("select", {"title": "?", "options": options, "multiple": True})
    reply = cards.check_reply(session, {"card_id": made["card_id"], "action": "select", "value": ["a", "b", "a"]})
    assert (reply.value, reply.words) == (["a", "b"], "A bank, B")


@pytest.mark.parametrize(
    ("action", "kept"), [("confirm", "confirmed_pairs"), ("reject", "rejected_pairs"), ("unsure", "unsure_pairs")]
)
def test_each_verdict_is_kept_shown_and_read_by_the_agent(talk: Talk, action: str, kept: str):
    with_files(talk)
    asked = card(propose(talk, *same_reference(talk.session, 1)), "match_proposal")
    assert set(asked["data"]["left"]) == {"entry", "reference", "amount", "booked_on", "customer"}
    assert {"left": "reference", "right": "text", "kind": "equal", "gap": None} in asked["data"]["differences"]
    talk.reply(asked, action, Step("I see."), value="same invoice")
    session = talk.session
    pair = {"left": asked["data"]["left"], "right": asked["data"]["right"]}
    assert getattr(session, kept) == [pair]
    assert len(session.judged_pairs) == 1
    entry = next(e for e in session.working.entries if isinstance(e, CardReply))
    assert (entry.action, entry.value, entry.data["left"]) == (action, "same invoice", pair["left"])
    bubble = [m for m in session.messages if m["role"] == "user"][-1]["segments"][0]["content"]
    assert bubble == f"{cards.KINDS['match_proposal'].actions[action]}: same invoice"
    shown = cards.find(session, asked["card_id"])["answer"]
    assert (shown["action"], shown["value"]) == (action, "same invoice") and shown["at"].endswith("Z")


def test_a_card_is_answered_once(talk: Talk):
    with_files(talk)
    asked = card(propose(talk, *same_reference(talk.session, 1)), "match_proposal")
    talk.reply(asked, "confirm", Step("Good."))
    with pytest.raises(ServiceError) as caught:
        talk.reply(asked, "reject", Step("Never."))
    assert caught.value.code == "chat.card_answered"
    assert len(talk.session.confirmed_pairs) == 1 and not talk.session.rejected_pairs


def test_what_the_browser_says_of_a_card_counts_for_nothing(talk: Talk):
    with_files(talk)
    asked = card(propose(talk, *same_reference(talk.session, 1)), "match_proposal")
    forged = {"card_id": asked["card_id"], "action": "confirm", "data": {"left": {"entry": "FORGED"}, "right": {}}}
    talk.say("", Step("Good."), card_response=forged)
    assert talk.session.confirmed_pairs[0]["left"]["entry"] == "E1"


def test_the_card_is_handled_before_the_text(talk: Talk):
    with_files(talk)
    asked = card(propose(talk, *same_reference(talk.session, 1)), "match_proposal")
    talk.reply(asked, "reject", Step("I see."), text="look at the dates")
    kinds = [type(e).__name__ for e in talk.session.working.entries]
    assert kinds.index("CardReply") < len(kinds) - 1 - kinds[::-1].index("UserText")
    segments = [m for m in talk.session.messages if m["role"] == "user"][-1]["segments"]
    assert [s["content"] for s in segments] == ["No, these do not match", "look at the dates"]


def test_the_rule_is_adjusted_by_words_or_by_the_slider(talk: Talk):
    first = card(with_draft(talk), "rule_summary")
    answer = talk.reply(first, "adjust", build("0.01"), Step(""), value={"tolerance": "0.01"})
    assert answer["phase"] == "inference"
    second = card(answer, "rule_summary")
    assert second["data"]["figures"]["matched_left"] == 8
    assert answer["recipe_draft"]["recipe_id"] == talk.shown["recipe_draft"]["recipe_id"]


def test_an_earlier_rule_cannot_be_approved_any_more(talk: Talk):
    first = card(with_draft(talk), "rule_summary")
    talk.say("one cent", build("0.01"), Step(""))
    with pytest.raises(ServiceError) as caught:
        talk.reply(first, "approve", Step("Saved."))
    assert caught.value.code == "chat.card_answered"


def test_a_source_is_chosen_by_card(talk: Talk, data):
    (data / "ledger.csv").write_text(LEDGER, encoding="utf-8")
    talk.app.sources.put("books", str(data / "ledger.csv"), "csv")
    asked = card(talk.say("Hello", calls(call("list_sources")), Step("Which one?")), "select")
    assert asked["data"]["side"] == "left"
    assert asked["data"]["options"] == [{"value": "books", "label": "books", "hint": "csv"}]
    look = calls(call("get_source_preview", alias="books"))
    answer = talk.reply(asked, "select", look, Step("And the other?"), value="books")
    assert talk.session.left_source_alias == "books"
    assert card(answer, "select")["data"]["side"] == "right"


def test_a_file_that_was_asked_for(talk: Talk):
    ask = calls(call("request_file_upload", message="The bank's file, please", side="right"))
    asked = card(talk.say("Hello", ask, Step("")), "upload_request")
    assert asked["data"] == {"message": "The bank's file, please", "side": "right"}
    file = talk.upload("bank.csv", LEDGER)

    def look(view: Any) -> Step:
        attached = view.entries[-1]
        assert attached.files == [{"alias": "bank", "filename": "bank.csv", "side": "right"}]
        return calls(call("get_source_preview", alias="bank", side="right"))

    talk.reply(asked, "uploaded", look, Step("Thank you."), value=file)
    assert talk.session.right_source_alias == "bank"


def test_a_file_sent_by_itself_closes_the_question_for_it(talk: Talk):
    ask = calls(call("request_file_upload", message="A file, please"))
    asked = card(talk.say("Hello", ask, Step("")), "upload_request")
    talk.say("", Step("Thank you."), files=[talk.upload("bank.csv", LEDGER)])
    assert cards.find(talk.session, asked["card_id"])["answer"]["action"] == "withdrawn"


def test_a_pair_judged_after_the_rule_asks_for_a_new_rule(talk: Talk):
    with_pairs(talk)
    asked = card(propose(talk, *same_reference(talk.session, 5)), "match_proposal")
    talk.say("build", build(), Step(""))
    answer = talk.reply(asked, "reject", Step("I see."))
    assert answer["phase"] == "inference" and not talk.session.working.saved
