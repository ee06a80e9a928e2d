"""Reports of runs that are forged, come twice, too late or in the wrong order, sent to a served app over HTTP."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.webapp.served.serving import Served, served
from webapp.signatures import HEADER, sign

SECRET = "the-secret-of-both"


class _Taker(BaseHTTPRequestHandler):
    """A runner that takes every job and does nothing: the test reports in its place."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202, {"status": "accepted"})

    def do_GET(self) -> None:
        self._answer(200, {"status": "running"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An app whose runner is this test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_address[1]}"
        folder = tmp_path_factory.mktemp("reported")
        with served(folder, WORKER_URL=address, KALLA_CALLBACK_SECRET=SECRET) as found:
            yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def report(kalla: Served, kind: str, body: dict[str, Any], header: str | None = "") -> tuple[int, dict[str, Any]]:
    """Send a callback as a runner does; ``header`` in place of its signature, None for none."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{kalla.url}/api/worker/{kind}", data, {"Content-Type": "application/json"})
    if header is not None:
        request.add_header(HEADER, header or sign(SECRET, data))
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def progress_of(run_id: str, stage: str, **more: Any) -> dict[str, Any]:
    return {"run_id": run_id, "stage": stage, **more}


def end_of(run_id: str, matched: int = 7) -> dict[str, Any]:
    paths = {name: f"/x/{run_id}/{name}/" for name in ("matched", "unmatched_left", "unmatched_right")}
    counts = {"matched_count": matched, "unmatched_left_count": 8, "unmatched_right_count": 8}
    return {"run_id": run_id, **counts, "left_record_count": 15, "right_record_count": 15, "output_paths": paths}


TAKEN, IGNORED = (200, {"ok": True}), (200, {"ok": True, "ignored": True})


def forgeries(body: dict[str, Any]) -> dict[str, str | None]:
    data, now = json.dumps(body).encode(), time.time()
    other = json.dumps({**body, "matched_count": 1_000_000}).encode()
    genuine = sign(SECRET, data)
    return {
        "none": None,
        "another secret": sign("guessed", data),
        "of another body": sign(SECRET, other),
        "too old": sign(SECRET, data, now - 301),
        "of the future": sign(SECRET, data, now + 310),
        "time changed": f"t={int(now) - 1},{genuine.partition(',')[2]}",
        "digest cut": genuine[:-1],
        "digest of nothing": f"t={int(now)},v1={'0' * 64}",
        "no form": "trust me",
    }


def test_forged_reports_change_nothing(reported: Served) -> None:
    run_id = reported.submit()
    before = reported.run(run_id)
    error = {"run_id": run_id, "error": "gone"}
    for kind, body in (("progress", progress_of(run_id, "staging")), ("complete", end_of(run_id)), ("error", error)):
        for name, header in forgeries(body).items():
            status, answer = report(reported, kind, body, header)
            assert (status, answer["code"]) == (401, "callback.bad_signature"), (kind, name, status, answer)
    assert report(reported, "complete", end_of(run_id, -1), None)[0] == 401  # the signature is asked for first
    assert reported.run(run_id) == before
    assert before["status"] == "submitted"


def test_reports_that_come_again_or_late_do_not_move_a_run_back(reported: Served) -> None:
    run_id = reported.submit()
    totals = {"total_left": 15, "total_right": 15}
    assert report(reported, "progress", progress_of(run_id, "staging", progress=0.5)) == TAKEN
    assert report(reported, "progress", progress_of(run_id, "writing_results", progress=0.5, **totals)) == TAKEN
    ahead = reported.run(run_id)
    assert ahead["status"] == "running" and ahead["latest_progress"]["stage"] == "writing_results"
    for stage in ("staging", "matching"):
        assert report(reported, "progress", progress_of(run_id, stage, progress=0.9, total_left=1)) == IGNORED
    assert reported.run(run_id) == ahead
    assert report(reported, "complete", end_of(run_id)) == TAKEN
    done = reported.run(run_id)
    assert done["status"] == "completed" and done["matched_count"] == 7 and done["left_record_count"] == 15
    for kind, body in (
        ("complete", end_of(run_id)),
        ("complete", end_of(run_id, 5)),
        ("error", {"run_id": run_id, "error": "too late", "stage": "matching"}),
        ("progress", progress_of(run_id, "writing_results", progress=1.0)),
        ("progress", progress_of(run_id, "staging", progress=0.0)),
    ):
        assert report(reported, kind, body) == IGNORED, (kind, body)
    assert reported.run(run_id) == done


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_reports_after_an_end_that_came_first(reported: Served, end: str) -> None:
    """The network may turn the order round altogether."""
    run_id = reported.submit()
    error = {"run_id": run_id, "error": "The disk is full.", "stage": "staging"}
    if end == "cancelled":
        assert reported.call("POST", f"/api/runs/{run_id}/cancel", {})[0] == 200
    else:
        kind, body = ("complete", end_of(run_id)) if end == "completed" else ("error", error)
        assert report(reported, kind, body) == TAKEN
    ended = reported.run(run_id)
    assert ended["status"] == end
    for kind, body in (
        ("progress", progress_of(run_id, "staging")),
        ("progress", progress_of(run_id, "writing_results")),
        ("complete", end_of(run_id, 6)),
        ("error", error | {"error": "Something else."}),
    ):
        assert report(reported, kind, body) == IGNORED
    assert reported.run(run_id) == ended


def test_of_many_ends_at_the_same_moment_one_counts(reported: Served) -> None:
    run_id = reported.submit()
    start = threading.Barrier(24)

    def send(number: int) -> tuple[int, int, dict[str, Any]]:
        if number % 3 == 2:
            kind, body = "progress", progress_of(run_id, "matching", progress=0.5)
        elif number % 3:
            kind, body = "error", {"run_id": run_id, "error": f"number {number}"}
        else:
            kind, body = "complete", end_of(run_id, number)
        start.wait()
        return number, *report(reported, kind, body)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(send, range(24)))
    assert {status for _, status, _ in answers} == {200}
    counted = [number for number, _, answer in answers if number % 3 != 2 and "ignored" not in answer]
    run = reported.run(run_id)
    assert len(counted) == 1, answers
    expected = ("failed", 0) if counted[0] % 3 else ("completed", counted[0])
    assert (run["status"], run["matched_count"]) == expected, run
    assert run["error_message"] == (f"number {counted[0]}" if expected[0] == "failed" else None)
