"""The model's driver: the real SDK against a Messages API over HTTP, whole conversations and every failure."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.messages_api import Call, Fail, Hang, MessagesApi, Reply, Say
from tests.webapp.agent.conftest import KEY
from tests.webapp.agent.talking import SQL, Scripted, Talk, card, texts
from webapp.agent import claude
from webapp.context import EXTENSION
from webapp.services import chat


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses are noted instead of waited for."""
    waited: list[float] = []
    monkeypatch.setattr(claude.ClaudeDriver, "wait", lambda self, seconds: waited.append(seconds), raising=False)
    monkeypatch.setattr(
        chat,
        "driver_for",
        lambda app: claude.ClaudeDriver(app.settings, app.chats.add_request, waited.append),
    )
    return waited


def say(talk: Talk, api: MessagesApi, text: str, *replies: Reply, **more: Any) -> dict[str, Any]:
    api.script = list(replies)
    answer = talk.say(text, **more)
    assert api.script == [], "not all answers were asked for"
    return answer


def reply(talk: Talk, api: MessagesApi, asked: dict[str, Any], action: str, *replies: Reply) -> dict[str, Any]:
    return say(talk, api, "", *replies, card_response={"card_id": asked["card_id"], "action": action})


def propose(talk: Talk, number: int) -> Say:
    session = talk.session
    wanted = f"INV-{1000 + number}"
    left = next(n for n, row in enumerate(session.sample_left or []) if row["reference"] == wanted)
    right = next(n for n, row in enumerate(session.sample_right or []) if row["text"] == wanted)
    return Say("", [Call("propose_match", {"left_row": left, "right_row": right, "reasoning": "Same reference"})])


def both_files(talk: Talk, api: MessagesApi) -> dict[str, Any]:
    from tests.webapp.agent.talking import BANK, LEDGER

    files = [talk.upload("ledger.csv", LEDGER), talk.upload("bank.csv", BANK)]
    looks = [
        Call("get_source_preview", {"alias": "ledger"}),
        Call("get_source_preview", {"alias": "bank", "side": "right"}),
    ]
    return say(talk, api, "Here are both", Say("I look.", looks), Say("Both are here."), files=files)


BUILD = Call(
    "build_recipe",
    {
        "name": "Ledger against bank",
        "match_sql": SQL.format("0.05"),
        "match_description": "Same reference, amounts at most five cents apart",
        "left_pk": ["entry"],
        "right_pk": ["txn"],
    },
)


def test_a_whole_conversation(modelled: Talk, api: MessagesApi, dispatcher):
    talk = modelled
    answer = say(talk, api, "Hello", Say("Let me see.", [Call("list_sources")]), Say("Send me two files."))
    assert answer["driver"] == "claude" and texts(answer) == "Let me see.\nSend me two files."
    assert both_files(talk, api)["phase"] == "demonstration"
    for number in (1, 2, 4):
        asked = card(say(talk, api, "go on", propose(talk, number), Say("")), "match_proposal")
        answer = reply(talk, api, asked, "confirm", Say("Good."))
    assert answer["phase"] == "inference"
    infer = Call("infer_rules", {"left_columns": ["reference", "amount"], "right_columns": ["text", "paid"]})
    rule = card(say(talk, api, "go on", Say("", [infer]), Say("", [BUILD]), Say("Is this right?")), "rule_summary")
    checks = Say("", [Call("validate_recipe"), Call("run_sample")])
    answer = reply(talk, api, rule, "approve", Say("", [Call("save_recipe")]), checks, Say("Look at the result."))
    assert (answer["phase"], answer["status"]) == ("validation", "recipe_ready")
    result = card(answer, "result_summary")
    assert result["data"]["matched_count"] == 10
    answer = reply(talk, api, result, "approve", Say("", [Call("run_full")]), Say("It runs."))
    assert answer["status"] == "running" and len(dispatcher.jobs) == 1
    for body in api.requests:
        check_request(body)
    assert set(api.keys) == {KEY}
    assert KEY not in api.everything_sent and "s3://kalla-uploads/test" not in api.everything_sent
    assert len({json.dumps(body["system"]) for body in api.requests}) == 1


