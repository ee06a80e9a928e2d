"""A served app that is killed in mid-turn: the conversation is noticed as interrupted and goes on. Real processes, the
model's provider stands on a port of the test."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.messages_api import Call, Hang, MessagesApi, Say, messages_api
from tests.webapp.served.serving import Served, served, until

APP = ("webapp.serve", "app")


@pytest.fixture
def api():
    with messages_api() as found:
        yield found


def say(kalla: Served, answers: list[tuple[int, Any]], body: dict[str, Any]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(kalla.call("POST", "/api/chat", body)), daemon=True)
    thread.start()
    return thread


def shown(kalla: Served, session_id: str) -> dict[str, Any]:
    status, found = kalla.call("GET", f"/api/chat/sessions/{session_id}")
    return found if status == 200 else {"turn": "unreachable", "messages": []}


def words(session: dict[str, Any]) -> list[str]:
    return [s["content"] for m in session["messages"] for s in m["segments"] if s["type"] == "text"]


def test_a_killed_app_goes_on_with_the_conversation(tmp_path: Path, api: MessagesApi):
    environment = {"ANTHROPIC_API_KEY": "sk-ant-4711", "ANTHROPIC_BASE_URL": api.url}
    with served(tmp_path, **environment) as kalla:
        session_id = kalla.call("POST", "/api/chat/sessions", {})[1]["session_id"]
        looks = Say("I look.", [Call("list_sources"), Call("get_source_preview", {"alias": "invoices_csv"})])
        api.script = [looks, Hang(60), Say("Here I am again.")]
        lost: list[tuple[int, Any]] = []
        thread = say(kalla, lost, {"session_id": session_id, "message": "compare my invoices"})
        until(lambda: len(api.requests), lambda count: count == 2, 90)
        assert shown(kalla, session_id)["turn"] == "working"
        assert kalla.kill(*APP) >= 1
        thread.join(60)
        assert lost and lost[0][0] == 0, "the request was cut off"
        found = until(
            lambda: shown(kalla, session_id),
            lambda session: session["turn"] == "idle" and "Here I am again." in words(session),
            150,
        )
        assert found["left_source_alias"] == "invoices_csv" and found["phase"] == "intent"
        assert words(found).count("compare my invoices") == 1 and words(found).count("I look.") == 1
        assert len(api.requests) == 3
        results = [
            block
            for message in api.requests[2]["messages"]
            for block in message["content"]
            if block["type"] == "tool_result"
        ]
        assert len(results) == 2 and not any(block.get("is_error") for block in results)
        assert "sk-ant-4711" not in (tmp_path / "serve.log").read_text(encoding="utf-8")
