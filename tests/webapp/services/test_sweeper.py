"""Runs that nobody reports about any more."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.webapp.conftest import FakeDispatcher
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.services import sweeper
from webapp.services.sweeper import PENDING_SECONDS, Sweeper, sweep

STALE = 300  # the default of KALLA_RUN_STALE_SECONDS


@pytest.fixture
def make_run(parts: Kalla) -> Callable[[str], str]:
    def make(status: str) -> str:
        run_id = str(uuid.uuid4())
        parts.runs.insert(run_id, "books", "Books", {"sources": {"left": {}, "right": {}}}, "l", "r")
        if status != "pending":
            parts.runs.mark_submitted(run_id)
        if status == "running":
            parts.runs.record_progress(run_id, "matching", progress=0.5)
        return run_id

    return make


def after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def status_of(parts: Kalla, run_id: str) -> str:
    found = parts.runs.get(run_id)
    assert found is not None
    return found.status


GONE: ServiceError = ServiceError("gone", code="runner.unreachable")


@pytest.mark.parametrize(
    ("status", "seconds", "at_runner", "expected"),
    [
        ("pending", PENDING_SECONDS - 5, None, "pending"),
        ("pending", PENDING_SECONDS + 5, None, "failed"),
        ("running", STALE - 5, None, "running"),
        ("running", STALE + 5, None, "failed"),
        ("running", STALE + 5, "running", "running"),
        ("running", 10 * STALE, "queued", "running"),  # started again after a crash
        ("running", STALE + 5, "completed", "running"),  # its report is on the way
        ("running", 2 * STALE + 5, "completed", "failed"),
        ("running", 2 * STALE + 5, "failed", "failed"),
        ("running", STALE + 5, "cancelled", "failed"),
        ("running", STALE + 5, "?", "failed"),
        ("running", STALE + 5, GONE, "failed"),
        ("submitted", STALE - 5, None, "submitted"),
        ("submitted", 10 * STALE, "queued", "submitted"),
        ("submitted", STALE + 5, None, "failed"),
        ("submitted", 10 * STALE, GONE, "submitted"),  # it may wait in a queue
        ("submitted", 21_600 + 5, GONE, "failed"),
    ],
)
def test_silent_runs(
    parts: Kalla, dispatcher: FakeDispatcher, make_run: Callable[[str], str],
    status: str, seconds: float, at_runner: Any, expected: str,
):  # fmt: skip
    run_id = make_run(status)
    if isinstance(at_runner, ServiceError):
        dispatcher.error = at_runner
    elif at_runner:
        dispatcher.statuses[run_id] = {"run_id": run_id, "status": at_runner}
    failed = sweep(parts, after(seconds)).failed
    assert status_of(parts, run_id) == expected
    assert list(failed) == ([run_id] if expected == "failed" else [])
    record = parts.runs.get(run_id)
    assert record is not None
    if expected == "failed":
        assert record.error_message == failed[run_id]
        assert "run it again" in failed[run_id].lower()
        assert record.error_stage == ("matching" if status == "running" else None)


def test_runs_that_have_ended_are_left_alone(parts: Kalla, make_run: Callable[[str], str]):
    runs = {status: make_run("running") for status in ("completed", "failed", "cancelled")}
    paths = {name: "x" for name in ("matched", "unmatched_left", "unmatched_right")}
    counts = {"matched_count": 0, "unmatched_left_count": 0, "unmatched_right_count": 0}
    parts.runs.complete(runs["completed"], {**counts, "output_paths": paths})
    parts.runs.fail(runs["failed"], "no")
    parts.runs.cancel(runs["cancelled"])
    assert sweep(parts, after(10 * STALE)).failed == {}
    assert {status: status_of(parts, run_id) for status, run_id in runs.items()} == {s: s for s in runs}


def test_a_report_that_comes_while_the_runner_is_asked_wins(
    parts: Kalla, dispatcher: FakeDispatcher, make_run: Callable[[str], str]
):
    run_id = make_run("running")

    def status(_: str) -> None:
        parts.runs.cancel(run_id)

    dispatcher.status = status  # type: ignore[method-assign, assignment]
    assert sweep(parts, after(STALE + 5)).failed == {}
    assert status_of(parts, run_id) == "cancelled"


def test_a_runner_that_gives_no_answer_is_asked_once_a_sweep(
    parts: Kalla, dispatcher: FakeDispatcher, make_run: Callable[[str], str]
):
    runs = [make_run("running") for _ in range(3)]
    asked: list[str] = []

    def status(run_id: str) -> None:
        asked.append(run_id)
        raise GONE

    dispatcher.status = status  # type: ignore[method-assign, assignment]
    assert list(sweep(parts, after(STALE + 5)).failed) == runs
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("listening", "at_runner", "expected"),
    [
        (15, "completed", "running"),  # the runner repeats its report at most a minute later
        (2 * STALE - 5, "failed", "running"),
        (2 * STALE + 5, "completed", "failed"),
        (15, GONE, "running"),  # it may be starting too
        (STALE + 5, GONE, "failed"),
        (15, None, "failed"),  # what it does not know it will not report either
    ],
)
def test_an_outage_of_the_app_is_not_the_runners_silence(
    parts: Kalla, dispatcher: FakeDispatcher, make_run: Callable[[str], str],
    listening: float, at_runner: Any, expected: str,
):  # fmt: skip
    run_id = make_run("running")
    if isinstance(at_runner, ServiceError):
        dispatcher.error = at_runner
    elif at_runner:
        dispatcher.statuses[run_id] = {"run_id": run_id, "status": at_runner}
    sweep(parts, after(10 * STALE), since=after(10 * STALE - listening))
    assert status_of(parts, run_id) == expected


@pytest.mark.parametrize(
    ("seconds", "at_runner", "expected"),
    [
        (PENDING_SECONDS + 5, "queued", "submitted"),
        (PENDING_SECONDS + 5, "running", "submitted"),
        (PENDING_SECONDS + 5, "completed", "submitted"),
        (PENDING_SECONDS + 5, "cancelled", "failed"),
        (PENDING_SECONDS + 5, GONE, "pending"),
        (STALE + 5, GONE, "failed"),
    ],
)
def test_a_run_whose_handing_over_was_not_noted(
    parts: Kalla, dispatcher: FakeDispatcher, make_run: Callable[[str], str],
    seconds: float, at_runner: Any, expected: str,
):  # fmt: skip
    """The database was away, or the app was killed, in the moment after the runner took the job."""
    run_id = make_run("pending")
    if isinstance(at_runner, ServiceError):
        dispatcher.error = at_runner
    else:
        dispatcher.statuses[run_id] = {"run_id": run_id, "status": at_runner}
    sweep(parts, after(seconds))
    assert status_of(parts, run_id) == expected


def test_uploads_past_their_time_go(parts: Kalla, monkeypatch: pytest.MonkeyPatch):
    asked: list[Kalla] = []
    monkeypatch.setattr("webapp.services.uploads.expire", asked.append)
    sweep(parts)
    assert asked == [parts]


def wait_for(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not check():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_one_of_several_sweeps_and_the_next_takes_over(parts: Kalla, monkeypatch: pytest.MonkeyPatch):
    swept: list[int] = []
    monkeypatch.setattr(sweeper, "sweep", lambda app, since: swept.append(threading.get_ident()))
    first, second = Sweeper(parts, 0.01), Sweeper(parts, 0.01)
    first.start()
    wait_for(lambda: len(swept) > 1)
    second.start()
    second.start()  # changes nothing
    try:
        time.sleep(0.05)
        assert (first.is_holder, second.is_holder) == (True, False)
        first.stop()
        wait_for(lambda: second.is_holder and len(set(swept)) == 2)
    finally:
        second.stop()
    assert not second.is_holder


def test_a_sweep_that_fails_is_not_the_last(
    parts: Kalla, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    calls: list[None] = []

    def fail(app: Kalla, since: datetime) -> None:
        calls.append(None)
        raise RuntimeError("once more")

    monkeypatch.setattr(sweeper, "sweep", fail)
    worker = Sweeper(parts, 0.01)
    worker.start()
    wait_for(lambda: len(calls) > 2)
    worker.stop()
    assert "a sweep failed" in caplog.text