def check_request(body: dict[str, Any]) -> None:
    """A request that the provider would take: roles in turn, every call answered at once, nothing empty."""
    assert body["model"] == "claude-of-the-tests" and body["max_tokens"] == 4096 and body["stream"] is True
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user" and roles[-1] == "user"
    assert all(one != other for one, other in itertools.pairwise(roles))
    for message, following in zip(body["messages"], body["messages"][1:], strict=False):
        used = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        results = [block["tool_use_id"] for block in following["content"] if block["type"] == "tool_result"]
        assert used == results
        kinds = [block["type"] for block in following["content"]]
        assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result"), "results stand first"
    assert all(block.get("text", "x") for message in body["messages"] for block in message["content"])
    assert body["messages"][-1]["content"][-1]["text"].startswith("<state>")
    names = [tool["name"] for tool in body["tools"]]
    assert names and all(tool["input_schema"]["type"] == "object" for tool in body["tools"])


def test_each_message_and_verdict_reaches_the_model_once(modelled: Talk, api: MessagesApi):
    both_files(modelled, api)
    asked = card(say(modelled, api, "a pair of March", propose(modelled, 1), Say("")), "match_proposal")
    value = {"card_id": asked["card_id"], "action": "reject", "value": "another customer"}
    say(modelled, api, "", Say("I see."), card_response=value)
    last = json.dumps(api.requests[-1]["messages"], ensure_ascii=False)
    assert last.count("a pair of March") == 1
    assert last.count("another customer") == 1 and "reject" in last and "INV-1001" in last
    assert "bank.csv" in last


def test_the_answer_is_streamed(modelled: Talk, api: MessagesApi):
    text = "A sentence that comes in several pieces over the wire."
    say(modelled, api, "hello", Say(text))
    pieces = [data["delta"] for name, data in modelled.events if name == "text"]
    assert len(pieces) > 2 and "".join(pieces) == text
    assert ("segment", {"type": "text", "content": text}) in modelled.events


def test_what_was_sent_can_be_seen_exactly(modelled: Talk, api: MessagesApi):
    both_files(modelled, api)
    shown = chat.sent(modelled.app, str(modelled.session_id))
    assert len(shown) == len(api.requests)
    for seen, body in zip(shown, reversed(api.requests), strict=True):
        assert seen["at"].endswith("Z")
        for name in ("model", "system", "messages", "tools"):
            assert json.loads(json.dumps(seen[name])) == body[name]


def test_only_the_latest_requests_are_kept(modelled: Talk, api: MessagesApi, monkeypatch: pytest.MonkeyPatch):
    from webapp.stores import chat as store

    monkeypatch.setattr(store, "MOST_REQUESTS", 2)
    for number in range(4):
        say(modelled, api, f"message {number}", Say("."))
    shown = chat.sent(modelled.app, str(modelled.session_id))
    assert len(shown) == 2 and "message 3" in json.dumps(shown[0])


# --- failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure", [Fail(429, "rate_limit_error"), Fail(529, "overloaded_error"), Fail(500), Fail(503)]
)
def test_a_busy_provider_is_asked_again(modelled: Talk, api: MessagesApi, impatient: list[float], failure: Fail):
    assert texts(say(modelled, api, "hello", failure, failure, Say("Here."))) == "Here."
    assert len(impatient) == 2 and 0 < impatient[0] < impatient[1] < 2


def test_the_provider_says_when_to_ask_again(modelled: Talk, api: MessagesApi, impatient: list[float]):
    say(modelled, api, "hello", Fail(429, "rate_limit_error", "7"), Fail(429, "rate_limit_error", "9999"), Say("Here."))
    assert impatient == [7.0, claude.MOST_WAIT]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Fail(429, "rate_limit_error"), "takes no more requests"),
        (Fail(529, "overloaded_error"), "overloaded"),
        (Fail(500), "has a fault"),
        (Say("Half", cut=4), "connection to the model failed"),
        (Say("Half", broken=True), "overloaded"),
    ],
)
def test_asking_again_has_an_end(modelled: Talk, api: MessagesApi, failure: Reply, words: str):
    both_files(modelled, api)
    before = modelled.session
    answer = say(modelled, api, "go on", *[failure] * claude.MOST_ATTEMPTS)
    assert words in texts(answer) and "as told" not in texts(answer)
    after = modelled.session
    assert (after.phase, after.status, after.sample_left) == (before.phase, before.status, before.sample_left)
    assert modelled.shown["turn"] == "idle"
    assert texts(say(modelled, api, "go on", Say("Here."))) == "Here."


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Fail(401, "authentication_error"), "ANTHROPIC_API_KEY"),
        (Fail(403, "permission_error"), "ANTHROPIC_API_KEY"),
        (Fail(404, "not_found_error"), "ANTHROPIC_MODEL"),
        (Fail(400, "invalid_request_error"), "status 400"),
        (Fail(413, "request_too_large"), "too long"),
    ],
)
def test_what_asking_again_would_not_mend(modelled: Talk, api: MessagesApi, failure: Fail, words: str):
    answer = say(modelled, api, "hello", failure)
    assert words in texts(answer) and KEY not in texts(answer)
    assert answer["status"] == "active"


