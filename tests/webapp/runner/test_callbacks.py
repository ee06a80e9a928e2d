"""Callbacks: when they are sent, how often, in which order, and to whom they never go."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.webapp.runner.helpers import FakeLaunch, Receiver, digest_is_right, job, receiving, settings_of, until
from webapp.errors import ServiceError
from webapp.runner.delivery import Delivery
from webapp.runner.jobs import Guards
from webapp.runner.outbox import wait_after
from webapp.runner.progress import Pace
from webapp.signatures import sign

Start = Callable[..., FlaskClient]
STAGING = {"event": "progress", "stage": "staging", "source": "invoices", "progress": 0.0}
MATCHING = {"event": "progress", "stage": "matching", "source": None, "progress": 0.0}


def submit(client: FlaskClient, receiver: Receiver, **changes: Any) -> str:
    body = job(receiver.url, **changes)
    answer = client.post("/api/jobs", json=body)
    assert answer.status_code == 202, answer.json
    return str(body["run_id"])


def failed_callbacks(client: FlaskClient, kind: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if f'callbacks_failed_total{{kind="{kind}"}}' in line).split()[-1])


def test_progress_is_the_newest_and_at_most_one_in_a_time(runners: Start, fake: FakeLaunch, receiver: Receiver):
    fake.hold.clear()
    fake.events = [STAGING] * 500 + [MATCHING]
    client = runners({"pace": Pace(0.2, 0.5)})
    run_id = submit(client, receiver)
    assert receiver.wait(lambda: len(receiver.of(run_id, "progress")) >= 5)
    status = client.get(f"/api/jobs/{run_id}").json
    fake.hold.set()
    receiver.wait_final(run_id)
    calls = receiver.of(run_id)
    assert calls[-1].kind == "complete" and {c.kind for c in calls[:-1]} == {"progress"}
    progress = calls[:-1]
    assert progress[1].body == {"run_id": run_id, "stage": "matching", "progress": 0.0}
    gaps = [b.at - a.at for a, b in itertools.pairwise(progress)]
    assert min(gaps) > 0.15 and sum(gaps[1:]) / len(gaps[1:]) > 0.35  # news at once, then signs of life
    assert status == {"run_id": run_id, "status": "running", "stage": "matching", "progress": 0.0}


def test_a_slow_receiver_never_holds_up_the_work(runners: Start, fake: FakeLaunch, receiver: Receiver):
    going, order = threading.Event(), []

    def answer(kind: str, body: dict[str, Any]) -> int:
        if kind == "progress":
            going.wait(10)
        order.append(kind)
        return 200

    receiver.answer = answer
    client = runners()
    run_id = submit(client, receiver)
    until(lambda: (client.get(f"/api/jobs/{run_id}").json or {})["status"] == "completed", 5)
    assert not receiver.calls
    going.set()
    receiver.wait_final(run_id)
    assert order == ["progress", "complete"]


def test_progress_has_one_attempt(runners: Start, fake: FakeLaunch, receiver: Receiver):
    receiver.answer = lambda kind, body: 500 if kind == "progress" else 200
    client = runners()
    run_id = submit(client, receiver)
    receiver.wait_final(run_id)
    assert len(receiver.of(run_id, "progress")) == failed_callbacks(client, "progress") == 1


@pytest.mark.parametrize("status", [401, 408, 429, 500, 307])
def test_repeats(runners: Start, fake: FakeLaunch, receiver: Receiver, status: int):
    client = runners(callback_secrets=("s3cret", "older"))
    statuses = [status, 200]
    receiver.answer = lambda kind, body: 200 if kind == "progress" else statuses.pop(0)
    body = job(receiver.url)
    data = json.dumps(body).encode()
    headers = {"X-Kalla-Signature": sign("older", data)}
    assert client.post("/api/jobs", data=data, headers=headers).status_code == 202
    assert receiver.wait_final(body["run_id"]).kind == "complete"
    first, second = receiver.of(body["run_id"], "complete")
    assert second.at - first.at > 0.45 and first.body == second.body
    assert digest_is_right(first, "s3cret") and digest_is_right(second, "s3cret")
    assert failed_callbacks(client, "complete") == 1
    assert {c.kind for c in receiver.calls} <= {"progress", "complete"}  # a redirect was not followed


@pytest.mark.parametrize("status", [400, 404])
def test_other_refusals_end_it(runners: Start, receiver: Receiver, status: int, caplog: pytest.LogCaptureFixture):
    receiver.answer = lambda kind, body: status
    client = runners()
    run_id = submit(client, receiver)
    assert receiver.wait(lambda: bool(receiver.of(run_id, "complete")))
    until(lambda: any(r.levelno == logging.ERROR and vars(r).get("run_id") == run_id for r in caplog.records))
    time.sleep(0.7)
    assert len(receiver.of(run_id, "complete")) == 1


def test_waits():
    assert [wait_after(n) for n in range(10)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert wait_after(10_000) == 60


def test_a_receiver_that_is_gone_for_a_while(runners: Start, receiver: Receiver):
    with receiving() as gone:
        url, port = gone.url, gone.port
    client = runners()
    body = job(url)
    assert client.post("/api/jobs", json=body).status_code == 202
    until(lambda: failed_callbacks(client, "complete") >= 2)
    with receiving(port) as back:
        assert back.wait_final(body["run_id"]).kind == "complete"


def test_it_ends_some_day(runners: Start, caplog: pytest.LogCaptureFixture):
    with receiving() as gone:
        url = gone.url
    client = runners({"give_up_after": 0.4})
    assert client.post("/api/jobs", json=job(url)).status_code == 202
    until(lambda: any("given up" in r.getMessage() for r in caplog.records))
    assert failed_callbacks(client, "complete") == 2


def test_the_first_final_does_not_wait_for_others(runners: Start, fake: FakeLaunch, receiver: Receiver):
    """One receiver that swallows every attempt keeps no other one from its callbacks."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = runners(max_jobs=4)
        for _ in range(2):
            client.post("/api/jobs", json=job(f"http://127.0.0.1:{silent.getsockname()[1]}/x"))
        run_id = submit(client, receiver)
        receiver.wait_final(run_id, 5)


