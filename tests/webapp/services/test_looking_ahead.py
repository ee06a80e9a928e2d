"""Two files sent to a conversation are read ahead, in the order of their links; other uploads are not."""

from __future__ import annotations

import pytest

from webapp.context import Kalla
from webapp.objects import Upload
from webapp.services import chat, insight, looking_ahead
from webapp.services.insight import SourceRef


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of what is looked at ahead, call by call."""
    found: list[list[str]] = []
    monkeypatch.setattr(insight, "look_ahead", lambda app, *refs: found.append([ref.alias for ref in refs]))
    return found


def test_the_second_file_is_looked_at_with_the_first(parts: Kalla, asked: list[list[str]]) -> None:
    session = chat.create(parts)["session_id"]
    left, right, third = (Upload.new(session, name) for name in ("left.csv", "right.csv", "third.parquet"))
    for upload in (left, right):
        looking_ahead.link_given(upload)
    looking_ahead.arrived(parts, right)
    looking_ahead.arrived(parts, left)
    looking_ahead.arrived(parts, third)  # its link came from another process
    assert asked == [["right.csv"], ["left.csv", "right.csv"], ["third.parquet"]]


def test_files_of_no_conversation_are_left_alone(parts: Kalla, asked: list[list[str]]) -> None:
    upload = Upload.new("a-form-of-a-page", "left.csv")
    looking_ahead.link_given(upload)
    looking_ahead.arrived(parts, upload)
    assert asked == []


def test_the_address_is_the_one_that_the_conversation_asks_for(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[SourceRef] = []
    monkeypatch.setattr(insight, "look_ahead", lambda app, *refs: found.extend(refs))
    upload = Upload.new(chat.create(parts)["session_id"], "left.csv")
    looking_ahead.arrived(parts, upload)
    assert found[0].uri == upload.uri(parts.settings.uploads_bucket) and found[0].filters == ()
