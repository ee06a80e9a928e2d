"""The way to the runner, against a real local HTTP server standing in for it, and against a real NATS server."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers import free_port
from webapp.dispatch import STREAM, SUBJECT, HttpDispatcher, NatsDispatcher
from webapp.errors import ServiceError
from webapp.signatures import HEADER, verify

RUN = "0c7b1b7e-6f4f-4d3c-9a53-0d0f0f0b8f11"
JOB = {
    "run_id": RUN,
    "sources": [{"alias": "left_src", "uri": "postgres://u:p@h/d?table=t", "filters": [{"value": Decimal("100.00")}]}],
}

Reply = Callable[["Runner", BaseHTTPRequestHandler], None]


class Runner:
    """Answers each request with the next reply, the last one again and again; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.replies: list[Reply] = []
        runner = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                runner.asked.append((self.command, self.path, dict(self.headers), body))
                reply = runner.replies.pop(0) if len(runner.replies) > 1 else runner.replies[0]
                reply(runner, self)

            do_GET = do_POST = answer

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.released = threading.Event()


def says(status: int, body: object, **headers: str) -> Reply:
    def reply(_: Runner, handler: BaseHTTPRequestHandler) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def hangs(runner: Runner, handler: BaseHTTPRequestHandler) -> None:
    runner.released.wait(10)


