"""The conversation over HTTP: shapes, errors, streams, authorisation, rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.agent.talking import BANK, LEDGER, Scripted, call, calls, uploaded
from tests.webapp.conftest import TOKEN
from webapp.agent.driver import DriverError, Step
from webapp.context import Kalla
from webapp.services import chat

UNKNOWN = "00000000-0000-4000-8000-000000000000"
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    found = Scripted()
    monkeypatch.setattr(chat, "driver_for", lambda app: found)
    return found


def schema_of(client: FlaskClient, method: str, path: str) -> dict[str, Any]:
    document = client.get("/api/openapi.json").json
    found = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]
    return {**found, "components": document["components"]}


def check(client: FlaskClient, method: str, path: str, body: Any) -> None:
    jsonschema_rs.validate(schema_of(client, method, path), body)


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith("event: "):
            name, data = block.split("\n", 1)
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_session_from_beginning_to_end(client: FlaskClient, driver: Scripted, parts: Kalla):
    made = client.post("/api/chat/sessions")
    assert made.status_code == 200
    assert {k: made.json[k] for k in ("phase", "status")} == {"phase": "greeting", "status": "active"}
    session_id = made.json["session_id"]
    address = f"/api/chat/sessions/{session_id}"
    fresh = client.get(address).json
    check(client, "get", "/api/chat/sessions/{session_id}", fresh)
    assert fresh["messages"] == [] and fresh["turn"] == "idle" and fresh["sides"] == {"left": None, "right": None}
    assert (fresh["id"], fresh["validation_approved"], fresh["recipe_draft"]) == (session_id, False, None)
    look = calls(call("get_source_preview", alias="ledger"), call("get_source_preview", alias="bank"))
    driver.steps = [look, Step("Both are here.")]
    files = [{"s3_uri": uploaded(parts, name, text)} for name, text in (("ledger.csv", LEDGER), ("bank.csv", BANK))]
    answer = client.post("/api/chat", json={"session_id": session_id, "message": "Here", "files": files})
    assert answer.status_code == 200, answer.json
    check(client, "post", "/api/chat", answer.json)
    assert answer.json["phase"] == "demonstration" and answer.json["message"]["role"] == "agent"
    assert [s["type"] for s in answer.json["message"]["segments"]] == ["card", "card", "text"]
    shown = client.get(address).json
    check(client, "get", "/api/chat/sessions/{session_id}", shown)
    assert shown["version"] == answer.json["version"] and "working" not in shown
    assert shown["sides"]["left"]["personal"] == ["customer"] and shown["sides"]["right"]["shown"] == 10
    listed = client.get("/api/chat/sessions").json
    check(client, "get", "/api/chat/sessions", listed)
    assert listed[0]["session_id"] == session_id and listed[0]["message_count"] == 2
    assert listed[0]["title"] == "ledger.csv and bank.csv"
    body = {"side": "left", "column": "customer", "show": True}
    privacy = client.post(f"{address}/privacy", json=body)
    check(client, "post", "/api/chat/sessions/{session_id}/privacy", privacy.json)
    assert client.get(f"{address}/sent").json == []
    assert client.post(f"{address}/stop").json["success"] is True
    reset = client.post(f"{address}/reset").json
    check(client, "post", "/api/chat/sessions/{session_id}/reset", reset)
    assert reset["phase"] == "greeting" and reset["session_id"] == session_id
    assert client.delete(address).json == {"success": True, "message": "Conversation deleted"}
    assert client.get(address).status_code == 404


def test_a_first_message_makes_a_session(client: FlaskClient, driver: Scripted):
    answer = client.post("/api/chat", json={"message": "Hello"}).json
    assert client.get(f"/api/chat/sessions/{answer['session_id']}").status_code == 200


def test_a_turn_is_streamed(client: FlaskClient, driver: Scripted):
    driver.steps = [calls(call("list_sources"), text="Let me see."), Step("Nothing is registered.")]
    answer = client.post("/api/chat", json={"message": "Hello"}, headers=STREAM)
    assert answer.mimetype == "text/event-stream"
    found = events(answer.text)
    names = [name for name, _ in found]
    assert names[-1] == "done" and names.count("done") == 1 and "error" not in names
    assert [data["delta"] for name, data in found if name == "text"] == ["Let me see.", "Nothing is registered."]
    assert [(data["name"], data["state"]) for name, data in found if name == "tool"] == [
        ("list_sources", "started"),
        ("list_sources", "done"),
    ]
    assert all(data["words"] == "Looking for sources" for name, data in found if name == "tool")
    assert {"phase": "intent", "status": "active"} in [data for name, data in found if name == "phase"]
    segments = [data for name, data in found if name == "segment"]
    assert segments == found[-1][1]["message"]["segments"]
    check(client, "post", "/api/chat", found[-1][1])


def test_refusals_before_the_turn_are_no_stream(client: FlaskClient, driver: Scripted):
    answer = client.post("/api/chat", json={}, headers=STREAM)
    assert (answer.status_code, answer.json["code"]) == (400, "chat.empty_message")


def test_a_fault_in_a_streamed_turn_is_an_event(client: FlaskClient, driver: Scripted, caplog):
    driver.steps = [ZeroDivisionError("postgres://u:hunter22@h/d")]
    name, data = events(client.post("/api/chat", json={"message": "Hello"}, headers=STREAM).text)[-1]
    assert (name, data["code"]) == ("error", "internal.error") and "hunter22" not in json.dumps(data)


def test_a_turn_goes_on_when_nobody_listens(client: FlaskClient, driver: Scripted, parts: Kalla):
    driver.steps = [calls(call("list_sources")), Step("Said to nobody.")]
    answer = client.post("/api/chat", json={"message": "Hello"}, headers=STREAM, buffered=False)
    answer.close()
    from tests.webapp.agent.test_turns import wait_until

    wait_until(lambda: bool(parts.chats.list()) and chat.list_sessions(parts)[0]["phase"] == "intent")
    session_id = str(parts.chats.list()[0]["id"])
    wait_until(lambda: chat.get(parts, session_id)["turn"] == "idle")
    assert chat.get(parts, session_id)["messages"][-1]["segments"][-1]["content"] == "Said to nobody."


def test_a_failure_of_the_model_answers_200(client: FlaskClient, driver: Scripted):
    driver.steps = [DriverError("The model is overloaded.")]
    answer = client.post("/api/chat", json={"message": "Hello"})
    assert answer.status_code == 200
    assert answer.json["message"]["segments"] == [{"type": "text", "content": "The model is overloaded."}]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "chat.empty_message"),
        ({"message": "   "}, 400, "chat.empty_message"),
        ({"message": 7}, 400, "request.invalid_body"),
        ({"message": "x" * 20_001}, 400, "request.invalid_body"),
        ({"session_id": 7, "message": "x"}, 400, "request.invalid_body"),
        ({"session_id": UNKNOWN, "message": "x"}, 404, "chat.session_not_found"),
        ({"session_id": "no uuid", "message": "x"}, 404, "chat.session_not_found"),
        ({"files": {}}, 400, "request.invalid_body"),
        ({"files": [{}]}, 400, "request.invalid_body"),
        ({"files": [{"s3_uri": "s3://elsewhere/x.csv"}]}, 400, "upload.invalid_uri"),
        ({"files": [{"s3_uri": f"s3://kalla-uploads/s/{UNKNOWN}/x.csv"}]}, 404, "upload.not_found"),
        ({"card_response": {"card_id": "x", "action": "confirm"}}, 400, "chat.unknown_card"),
        ({"card_response": []}, 400, "request.invalid_body"),
        ({"resume": True}, 400, "request.invalid_body"),
        ({"resume": "yes", "session_id": UNKNOWN}, 400, "request.invalid_body"),
        ({"resume": True, "session_id": UNKNOWN, "message": "x"}, 400, "request.invalid_body"),
        ({"resume": True, "session_id": UNKNOWN}, 404, "chat.session_not_found"),
    ],
)
def test_refused_messages(client: FlaskClient, driver: Scripted, body: dict[str, Any], status: int, code: str):
    answer = client.post("/api/chat", json=body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert client.get("/api/chat/sessions").json == [], "no session is made"


def test_refused_answers_to_cards(client: FlaskClient, driver: Scripted):
    driver.steps = [calls(call("request_file_upload", message="A file, please")), Step("")]
    answer = client.post("/api/chat", json={"message": "Hello"}).json
    session_id, asked = answer["session_id"], answer["message"]["segments"][-1]["card_id"]
    for given, status, code in (
        ({"card_id": "x", "action": "uploaded"}, 400, "chat.unknown_card"),
        ({"card_id": asked, "action": "confirm"}, 400, "chat.invalid_action"),
        ({"card_id": asked, "action": "uploaded"}, 400, "chat.invalid_action"),
        ({"card_id": asked, "action": "uploaded", "value": {"s3_uri": "s3://x/y.csv"}}, 400, "upload.invalid_uri"),
    ):
        refused = client.post("/api/chat", json={"session_id": session_id, "card_response": given})
        assert (refused.status_code, refused.json["code"]) == (status, code), given
    assert client.get(f"/api/chat/sessions/{session_id}").json["turn"] == "idle"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/reset"),
        ("POST", "/stop"),
        ("GET", "/sent"),
    ],
)
@pytest.mark.parametrize("session_id", [UNKNOWN, "no-uuid"])
def test_unknown_sessions(client: FlaskClient, method: str, path: str, session_id: str):
    answer = client.open(f"/api/chat/sessions/{session_id}{path}", method=method)
    assert (answer.status_code, answer.json["code"]) == (404, "chat.session_not_found")


def test_privacy_of_an_unknown_session(client: FlaskClient):
    body = {"side": "left", "column": "x", "show": True}
    answer = client.post(f"/api/chat/sessions/{UNKNOWN}/privacy", json=body)
    assert (answer.status_code, answer.json["code"]) == (404, "chat.session_not_found")


def test_a_busy_session(client: FlaskClient, driver: Scripted, parts: Kalla):
    session_id = client.post("/api/chat", json={"message": "Hello"}).json["session_id"]
    assert parts.chats.take(session_id, "another browser", 60) is not None
    answer = client.post("/api/chat", json={"session_id": session_id, "message": "x"})
    assert (answer.status_code, answer.json["code"]) == (409, "chat.busy") and answer.headers["Retry-After"]
    assert client.get(f"/api/chat/sessions/{session_id}").json["turn"] == "working"


def test_everything_needs_the_token(guarded: FlaskClient):
    for method, path in (
        ("POST", "/api/chat"),
        ("POST", "/api/chat/sessions"),
        ("GET", "/api/chat/sessions"),
        ("GET", f"/api/chat/sessions/{UNKNOWN}"),
        ("DELETE", f"/api/chat/sessions/{UNKNOWN}"),
        ("GET", f"/api/chat/sessions/{UNKNOWN}/sent"),
        ("POST", "/api/ai"),
    ):
        answer = guarded.open(path, method=method, json={})
        assert (answer.status_code, answer.json["code"]) == (401, "auth.required"), path
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/api/chat/sessions", headers=headers).status_code == 200


def test_the_rate_is_limited(make_app: Callable[..., Flask], driver: Scripted):
    client = make_app(chat_per_minute=2).test_client()
    assert [client.post("/api/chat", json={}).status_code for _ in range(3)] == [400, 400, 429]
    refused = client.post("/api/ai", json={})
    assert refused.json["code"] == "chat.too_many_messages" and int(refused.headers["Retry-After"]) > 0
    assert client.get("/api/chat/sessions").status_code == 200, "reading is not limited"
