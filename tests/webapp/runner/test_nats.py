"""Scaled mode, against a real nats-server with JetStream."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from tests.webapp.runner.helpers import FakeLaunch, Receiver, RunnerProcess, job, settings_of, until
from webapp.runner import create_runner, runner_of
from webapp.runner.nats import CONSUMER, STREAM, SUBJECT
from webapp.signatures import sign


@dataclass
class Server:
    """A nats-server with JetStream below ``folder``; its user needs a password."""

    program: str
    folder: Path
    port: int = -1
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://kalla:tops3cret@127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            self.program, "-js", "-sd", str(self.folder / "nats"), "-a", "127.0.0.1", "-p", str(self.port),
            "--user", "kalla", "--pass", "tops3cret", "--ports_file_dir", str(self.folder),
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ports = self.folder / f"nats-server_{self.process.pid}.ports"
        until(lambda: ports.exists() and ports.read_text().strip().endswith("}"))
        self.port = int(json.loads(ports.read_text())["nats"][0].rpartition(":")[2])

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


@pytest.fixture
def stream(nats_server_path: Path, tmp_path: Path) -> Iterator[Server]:
    found = Server(nats_server_path, tmp_path)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def server(stream: Server) -> str:
    return stream.url


def ask(server: str, what: Callable[[Client], Any]) -> Any:
    async def asked() -> Any:
        client = await nats.connect(server)
        try:
            return await what(client)
        finally:
            await client.close()

    return asyncio.run(asked())


def publish(server: str, data: bytes, run_id: str, secret: str | None = None, at: float | None = None) -> None:
    """As the app does it."""
    headers = {"Nats-Msg-Id": run_id}
    if secret:
        headers["X-Kalla-Signature"] = sign(secret, data, at)

    async def publishing(client: Client) -> None:
        stream = client.jetstream()
        await stream.add_stream(name=STREAM, subjects=[SUBJECT], retention="workqueue")
        await stream.publish(SUBJECT, data, headers=headers)

    ask(server, publishing)


def send(server: str, body: dict[str, Any], secret: str | None = None) -> str:
    publish(server, json.dumps(body).encode(), body["run_id"], secret)
    return str(body["run_id"])


def left(server: str) -> int:
    """Messages that nobody has acknowledged."""

    async def asking(client: Client) -> int:
        return int((await client.jetstream().stream_info(STREAM)).state.messages)

    return int(ask(server, asking))


Start = Callable[..., Any]


@pytest.fixture
def start(server: str, tmp_path: Path, fake: FakeLaunch) -> Iterator[Start]:
    """Starts runners that share the stream and the staging folder."""
    started = []

    def new(overrides: dict[str, Any] | None = None, **changes: Any) -> Any:
        values = {"launch": fake, "ack_seconds": 1.0, **(overrides or {})}
        app = create_runner(settings_of(tmp_path, nats_url=server, **changes), **values)
        started.append(app)
        return app

    yield new
    fake.hold.set()
    for app in started:
        runner_of(app).close(5)


def shared_job(receiver: Receiver, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """A job over uploads, the only files that runners share."""
    sources = []
    for side, key in (("left", "invoices"), ("right", "payments")):
        folder = tmp_path / "staging" / "uploads" / "s" / str(uuid.uuid4())
        folder.mkdir(parents=True)
        source = Path(job("")["sources"][0]["uri"]).parent / f"{key}.csv"
        shutil.copy(source, folder / f"{key}.csv")
        uri = f"s3://kalla-uploads/s/{folder.name}/{key}.csv"
        sources.append({"alias": f"{side}_src", "uri": uri, "type": "csv_upload"})
    return job(receiver.url, sources=sources) | changes


def test_jobs_from_the_stream(
    server: str, start: Start, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    bodies = [shared_job(receiver, tmp_path) for _ in range(5)]
    for body in bodies[:2]:
        send(server, body)
    start()
    for body in bodies[2:]:
        send(server, body)
    for body in bodies:
        assert receiver.wait_final(body["run_id"]).kind == "complete"
    until(lambda: left(server) == 0)
    assert all(len(receiver.finals(b["run_id"])) == 1 for b in bodies)
    assert not any("tops3cret" in str(vars(r)) for r in caplog.records)


def test_long_work_is_renewed_and_runs_once(
    server: str, start: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path
):
    fake.hold.clear()
    start(max_jobs=1)
    start(max_jobs=1)
    run_id = send(server, shared_job(receiver, tmp_path))
    until(lambda: fake.started(run_id) == 1)
    time.sleep(3.5)  # several times the time after which an unrenewed message goes to somebody else
    assert left(server) == 1 and fake.started(run_id) == 1
    fake.hold.set()
    receiver.wait_final(run_id)
    until(lambda: left(server) == 0)
    assert fake.started(run_id) == 1 and len(receiver.finals(run_id)) == 1


def test_a_runner_takes_only_what_it_can_start(
    server: str, start: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path
):
    fake.hold.clear()
    app = start(max_jobs=2)
    for _ in range(4):
        send(server, shared_job(receiver, tmp_path))
    until(lambda: len(fake.requests) == 2)
    time.sleep(1)
    assert "kalla_runner_queued_jobs 0.0" in app.test_client().get("/metrics").text
    start(max_jobs=2)
    until(lambda: len(fake.requests) == 4)
    fake.hold.set()
    until(lambda: left(server) == 0)


def test_refused_jobs_end_with_an_error(server: str, start: Start, receiver: Receiver, tmp_path: Path):
    start()
    cases = {
        "job.sql_forbidden": shared_job(receiver, tmp_path, match_sql="DROP TABLE left_src"),
        "job.output_forbidden": shared_job(receiver, tmp_path, output_path="local/folder"),
        "job.invalid": job(receiver.url),  # its sources are files of one machine
    }
    for code, body in cases.items():
        final = receiver.wait_final(send(server, body))
        assert (final.kind, final.body["code"]) == ("error", code)
    until(lambda: left(server) == 0)


def test_what_nobody_can_be_told_of_is_dropped(server: str, start: Start, receiver: Receiver, tmp_path: Path):
    start(callback_secrets=("s3cret",))
    unsigned, late = shared_job(receiver, tmp_path), shared_job(receiver, tmp_path)
    send(server, unsigned)
    send(server, unsigned | {"run_id": str(uuid.uuid4())}, "other")
    publish(server, json.dumps(late).encode(), late["run_id"], "s3cret", time.time() - 400)
    publish(server, b"{", "x", "s3cret")
    send(server, shared_job(receiver, tmp_path, callback_url="http://169.254.169.254/x"), "s3cret")
    good = send(server, shared_job(receiver, tmp_path), "s3cret")
    receiver.wait_final(good)
    until(lambda: left(server) == 0)
    assert {c.body["run_id"] for c in receiver.calls} == {good}


def test_a_stopped_runner_gives_its_jobs_back(
    server: str, start: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path
):
    fake.hold.clear()
    first = start()
    run_id = send(server, shared_job(receiver, tmp_path))
    until(lambda: fake.started(run_id) == 1)
    runner_of(first).close(0)
    start()
    until(lambda: fake.started(run_id) == 2)
    fake.hold.set()
    assert receiver.wait_final(run_id).kind == "complete"
    until(lambda: left(server) == 0)


def test_a_stream_that_is_gone_for_a_moment(
    stream: Server, start: Start, fake: FakeLaunch, receiver: Receiver, tmp_path: Path
):
    """Work goes on, and the message is renewed on the next connection."""
    fake.hold.clear()
    start({"ack_seconds": 4.0}, max_jobs=1)
    run_id = send(stream.url, shared_job(receiver, tmp_path))
    until(lambda: fake.started(run_id) == 1)
    stream.stop()
    time.sleep(0.5)
    stream.start()
    start({"ack_seconds": 4.0}, max_jobs=1)
    time.sleep(5)
    assert left(stream.url) == 1 and fake.started(run_id) == 1
    fake.hold.set()
    receiver.wait_final(run_id)
    until(lambda: left(stream.url) == 0)
    assert fake.started(run_id) == 1


def test_killed_runners(server: str, receiver: Receiver, tmp_path: Path):
    """Three deliveries, each to a runner that is killed, then an error."""
    runner = RunnerProcess(tmp_path, run_seconds=600, environment={"NATS_URL": server})
    run_id = send(server, shared_job(receiver, tmp_path))
    try:
        for _ in range(3):
            seen = len(receiver.of(run_id, "progress"))
            runner.start()
            assert receiver.wait(lambda seen=seen: len(receiver.of(run_id, "progress")) > seen)  # type: ignore[misc]
            runner.end(signal.SIGKILL)
            assert not receiver.finals(run_id)
        runner.start()
        final = receiver.wait_final(run_id)
        assert (final.kind, final.body["code"]) == ("error", "job.interrupted")
        until(lambda: left(server) == 0)
    finally:
        runner.end(signal.SIGKILL)


def test_the_consumer_is_the_shared_one(server: str, start: Start, receiver: Receiver, tmp_path: Path):
    start()

    async def asking(client: Client) -> Any:
        return await client.jetstream().consumer_info(STREAM, CONSUMER)

    send(server, shared_job(receiver, tmp_path))
    until(lambda: left(server) == 0)
    found = ask(server, asking)
    assert (found.config.durable_name, found.config.ack_policy) == ("kalla-runners", "explicit")


def test_a_stream_that_comes_later(tmp_path: Path, fake: FakeLaunch, caplog: pytest.LogCaptureFixture):
    """Without a server the runner lives on, says so, and shows no password."""
    app = create_runner(settings_of(tmp_path, nats_url="nats://u:tops3cret@127.0.0.1:1"), launch=fake)
    try:
        until(lambda: "cannot be reached" in caplog.text)
        assert app.test_client().get("/health").status_code == 200
    finally:
        runner_of(app).close(0)
    assert not any("tops3cret" in str(vars(r)) for r in caplog.records)