def resets(_: Runner, handler: BaseHTTPRequestHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def closes(_: Runner, handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True


def babbles(_: Runner, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def breaks_off(_: Runner, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 500\r\n\r\n{")


@pytest.fixture
def runner() -> Iterator[Runner]:
    made = Runner()
    made.thread.start()
    yield made
    made.released.set()
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


ACCEPTED = says(202, {"run_id": RUN, "status": "accepted"})


def test_a_job_arrives_signed_and_with_exact_numbers(runner: Runner):
    runner.replies = [ACCEPTED]
    HttpDispatcher(runner.url + "/", ("new", "old")).submit(JOB)
    ((method, path, headers, body),) = runner.asked
    assert (method, path) == ("POST", "/api/jobs")
    verify(headers[HEADER], ("new",), body)
    assert b'{"value": 100.00}' in body
    assert json.loads(body)["run_id"] == RUN


def test_without_secrets_nothing_is_signed(runner: Runner):
    runner.replies = [ACCEPTED]
    HttpDispatcher(runner.url).submit(JOB)
    assert HEADER not in runner.asked[0][2]


def test_a_path_in_the_runners_address_is_kept(runner: Runner):
    runner.replies = [ACCEPTED]
    HttpDispatcher(runner.url + "/kalla/").submit(JOB)
    assert runner.asked[0][1] == "/kalla/api/jobs"


@pytest.mark.parametrize("fault", [resets, closes, babbles, breaks_off, says(202, b"<html>"), says(200, ["no object"])])
def test_an_answer_that_makes_no_sense_is_asked_for_once_more(runner: Runner, fault: Reply):
    runner.replies = [fault, ACCEPTED]
    HttpDispatcher(runner.url, ("s",)).submit(JOB)
    assert [body for _, _, _, body in runner.asked] == [runner.asked[0][3]] * 2  # the same payload, so taken once


@pytest.mark.parametrize("fault", [resets, closes, babbles, breaks_off, says(202, b"<html>"), says(200, ["no object"])])
def test_a_runner_that_makes_no_sense_is_unreachable(runner: Runner, fault: Reply):
    runner.replies = [fault]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).submit(JOB)
    assert (raised.value.code, raised.value.status) == ("runner.unreachable", 502)
    assert len(runner.asked) == 2


def test_a_runner_that_does_not_answer_is_given_up(runner: Runner):
    runner.replies = [hangs]
    began = time.monotonic()
    with pytest.raises(ServiceError, match="in time") as raised:
        HttpDispatcher(runner.url, seconds=0.1).submit(JOB)
    assert raised.value.code == "runner.unreachable"
    assert time.monotonic() - began < 5


def test_nobody_listens():
    with pytest.raises(ServiceError, match="cannot be reached") as raised:
        HttpDispatcher(f"http://127.0.0.1:{free_port()}").submit(JOB)
    assert raised.value.code == "runner.unreachable"


def test_a_host_that_does_not_exist():
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher("http://no-such-host.invalid:9090").submit(JOB)
    assert raised.value.code == "runner.unreachable"


@pytest.mark.parametrize("url", ["runner:9090", "ftp://runner/", "http://", "//runner"])
def test_an_address_that_is_none(url: str):
    with pytest.raises(ServiceError, match="WORKER_URL"):
        HttpDispatcher(url)


def test_a_full_queue_can_be_tried_again(runner: Runner):
    refusal = {"error": "The queue is full.", "code": "runner.queue_full"}
    runner.replies = [says(503, refusal, Retry_After="17")]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).submit(JOB)
    assert raised.value.code == "run.dispatch_failed"
    assert "queue is full" in raised.value.hint
    assert raised.value.headers == {"Retry-After": "17"}
    assert len(runner.asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, {"error": "sources must be two", "code": "job.invalid", "details": [{"path": "sources"}]}, "sources must be two"),
        (401, {"error": "The signature is wrong.", "code": "callback.bad_signature"}, "KALLA_CALLBACK_SECRET"),
        (409, {"error": "Another job has this id.", "code": "job.conflict"}, "Another job"),
        (500, b"<h1>Internal Server Error</h1>", "status 500"),
        (503, b"no upstream", "Try again"),
        (302, b"", "redirect"),
        (404, {"detail": "Not Found"}, "status 404"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(runner: Runner, status: int, body: object, told: str):
    runner.replies = [says(status, body, Location="/elsewhere")]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).submit(JOB)
    assert raised.value.code == "run.dispatch_failed"
    assert told in f"{raised.value.message} {raised.value.hint}"
    assert len(runner.asked) == 1


def test_secrets_in_the_runners_words_are_masked(runner: Runner):
    runner.replies = [says(400, {"error": "no table in postgres://u:geheim@h/d", "code": "job.invalid"})]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).submit(JOB)
    assert "geheim" not in raised.value.message


def test_status(runner: Runner):
    runner.replies = [
        says(200, {"run_id": RUN, "status": "running"}),
        says(404, {"error": "?", "code": "job.not_found"}),
    ]
    dispatcher = HttpDispatcher(runner.url, ("s",))
    assert dispatcher.status(RUN) == {"run_id": RUN, "status": "running"}
    assert dispatcher.status(RUN) is None
    method, path, headers, body = runner.asked[0]
    assert (method, path, body) == ("GET", f"/api/jobs/{RUN}", b"")
    verify(headers[HEADER], ("s",), b"")


@pytest.mark.parametrize(
    "fault", [says(500, {}), says(404, {"error": "?", "code": "route.not_found"}), resets, says(401, {})]
)
def test_a_status_that_is_not_known(runner: Runner, fault: Reply):
    runner.replies = [fault]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).status(RUN)
    assert raised.value.code == "runner.unreachable"


@pytest.mark.parametrize("answer", [says(202, {}), says(404, {}), says(409, {})])
def test_cancel_leaves_ended_jobs_alone(runner: Runner, answer: Reply):
    runner.replies = [answer]
    HttpDispatcher(runner.url).cancel(RUN)
    assert runner.asked[0][:2] == ("POST", f"/api/jobs/{RUN}/cancel")


def test_cancel_says_when_the_runner_could_not_be_told(runner: Runner):
    runner.replies = [says(500, {})]
    with pytest.raises(ServiceError):
        HttpDispatcher(runner.url).cancel(RUN)


def test_load_scoped_gives_the_rows(runner: Runner):
    rows = {"alias": "a b", "columns": [], "rows": [], "total_rows": 0, "preview_rows": 0}
    runner.replies = [says(200, rows)]
    body = {"uri": "x", "conditions": [{"column": "n", "op": "eq", "value": Decimal("0.10")}]}
    assert HttpDispatcher(runner.url).load_scoped("a b/ü", body) == rows
    assert runner.asked[0][1] == "/api/sources/a%20b%2F%C3%BC/load-scoped"
    assert b'"value": 0.10' in runner.asked[0][3]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "filter.unknown_op"),
        (404, "source.table_not_found"),
        (502, "source.unreachable"),
        (404, "upload.not_found"),
    ],
)
def test_load_scoped_passes_the_runners_refusals_on(runner: Runner, status: int, code: str):
    detail = {"path": "conditions[0].op", "message": "?", "code": code}
    runner.replies = [says(status, {"error": "No.", "code": code, "details": [detail]})]
    with pytest.raises(ServiceError, match="No") as raised:
        HttpDispatcher(runner.url).load_scoped("bank", {})
    assert (raised.value.code, raised.value.status, raised.value.details) == (code, status, [detail])


