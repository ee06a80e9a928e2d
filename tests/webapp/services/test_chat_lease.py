"""The life of a lease beside a turn: what an outage of the database says, and how often."""

from __future__ import annotations

import logging
import threading

import pytest

from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import chat_lease


def test_an_outage_is_said_once_until_it_works_again(
    parts: Kalla, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    beats, ended = iter("down down down up up down down".split()), threading.Event()

    def should_stop(*_: object) -> bool:
        beat = next(beats, None)
        if beat is None:
            ended.set()
        if beat == "down":
            raise ServiceError("The database does not answer.", code="storage.unreachable")
        return False

    monkeypatch.setattr(chat_lease, "STOP_SECONDS", 0.001)
    monkeypatch.setattr(parts.chats, "should_stop", should_stop)
    monkeypatch.setattr(logging.getLogger("webapp"), "propagate", True)
    with chat_lease.hold_new(parts) as held:
        held.keep()
        assert ended.wait(30)
    said = [record.getMessage() for record in caplog.records if record.name == chat_lease.__name__]
    assert said == [f"the lease of conversation {held.session.session_id}: storage.unreachable"] * 2
