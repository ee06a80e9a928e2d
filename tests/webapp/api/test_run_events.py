"""A run as it changes: the stream of events of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.api.asking import Document, finish, report, start
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import run_events

# --- events --------------------------------------------------------------------------------------------


def read_events(pieces: Any) -> list[tuple[str, Any]]:
    text = "".join(piece if isinstance(piece, str) else piece.decode() for piece in pieces)
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_events_of_an_ended_run(client: FlaskClient, document: Document):
    run_id = start(client, document)
    finish(client, run_id)
    answer = client.get(f"/api/runs/{run_id}/events")
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert answer.headers["Cache-Control"] == "no-cache"
    (first, run), last = read_events([answer.data])
    expected = client.get(f"/api/runs/{run_id}").json
    expected.pop("recipe_snapshot")
    assert (first, run, last) == ("run", expected, ("end", {"status": "completed"}))
    assert answer.text.startswith("retry: ")


def test_events_follow_a_run_to_its_end(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    stream = run_events.events(parts, run_id, poll_seconds=0.01)
    heard = [next(stream)]
    report(client, "progress", run_id, stage="matching", progress=0.5)
    heard.append(next(stream))
    finish(client, run_id)
    heard += list(stream)
    events = read_events(heard)
    assert [name for name, _ in events] == ["run", "run", "run", "end"]
    assert [run["status"] for name, run in events] == ["submitted", "running", "completed", "completed"]
    assert events[1][1]["latest_progress"]["progress"] == 0.5


def test_a_quiet_stream_beats_and_ends_in_time(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    pieces = list(run_events.events(parts, run_id, most_seconds=0.1, poll_seconds=0.01, beat_seconds=0.02))
    assert 1 <= pieces.count(": still here\n\n") <= 5
    assert [name for name, _ in read_events(pieces)] == ["run"]


def test_too_many_streams_turn_into_polls(client: FlaskClient, document: Document, parts: Kalla):
    run_id = start(client, document)
    streams = [run_events.events(parts, run_id, poll_seconds=0.01) for _ in range(run_events.MOST_STREAMS)]
    try:
        for stream in streams:
            next(stream)
            report(client, "progress", run_id, stage="matching")
            next(stream)
        assert len(list(run_events.events(parts, run_id))) == 1
    finally:
        for stream in streams:
            stream.close()  # type: ignore[attr-defined]
    assert len(list(run_events.events(parts, run_id, most_seconds=0.05, poll_seconds=0.01, beat_seconds=0.01))) > 1


def test_a_stream_ends_when_the_database_does(
    client: FlaskClient, document: Document, parts: Kalla, monkeypatch: pytest.MonkeyPatch
):
    run_id = start(client, document)
    stream = run_events.events(parts, run_id, poll_seconds=0.01)
    next(stream)

    def gone(_: str) -> None:
        raise ServiceError("gone", code="database.unavailable")

    monkeypatch.setattr(parts.runs, "get", gone)
    assert list(stream) == []