@pytest.mark.parametrize(
    "answer", [says(500, {"code": "internal.error", "error": "?"}), says(401, {"code": "callback.bad_signature", "error": "?"}),
               says(404, {"code": "route.not_found", "error": "?"}), says(502, b"bad gateway"), resets]
)  # fmt: skip
def test_load_scoped_with_a_broken_runner(runner: Runner, answer: Reply):
    runner.replies = [answer]
    with pytest.raises(ServiceError) as raised:
        HttpDispatcher(runner.url).load_scoped("bank", {})
    assert (raised.value.code, raised.value.status) == ("runner.unreachable", 502)


# --- NATS ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nats_url(nats_server_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = str(nats_server_path)
    port, folder = free_port(), tmp_path_factory.mktemp("nats")
    command = [program, "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(folder), "-l", str(Path(folder, "log"))]
    with subprocess.Popen(command) as process:
        try:
            for _ in range(200):
                try:
                    socket.create_connection(("127.0.0.1", port), 0.2).close()
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()


async def _taken(url: str, most: int) -> tuple[list[Any], Any]:
    import nats

    client = await nats.connect(url)
    stream = client.jetstream()
    waiting = await stream.pull_subscribe(SUBJECT, durable="kalla-runners", stream=STREAM)
    found = await waiting.fetch(most, timeout=2)
    for message in found:
        await message.ack_sync()
    info = await stream.stream_info(STREAM)
    await client.close()
    return found, info


def test_a_published_job_waits_in_the_stream_once(nats_url: str):
    dispatcher = NatsDispatcher(nats_url, ("s",))
    dispatcher.submit(JOB)
    dispatcher.submit(JOB)  # the same message id: the stream keeps one
    other = {**JOB, "run_id": RUN.replace("0c7b", "1111")}
    dispatcher.submit(other)
    messages, info = asyncio.run(_taken(nats_url, 2))
    assert [json.loads(m.data)["run_id"] for m in messages] == [RUN, other["run_id"]]
    verify(messages[0].headers[HEADER], ("s",), messages[0].data)
    assert messages[0].headers["Nats-Msg-Id"] == RUN
    assert (info.config.retention, info.config.subjects, info.state.messages) == ("workqueue", [SUBJECT], 0)


def test_no_nats_there():
    with pytest.raises(ServiceError, match="did not confirm") as raised:
        NatsDispatcher(f"nats://kalla:geheim@127.0.0.1:{free_port()}", seconds=2).submit(JOB)
    assert raised.value.code == "run.dispatch_failed"
    assert "geheim" not in str(raised.value)


def test_something_else_listens_where_nats_should(runner: Runner):
    with pytest.raises(ServiceError) as raised:
        NatsDispatcher(runner.url.replace("http", "nats"), seconds=1).submit(JOB)
    assert raised.value.code == "run.dispatch_failed"


def test_without_a_runners_address_the_queue_cannot_be_asked():
    dispatcher = NatsDispatcher("nats://127.0.0.1:4222")
    for ask in (
        lambda: dispatcher.status(RUN),
        lambda: dispatcher.cancel(RUN),
        lambda: dispatcher.load_scoped("a", {}),
    ):
        with pytest.raises(ServiceError, match="WORKER_URL") as raised:
            ask()
        assert raised.value.code == "runner.unreachable"


def test_with_a_runners_address_it_is_asked_over_http(runner: Runner):
    runner.replies = [says(200, {"status": "queued"})]
    assert NatsDispatcher("nats://127.0.0.1:4222", ("s",), runner.url).status(RUN) == {"status": "queued"}
