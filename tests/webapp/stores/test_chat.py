"""Conversations on both databases: leases, ordered writes, and what was sent."""

from __future__ import annotations

import threading
import uuid
from decimal import Decimal
from typing import Any

import pytest

from webapp.agent.entries import Called, Result, UserText
from webapp.agent.session import Place, Session
from webapp.db import Database
from webapp.stores.chat import IDLE, INTERRUPTED, WORKING, ChatStore

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def made(chats: ChatStore, **changes: Any) -> Session:
    session = Session(str(uuid.uuid4()), **changes)
    chats.insert(session.session_id, session.to_row())
    return session


def read(chats: ChatStore, session_id: str) -> Session:
    row = chats.get(session_id)
    assert row is not None
    return Session.from_row(row.values)


def test_a_session_comes_back_as_it_was(chats: ChatStore):
    session = Session(str(uuid.uuid4()), title="März \u0000 bank", status="recipe_ready", phase="validation")
    session.sample_left = [{"a": "00123", "b": None}]
    session.scope_left = [{"column": "a", "op": "gt", "value": Decimal("0.10")}]
    session.confirmed_pairs = [{"left": {"a": "1"}, "right": {"b": "2"}}]
    session.recipe_draft = {"recipe_id": "x"}
    session.working.sides["left"] = Place("ledger", "csv_upload", "s3://b/s/u/l.csv", "l.csv", personal=["who"])
    session.log(UserText("hello"), Called("1", "load_scoped", {"limit": Decimal("2.50")}), Result("1", "x", error="no"))
    chats.insert(session.session_id, session.to_row())
    found = read(chats, session.session_id)
    assert found.scope_left == session.scope_left and str(found.scope_left[0]["value"]) == "0.10"
    assert found.working == session.working
    assert (found.sample_left, found.confirmed_pairs, found.phase) == (
        session.sample_left,
        session.confirmed_pairs,
        "validation",
    )
    assert found.title == "März \ufffd bank" and found.version == 0


@pytest.mark.parametrize("session_id", [UNKNOWN, "no-uuid", ""])
def test_what_is_not_there(chats: ChatStore, session_id: str):
    assert chats.get(session_id) is None and chats.take(session_id, "me", 5) is None
    assert chats.delete(session_id) is False


def test_newest_first_with_the_number_of_messages(chats: ChatStore):
    first, second = made(chats), made(chats, messages=[{"role": "user", "segments": []}])
    assert [str(row["id"]) for row in chats.list()] == [second.session_id, first.session_id]
    assert [row["message_count"] for row in chats.list()] == [1, 0]
    assert len(chats.list(1, 1)) == 1


def test_one_holder_at_a_time(chats: ChatStore):
    session_id = made(chats).session_id
    taken = chats.take(session_id, "me", 60)
    assert taken is not None and taken.turn == IDLE
    assert chats.take(session_id, "you", 60) is None
    assert chats.get(session_id).turn == WORKING
    assert chats.renew(session_id, "me", 60) and not chats.renew(session_id, "you", 60)
    chats.release(session_id, "you")
    assert chats.get(session_id).turn == WORKING, "only the holder gives it back"
    chats.release(session_id, "me")
    assert chats.get(session_id).turn == IDLE
    assert chats.take(session_id, "you", 60) is not None


def test_a_lease_that_ran_out_is_an_interruption(chats: ChatStore):
    session_id = made(chats).session_id
    assert chats.take(session_id, "me", -1) is not None
    assert chats.get(session_id).turn == INTERRUPTED and chats.interrupted() == [session_id]
    again = chats.take(session_id, "you", 60)
    assert again is not None and again.turn == INTERRUPTED
    assert not chats.renew(session_id, "me", 60), "it belongs to another now"


def test_many_that_take_at_once(chats: ChatStore):
    session_id = made(chats).session_id
    together = threading.Barrier(8)
    taken: list[str] = []

    def take(name: str) -> None:
        together.wait(30)
        if chats.take(session_id, name, 60) is not None:
            taken.append(name)

    threads = [threading.Thread(target=take, args=(f"holder {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == 1


def test_writes_are_ordered_and_only_the_holders(chats: ChatStore):
    session = made(chats)
    session_id, values = session.session_id, session.to_row()
    assert not chats.save(session_id, "me", 0, values), "without the lease"
    chats.take(session_id, "me", 60)
    assert chats.save(session_id, "me", 0, {**values, "title": "one"})
    assert not chats.save(session_id, "me", 0, {**values, "title": "stale"})
    assert not chats.save(session_id, "you", 1, {**values, "title": "stolen"})
    assert chats.save(session_id, "me", 1, {**values, "title": "two"})
    found = read(chats, session_id)
    assert (found.title, found.version) == ("two", 2)


def test_sessions_that_wait_for_a_run(chats: ChatStore):
    run_id = str(uuid.uuid4())
    waiting = made(chats, status="running", run_id=run_id)
    made(chats, status="completed", run_id=run_id)
    assert chats.waiting_for(run_id) == [waiting.session_id]
    assert chats.waiting() == [(waiting.session_id, run_id)]


def test_what_was_sent_is_bounded_and_goes_with_the_session(chats: ChatStore, monkeypatch: pytest.MonkeyPatch):
    from webapp.stores import chat

    monkeypatch.setattr(chat, "MOST_REQUESTS", 3)
    session_id = made(chats).session_id
    other = made(chats).session_id
    chats.add_request(other, {"n": 0})
    for number in range(5):
        chats.add_request(session_id, {"n": number})
    assert [body["n"] for _, body in chats.requests(session_id)] == [4, 3, 2]
    assert chats.delete(session_id)
    assert chats.requests(session_id) == [] and len(chats.requests(other)) == 1


def test_only_known_statuses(chats: ChatStore, database: Database):
    session = Session(str(uuid.uuid4()), status="dancing")
    with pytest.raises(Exception, match=r"(?i)check"):
        chats.insert(session.session_id, session.to_row())


def test_the_holder_is_asked_to_stop_and_nobody_who_comes_after_it(chats: ChatStore):
    session_id = made(chats).session_id
    assert not chats.ask_to_stop(session_id) and not chats.ask_to_stop(UNKNOWN) and not chats.ask_to_stop("no-uuid")
    chats.take(session_id, "first", 60)
    assert not chats.should_stop(session_id, "first")
    assert chats.ask_to_stop(session_id) and chats.should_stop(session_id, "first")
    assert chats.renew(session_id, "first", 60) and chats.should_stop(session_id, "first")
    chats.release(session_id, "first")
    chats.take(session_id, "second", 60)
    assert not chats.should_stop(session_id, "second")


def test_whoever_lost_the_lease_or_the_conversation_should_stop(chats: ChatStore):
    session_id = made(chats).session_id
    chats.take(session_id, "first", -1)
    chats.ask_to_stop(session_id)
    chats.take(session_id, "second", 60)
    assert chats.should_stop(session_id, "first") and not chats.should_stop(session_id, "second")
    chats.delete(session_id)
    assert chats.should_stop(session_id, "second")