def delivery(tmp_path: Path, host: str = "127.0.0.1", addresses: tuple[str, ...] = ("127.0.0.1",)) -> Delivery:
    return Delivery(settings_of(tmp_path), lambda url: (host, int(url.rpartition(":")[2].partition("/")[0]), addresses))


def test_an_attempt_ends_in_time(tmp_path: Path):
    """Each byte comes within the socket's own limit; the attempt as a whole has one too."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                for _ in range(40):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return
                    time.sleep(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        found = delivery(tmp_path).post(f"http://127.0.0.1:{server.getsockname()[1]}/x", "complete", {}, timeout=0.5)
        assert found.result == "again" and time.monotonic() - started < 2
        thread.join()


def test_only_the_checked_address_is_called(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch):
    """Whatever the name means a moment after the check; the Host header stays the name."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **named: Any) -> Any:
        asked.append(host)
        return real(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = receiver.url.replace("127.0.0.1", "erp.invalid")
    assert delivery(tmp_path, "erp.invalid").post(url, "complete", {"run_id": "x"}).ok
    assert receiver.calls and set(asked) == {"127.0.0.1"}


def test_a_second_address_is_tried_and_none_at_all_is_told(tmp_path: Path, receiver: Receiver):
    both = delivery(tmp_path, addresses=("127.99.99.99", "127.0.0.1"))
    assert both.post(receiver.url, "complete", {"run_id": "x"}).ok
    found = delivery(tmp_path, "erp.invalid", ()).post(receiver.url, "complete", {"run_id": "x"})
    assert found.result == "again" and "not found" in found.detail


def test_hosts_are_checked_at_each_attempt(runners: Start, fake: FakeLaunch, receiver: Receiver):
    """A name that came to mean a forbidden address after the job was accepted is not called."""
    forbidden = threading.Event()

    def check_host(host: str, port: int, code: str) -> tuple[str, ...]:
        if forbidden.is_set():
            raise ServiceError("No.", code=code)
        return (host,)

    fake.hold.clear()
    client = runners({"guards": Guards(check_host, lambda uri: None, lambda kind, uri: None)})
    run_id = submit(client, receiver)
    assert receiver.wait(lambda: bool(receiver.calls))
    forbidden.set()
    fake.hold.set()
    until(lambda: failed_callbacks(client, "complete") >= 1)
    assert not receiver.of(run_id, "complete")
    forbidden.clear()
    receiver.wait_final(run_id)


def test_nothing_secret_is_logged_or_reported(
    runners: Start, fake: FakeLaunch, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    def launch(request: Any, *rest: Any) -> dict[str, Any]:
        uri = request.recipe["sources"]["left"]["uri"]
        error = {"code": "source.unreachable", "message": f"No answer from {uri}.", "details": []}
        return {"run_id": request.run_id, "status": "failed", "error": error, "trace": f"at {uri}"}

    caplog.set_level(logging.DEBUG)
    client = runners({"launch": launch})
    sources = job(receiver.url)["sources"]
    sources[0] = {"alias": "left_src", "uri": "postgres://u:tops3cret@127.0.0.1:1/d?table=t", "type": "postgres"}
    run_id = submit(client, receiver, sources=sources)
    final = receiver.wait_final(run_id)
    assert (final.kind, final.body) == (
        "error",
        {"run_id": run_id, "error": "No answer from postgres://u:***@127.0.0.1:1/d?table=t.", "stage": "staging",
         "code": "source.unreachable"},
    )  # fmt: skip
    lines = [str(vars(r)) for r in caplog.records]
    assert any("postgres://u:***@" in line for line in lines)
    assert not any("tops3cret" in line for line in lines)


def test_a_failure_nobody_foresaw(runners: Start, receiver: Receiver):
    def launch(request: Any, *rest: Any) -> dict[str, Any]:
        raise ZeroDivisionError("tops3cret")

    run_id = submit(runners({"launch": launch}), receiver)
    final = receiver.wait_final(run_id)
    assert final.kind == "error" and "tops3cret" not in final.body["error"] and final.body["stage"] == "staging"
