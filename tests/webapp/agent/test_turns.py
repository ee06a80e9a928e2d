"""One turn: who may call what, how often, how long; and what survives when it is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from tests.webapp.agent.talking import (
    LEDGER,
    Scripted,
    Talk,
    call,
    calls,
    card,
    make_talk,
    texts,
    with_draft,
    with_files,
)
from tests.webapp.agent.test_tools import approve
from webapp.agent.driver import LENGTH, REFUSED, DriverError, Step, View
from webapp.agent.entries import Called, Result, RunEnded
from webapp.context import EXTENSION, Kalla
from webapp.db.models import ChatSession
from webapp.errors import ServiceError
from webapp.services import chat
from webapp.services.chat_lease import STOP_SECONDS
from webapp.services.sweeper import sweep


def code_of(work: Callable[[], Any]) -> str:
    with pytest.raises(ServiceError) as caught:
        work()
    return caught.value.code


# --- permission and retries ----------------------------------------------------------------------------


def test_a_tool_of_another_phase_is_answered_with_an_error_and_not_executed(talk: Talk, dispatcher):
    answer = talk.say("run!", calls(call("run_full"), call("save_recipe")), Step("I may not."))
    assert [r.error is None for r in talk.results] == [False, False]
    assert "not available in the phase greeting" in str(talk.results[0].error)
    assert dispatcher.jobs == [] and answer["status"] == "active"


def test_two_failures_withdraw_a_tool_for_the_turn_and_the_person_is_told(talk: Talk):
    ghost = calls(call("get_source_preview", alias="ghost"))
    answer = talk.say("look", ghost, ghost, ghost, Step("I cannot."))
    assert "not available for the rest of this turn" in str(talk.results[2].error)
    assert "failed twice" in texts(answer) and "'ghost' was not found" in texts(answer)
    offered = [[spec.name for spec in view.tools] for view in talk.driver.views]
    assert "get_source_preview" in offered[1] and "get_source_preview" not in offered[2]
    talk.say("again", calls(call("get_source_preview", alias="ghost")), Step("Again not."))
    assert "was not found" in str(talk.results[-1].error), "the next turn has it again"


def test_calls_of_one_step_are_all_answered_in_order(talk: Talk):
    talk.say(
        "look", calls(call("list_sources"), call("get_source_preview", alias="x"), call("list_sources")), Step(".")
    )
    entries = talk.session.working.entries
    called = [e.id for e in entries if isinstance(e, Called)]
    assert [e.call_id for e in entries if isinstance(e, Result)] == called and len(called) == 3
    assert [r.error is None for r in talk.results] == [True, False, True]


def test_an_input_that_cannot_be_read_is_answered(talk: Talk):
    broken = replace(call("list_sources"), problem="The input of this call is no JSON.")
    talk.say("look", calls(broken), Step("Again."))
    assert talk.results[0].error == "The input of this call is no JSON."


def test_an_unknown_member_of_an_input_is_answered(talk: Talk):
    talk.say("look", calls(call("list_sources", everything=True)), Step("."))
    assert "everything" in str(talk.results[0].error)


# --- limits --------------------------------------------------------------------------------------------


def limited(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Talk:
    return make_talk(make_app(**settings).extensions[EXTENSION], monkeypatch)


def test_the_limit_of_steps(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch):
    talk = limited(make_app, monkeypatch, agent_max_steps=3)
    answer = talk.say("go", *[calls(call("list_sources"))] * 9)
    assert len(talk.driver.views) == 3
    assert [view.steps_left for view in talk.driver.views] == [3, 2, 1]
    assert "3 steps" in texts(answer) and "Sources" in texts(answer) and "go on" in texts(answer)
    assert texts(talk.say("go on", Step("Further."))) == "Further."


def test_the_limit_of_time(make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch):
    talk = limited(make_app, monkeypatch, agent_turn_seconds=5)

    def late(view: View) -> Step:
        view.session.working.turn.seconds = 5.0
        talk.app.chats.get(str(view.session.session_id))
        from webapp.agent.driver import TurnStopped

        raise TurnStopped

    answer = talk.say("go", late)
    assert "5 seconds" in texts(answer) and answer["status"] == "active"


def test_a_turn_that_was_interrupted_has_the_rest_of_its_time_only(talk: Talk):
    seen: list[float] = []

    def note(view: View) -> Step:
        seen.append(view.seconds_left)
        return Step(".")

    talk.say("hello", note)
    assert 0 < seen[0] <= 280


def test_the_person_stops_a_turn(talk: Talk):
    def stop(view: View) -> Step:
        assert chat.stop(talk.app, view.session.session_id)["message"] == "The turn ends"
        return calls(call("list_sources"))

    def go_on(view: View) -> Step:
        time.sleep(STOP_SECONDS)
        return calls(call("list_sources"))

    answer = talk.say("go", stop, *[go_on] * 12, Step("never said"))
    assert texts(answer) == "Stopped, as you asked."
    assert chat.stop(talk.app, str(talk.session_id))["message"] == "No turn is in progress"


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (DriverError("The model is overloaded."), "The model is overloaded."),
        (Step("", (), REFUSED), "declined"),
        (Step("Half a sen", (), LENGTH), "cut off"),
    ],
)
def test_what_a_driver_cannot_do_is_said_and_nothing_is_lost(talk: Talk, move: Any, words: str):
    with_files(talk)
    answer = talk.say("go on", move)
    assert words in texts(answer)
    assert (answer["phase"], answer["status"]) == ("demonstration", "active")
    assert talk.shown["turn"] == "idle"


def test_an_unforeseen_fault_is_an_error_and_the_turn_can_be_gone_on_with(talk: Talk):
    with_files(talk)
    with pytest.raises(ZeroDivisionError):
        talk.say("go on", ZeroDivisionError())
    assert talk.shown["turn"] == "interrupted"
    assert talk.session.phase == "demonstration"
    talk.driver.steps = [Step("Here I am again.")]
    assert texts(chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})) == "Here I am again."


# --- two browsers --------------------------------------------------------------------------------------


def test_two_browsers_on_one_session(talk: Talk):
    with_files(talk)
    inside, leave = threading.Event(), threading.Event()

    def wait(view: View) -> Step:
        inside.set()
        assert leave.wait(60)
        return Step("First.")

    first = threading.Thread(target=lambda: talk.say("one", wait))
    first.start()
    assert inside.wait(60)
    again = {"session_id": talk.session_id, "message": "two"}
    assert code_of(lambda: chat.turn(talk.app, again)) == "chat.busy"
    assert code_of(lambda: chat.reset(talk.app, str(talk.session_id))) == "chat.busy"
    assert talk.shown["turn"] == "working"
    leave.set()
    first.join(60)
    said = [s["content"] for m in talk.session.messages for s in m["segments"] if s["type"] == "text"]
    assert "First." in said and "two" not in said
    assert talk.shown["turn"] == "idle"
    assert texts(talk.say("two", Step("Second."))) == "Second."


def test_two_answers_to_one_card_at_once(talk: Talk):
    with_files(talk)
    step = calls(call("propose_match", left_row=0, right_row=0, reasoning="?"))
    asked = card(talk.say("go on", step, Step("")), "match_proposal")
    codes: list[str] = []
    together = threading.Barrier(2)

    def answer(action: str) -> None:
        together.wait()
        body = {"session_id": talk.session_id, "card_response": {"card_id": asked["card_id"], "action": action}}
        try:
            chat.turn(talk.app, body)
        except ServiceError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=answer, args=(action,)) for action in ("confirm", "reject")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(codes) == 1 and codes[0] in ("chat.busy", "chat.card_answered")
    assert len(talk.session.judged_pairs) == 1


def test_a_session_deleted_in_mid_turn_is_gone(talk: Talk):
    talk.say("hello", Step("Hello."))

    def deleted(view: View) -> Step:
        chat.delete(talk.app, view.session.session_id)
        return Step("Too late.")

    assert code_of(lambda: talk.say("go", deleted)) == "chat.busy"
    assert talk.app.chats.get(str(talk.session_id)) is None


# --- an app that is gone -------------------------------------------------------------------------------


def leave(talk: Talk, *steps: Any) -> None:
    """A turn whose app dies in the middle: what was stored stays, the lease runs out."""
    with pytest.raises(KeyboardInterrupt):
        talk.say("go", *steps, KeyboardInterrupt())
    past = datetime.now(UTC) - timedelta(seconds=1)
    with talk.app.database.session() as session:
        session.execute(update(ChatSession).values(lease_until=past, lease_holder="gone"))


def test_a_turn_goes_on_where_it_was_left(talk: Talk):
    with_files(talk)
    leave(talk, calls(call("propose_match", left_row=0, right_row=0, reasoning="?"), text="A pair:"))
    assert talk.shown["turn"] == "interrupted"
    talk.driver.steps = [Step("That was it.")]
    answer = chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    assert card(answer, "match_proposal") and texts(answer) == "A pair:\nThat was it."
    assert talk.shown["turn"] == "idle"
    assert len([m for m in talk.session.messages if m["role"] == "agent"]) == 2


def test_a_call_without_result_is_called_again(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    from webapp.agent import orchestrator

    with_files(talk)
    kept = orchestrator.execute

    def die(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(orchestrator, "execute", die)
    leave(talk, calls(call("propose_match", left_row=0, right_row=0, reasoning="?")))
    monkeypatch.setattr(orchestrator, "execute", kept)
    talk.driver.steps = [Step("Again.")]
    answer = chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    assert card(answer, "match_proposal")
    assert len([r for r in talk.results if r.name == "propose_match"]) == 1


def test_a_run_that_was_started_is_not_started_twice(talk: Talk, dispatcher, monkeypatch: pytest.MonkeyPatch):
    with_draft(talk)
    approve(talk)
    kept = talk.app.chats.save

    def die_after_submit(*given: Any) -> bool:
        if dispatcher.jobs:
            raise KeyboardInterrupt
        return kept(*given)

    monkeypatch.setattr(type(talk.app.chats), "save", lambda self, *given: die_after_submit(*given))
    leave(talk, calls(call("run_full")))
    monkeypatch.setattr(type(talk.app.chats), "save", lambda self, *given: kept(*given))
    assert len(dispatcher.jobs) == 1
    talk.driver.steps = [Step("It runs.")]
    answer = chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    assert len(dispatcher.jobs) == 1 and answer["status"] == "running"
    assert card(answer, "progress")["data"]["run_id"] == dispatcher.jobs[0]["run_id"] == talk.session.run_id


def test_a_new_message_gives_up_what_was_left(talk: Talk):
    with_files(talk)
    leave(talk, calls(call("propose_match", left_row=0, right_row=0, reasoning="?")))
    assert texts(talk.say("forget that", Step("Forgotten."))) == "Forgotten."
    assert talk.shown["turn"] == "idle"


def test_the_sweeper_goes_on_with_what_was_left(talk: Talk):
    with_files(talk)
    leave(talk)
    talk.driver.steps = [Step("Swept.")]
    sweep(talk.app)
    wait_until(lambda: talk.shown["turn"] == "idle")
    assert talk.session.messages[-1]["segments"][-1]["content"] == "Swept."


def test_a_turn_that_brings_the_app_down_again_and_again_is_given_up(talk: Talk):
    with_files(talk)
    leave(talk)
    for _ in range(chat.MOST_RESUMES):
        talk.driver.steps = [KeyboardInterrupt()]
        with pytest.raises(KeyboardInterrupt):
            chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    answer = chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    assert "I stop here" in texts(answer) and talk.shown["turn"] == "idle"


def test_nothing_to_resume(talk: Talk):
    with_files(talk)
    answer = chat.turn(talk.app, {"session_id": talk.session_id, "resume": True})
    assert answer["message"]["segments"] == []


def wait_until(good: Callable[[], bool], seconds: float = 60) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    waiting = threading.Event()
    while not good():
        assert datetime.now(UTC) < ends, "it took too long"
        waiting.wait(0.05)


# --- the run's end -------------------------------------------------------------------------------------


@pytest.fixture
def running(talk: Talk) -> Talk:
    with_draft(talk)
    approve(talk)
    talk.say("run", calls(call("run_full")), Step("It runs."))
    return talk


def test_the_session_follows_its_run_and_the_agent_sums_up(running: Talk):
    assert running.session.run_id is not None
    running.app.runs.fail(running.session.run_id, "The left source could not be read.", "staging")
    running.driver.steps = [Step("The run failed: the left source could not be read.")]
    shown = running.shown
    assert shown["status"] == "completed"
    wait_until(lambda: running.shown["turn"] == "idle")
    session = running.session
    assert session.working.entries[-2:][0].__class__ is RunEnded
    segments = session.messages[-1]["segments"]
    assert segments[0]["card_type"] == "result_summary" and segments[0]["card_id"].startswith("result-")
    assert segments[0]["data"]["error_message"] == "The left source could not be read."
    assert segments[1]["content"].startswith("The run failed")
    progress = [s for m in session.messages for s in m["segments"] if s.get("card_type") == "progress"]
    assert progress[0]["data"]["status"] == "failed"


def test_the_runners_report_wakes_the_conversation(running: Talk):
    from webapp.services import callbacks

    running.driver.steps = [Step("It failed.")]
    run_id = running.session.run_id
    callbacks.error(running.app, {"run_id": run_id, "error": "no disk", "stage": "matching"})
    wait_until(lambda: running.session.status == "completed" and running.shown["turn"] == "idle")
    assert running.session.messages[-1]["segments"][-1]["content"] == "It failed."
    callbacks.error(running.app, {"run_id": run_id, "error": "no disk", "stage": "matching"})
    assert len([e for e in running.session.working.entries if isinstance(e, RunEnded)]) == 1


# --- other ---------------------------------------------------------------------------------------------


def test_reset_starts_over_under_the_same_id(talk: Talk):
    with_files(talk)
    shown = chat.reset(talk.app, str(talk.session_id))
    assert shown["session_id"] == talk.session_id and shown["phase"] == "greeting"
    assert shown["sample_left"] is None and shown["messages"][0]["segments"][0]["content"].startswith("We start over")
    assert texts(talk.say("hello", Step("Hello."))) == "Hello."


def test_a_full_conversation_is_refused(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    talk.say("hello", Step("Hello."))
    monkeypatch.setattr(chat, "MOST_MESSAGES", 2)
    assert code_of(lambda: talk.say("more", Step("."))) == "chat.session_full"
    assert talk.shown["turn"] == "idle"


def test_a_long_history_forgets_its_oldest_turns(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chat, "MOST_ENTRIES", 6)
    for number in range(8):
        talk.say(f"message {number}", Step(f"answer {number}"))
    entries = talk.session.working.entries
    assert len(entries) <= 8 and "message 7" in repr(entries) and "message 0" not in repr(entries)


def test_too_many_turns_at_once_are_refused(talk: Talk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chat, "_TURNS", threading.BoundedSemaphore(1))
    chat._TURNS.acquire()
    assert code_of(lambda: talk.say("hello", Step("."))) == "chat.too_many_turns"
    assert talk.app.chats.list() == []
    chat._TURNS.release()
    talk.say("hello", Step("."))


def test_an_empty_message_makes_no_session(talk: Talk):
    for body in ({}, {"message": "  "}, {"files": []}):
        assert code_of(lambda body=body: chat.turn(talk.app, body)) == "chat.empty_message"
    assert talk.app.chats.list() == []


def test_files_are_read_by_the_server_only(talk: Talk):
    file = talk.upload("bank.csv", LEDGER)
    talk.say("", calls(call("get_source_preview", alias="bank")), Step("."), files=[file])
    assert next(c["name"] for c in talk.session.schema_left or []) == "entry"
    assert talk.session.messages[0]["segments"][0]["content"] == "Sent bank.csv"


@pytest.mark.parametrize("uri", ["s3://other/a/b/c.csv", "file:///etc/passwd", "s3://kalla-uploads/../x.csv", ""])
def test_files_elsewhere_are_refused_before_a_session_exists(talk: Talk, uri: str):
    assert code_of(lambda: talk.say("", files=[{"s3_uri": uri}])) == "upload.invalid_uri"
    assert talk.app.chats.list() == []


def test_secrets_in_messages_are_masked_before_they_are_kept(talk: Talk):
    talk.say("use postgres://me:hunter22@db/books?table=t", Step("Not postgres://me:hunter22@db/x?table=t"))
    assert "hunter22" not in repr(talk.session) and "hunter22" not in repr(talk.events)


def test_the_guided_name_is_kept(talk: Talk, parts: Kalla):
    assert isinstance(talk.driver, Scripted)
    talk.say("hello", Step("."))
    assert talk.shown["driver"] == "guided"
