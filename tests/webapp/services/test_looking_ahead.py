"""Two files sent to a conversation are read ahead, in the order of their links; other uploads are not."""

from __future__ import annotations

import io
import logging
import threading

import pytest

from connectors.csv.reader import CsvConnector
from webapp.context import Kalla
from webapp.objects import Upload
from webapp.services import chat, insight, looking_ahead, previews, uploads
from webapp.services.findings import Findings
from webapp.services.insight import SourceRef


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of what is looked at ahead, call by call."""
    found: list[list[str]] = []
    monkeypatch.setattr(
        insight, "look_ahead", lambda app, *refs: found.append([ref.uri.rpartition("/")[2] for ref in refs])
    )
    return found


def test_the_second_file_is_looked_at_with_the_first(parts: Kalla, asked: list[list[str]]) -> None:
    session = chat.create(parts)["session_id"]
    left, right, third = (Upload.new(session, name) for name in ("left.csv", "right.csv", "third.parquet"))
    for upload in (left, right):
        looking_ahead.link_given(parts.settings, upload)
    looking_ahead.arrived(parts, right)
    looking_ahead.arrived(parts, left)
    looking_ahead.arrived(parts, third)  # its link is not known any more
    assert asked == [["right.csv"], ["left.csv", "right.csv"], ["third.parquet"]]


def test_files_of_no_conversation_are_left_alone(parts: Kalla, asked: list[list[str]]) -> None:
    upload = Upload.new("a-form-of-a-page", "left.csv")
    looking_ahead.link_given(parts.settings, upload)
    looking_ahead.arrived(parts, upload)
    assert asked == []


def test_the_address_is_the_one_that_the_conversation_asks_for(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[SourceRef] = []
    monkeypatch.setattr(insight, "look_ahead", lambda app, *refs: found.extend(refs))
    upload = Upload.new(chat.create(parts)["session_id"], "left.csv")
    looking_ahead.arrived(parts, upload)
    assert found[0].uri == upload.uri(parts.settings.uploads_bucket) and found[0].filters == ()


def test_any_name_of_a_file_will_do(parts: Kalla) -> None:
    upload = Upload.new(chat.create(parts)["session_id"], "Bank, März (2).csv")
    text = io.BytesIO(b"id,amount\n1,2.50\n")
    parts.objects.write(upload, text.read, None)
    looking_ahead.arrived(parts, upload)
    ref = SourceRef("bank", "csv_upload", upload.uri(parts.settings.uploads_bucket))
    assert insight.for_sources(parts, ref, None).left.rows == [["1", "2.50"]]
    for thread in threading.enumerate():
        if thread.name == "kalla-look-ahead":
            thread.join(30)  # what goes wrong in it fails the test


def test_what_a_confirmation_counted_is_not_counted_again(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    preview = CsvConnector.preview
    monkeypatch.setattr(CsvConnector, "preview", lambda self, limit: counted.append(limit) or preview(self, limit))
    upload = Upload.new(chat.create(parts)["session_id"], "bank.csv")
    parts.objects.write(upload, io.BytesIO(b"id,amount\n1,2.50\n").read, None)
    uri = upload.uri(parts.settings.uploads_bucket)
    uploads.confirm(parts, upload.upload_id, {"s3_uri": uri, "filename": "bank.csv"})
    assert previews.preview_upload(parts, "bank", uri)["total_rows"] == 1
    assert len(counted) == 1


def test_a_shortcut_that_fails_fails_nobody(
    parts: Kalla, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(insight, "look_ahead", fails)
    monkeypatch.setattr(logging.getLogger("webapp"), "propagate", True)
    looking_ahead.arrived(parts, Upload.new(chat.create(parts)["session_id"], "left.csv"))
    (record,) = [record for record in caplog.records if record.name == looking_ahead.__name__]
    assert record.exc_info is not None and record.exc_info[0] is RuntimeError


def test_a_thread_that_cannot_start_takes_no_place(parts: Kalla, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    places = threading.BoundedSemaphore(1)
    monkeypatch.setattr(insight, "_AHEAD", places)
    monkeypatch.setattr(threading.Thread, "start", fails)
    with pytest.raises(RuntimeError):
        insight.look_ahead(parts, SourceRef("left.csv", "csv", "/nowhere/left.csv"))
    assert places.acquire(blocking=False)


def test_few_files_and_conversations_are_kept_in_mind(
    parts: Kalla, asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_ahead, "_LINKS", Findings("links", 2))
    sessions = [chat.create(parts)["session_id"] for _ in range(3)]
    for session in sessions:
        for number in range(12):
            looking_ahead.arrived(parts, Upload.new(session, f"{number}.csv"))
    assert len(list((parts.settings.staging_path / "findings").glob("links-*"))) == 2
    assert asked[-12:] == [["0.csv"], ["0.csv", "1.csv"], *([f"{number}.csv"] for number in range(2, 12))]
