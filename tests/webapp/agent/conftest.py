"""Fixtures of the conversation's tests: an app whose agent follows a script, or asks a Messages API of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask

from tests.messages_api import MessagesApi, messages_api
from tests.webapp.agent.talking import ReadingDispatcher, Scripted, Talk, make_talk
from webapp.agent import sample_run
from webapp.context import EXTENSION, Kalla
from webapp.settings import Settings

KEY = "sk-ant-of-the-tests-4711"


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Time enough for turns and sample runs on a machine that does ten other things."""
    monkeypatch.setattr(sample_run, "MOST_SECONDS", 200.0)
    return replace(settings, agent_turn_seconds=280)


@pytest.fixture
def dispatcher(settings: Settings) -> ReadingDispatcher:
    found = ReadingDispatcher()
    found.settings = settings
    return found


@pytest.fixture
def talk(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """A conversation that has not begun."""
    return make_talk(parts, monkeypatch)


@pytest.fixture
def api() -> Iterator[MessagesApi]:
    """The model's provider."""
    with messages_api() as found:
        yield found


@pytest.fixture
def modelled(make_app: Callable[..., Flask], api: MessagesApi) -> Talk:
    """A conversation that the model leads."""
    app = make_app(anthropic_api_key=KEY, anthropic_base_url=api.url, anthropic_model="claude-of-the-tests")
    return Talk(app.extensions[EXTENSION], Scripted())