def test_a_cut_stream_is_asked_for_again_and_shown_once(modelled: Talk, api: MessagesApi):
    answer = say(modelled, api, "hello", Say("A beginning that is cut off", cut=5), Say("The whole answer."))
    assert texts(answer) == "The whole answer."
    pieces = "".join(data["delta"] for name, data in modelled.events if name == "text")
    assert "whole" not in pieces and "A beginning".startswith(pieces[:11])


def test_nobody_listens_at_the_address(make_app: Callable[..., Flask]):
    from tests.servers import free_port

    address = f"http://127.0.0.1:{free_port()}"
    app = make_app(anthropic_api_key=KEY, anthropic_base_url=address)
    assert "connection to the model failed" in texts(Talk(app.extensions[EXTENSION], Scripted()).say("hello"))


def test_a_provider_that_stays_silent(
    make_app: Callable[..., Flask], api: MessagesApi, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(claude, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(claude, "MOST_ATTEMPTS", 2)
    app = make_app(anthropic_api_key=KEY, anthropic_base_url=api.url)
    api.script = [Hang(8), Hang(8)]
    began = time.monotonic()
    answer = Talk(app.extensions[EXTENSION], Scripted()).say("hello")
    assert "did not answer in time" in texts(answer) and time.monotonic() - began < 60


def test_a_malformed_input_is_answered_to_the_model(modelled: Talk, api: MessagesApi):
    broken = Say("", [Call("get_source_preview", raw='{"alias": "led')])
    answer = say(modelled, api, "hello", broken, Say("Once more."))
    assert texts(answer) == "Once more."
    result = api.requests[-1]["messages"][2]["content"][0]
    assert result["is_error"] and "no JSON" in result["content"]
    check_request(api.requests[-1])


def test_an_input_that_is_a_list_is_answered_to_the_model(modelled: Talk, api: MessagesApi):
    say(modelled, api, "hello", Say("", [Call("list_sources", raw="[1]")]), Say("."))
    assert "Send an object" in api.requests[-1]["messages"][2]["content"][0]["content"]


def test_numbers_of_inputs_stay_exact():
    assert str(claude.read_input('{"value": 0.10}')[0]["value"]) == "0.10"


def test_a_refusal(modelled: Talk, api: MessagesApi):
    answer = say(modelled, api, "hello", Say("I would", stop_reason="refusal"))
    assert "declined" in texts(answer)


def test_an_answer_that_is_cut_off_by_its_limit(modelled: Talk, api: MessagesApi):
    assert "cut off" in texts(say(modelled, api, "hello", Say("A long", stop_reason="max_tokens")))


def test_a_call_that_is_cut_off_by_the_limit_is_answered(modelled: Talk, api: MessagesApi):
    cut = Say("", [Call("list_sources"), Call("build_recipe", raw='{"name": "x", "match_sq')], stop_reason="max_tokens")
    say(modelled, api, "hello", cut, Say("Shorter then."))
    assert [r.error is None for r in modelled.results] == [True, False]


def test_parallel_calls_are_answered_together(modelled: Talk, api: MessagesApi):
    both_files(modelled, api)
    answered = api.requests[-1]["messages"][2]["content"]
    assert [block["type"] for block in answered[:2]] == ["tool_result", "tool_result"]
    check_request(api.requests[-1])


def test_stopping_a_turn_closes_the_stream(modelled: Talk, api: MessagesApi):
    say(modelled, api, "hello", Say("Hello."))
    api.script = [Say("A very long answer " * 40, pause=0.05)]
    timer = threading.Timer(1.0, lambda: chat.stop(modelled.app, str(modelled.session_id)))
    timer.start()
    answer = modelled.say("tell me a story")
    timer.join()
    assert texts(answer) == "Stopped, as you asked."


def test_the_steps_of_a_turn_are_limited(make_app: Callable[..., Flask], api: MessagesApi):
    app = make_app(anthropic_api_key=KEY, anthropic_base_url=api.url, agent_max_steps=3)
    talk = Talk(app.extensions[EXTENSION], Scripted())
    answer = say(talk, api, "hello", *[Say("", [Call("list_sources")])] * 3)
    assert "3 steps" in texts(answer)


def test_the_default_model_is_the_newest_sonnet_of_the_sdk():
    assert claude.default_model().startswith("claude-sonnet-")
