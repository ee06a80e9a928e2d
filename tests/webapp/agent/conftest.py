"""Fixtures of the conversation's tests: an app whose agent follows a script."""

from __future__ import annotations

import pytest

from tests.webapp.agent.talking import Talk, make_talk
from webapp.context import Kalla


@pytest.fixture
def talk(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> Talk:
    """A conversation that has not begun."""
    return make_talk(parts, monkeypatch)
