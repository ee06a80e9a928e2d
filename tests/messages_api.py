"""A Messages API server for tests: real HTTP on a free port, real streaming events, and every way to fail.

A test gives it a script: one answer a request, in order. It keeps every request, to be searched.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Call:
    """A tool_use block. ``raw`` replaces the JSON of its input."""

    name: str
    input: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None


@dataclass(frozen=True)
class Say:
    """A streamed answer. ``cut`` ends the connection after so many events; ``pause`` waits between events."""

    text: str = ""
    calls: Sequence[Call] = ()
    stop_reason: str | None = None
    cut: int | None = None
    pause: float = 0.0
    broken: bool = False  # an error event in the middle of the stream


@dataclass(frozen=True)
class Fail:
    """An error answer of the provider."""

    status: int
    kind: str = "api_error"
    retry_after: str | None = None


@dataclass(frozen=True)
class Hang:
    """Nothing comes for so many seconds, then the connection ends."""

    seconds: float


Reply = Say | Fail | Hang


class MessagesApi:
    """The server. ``script`` is emptied request by request; a request beyond it is answered with 500."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, body: dict[str, Any], key: str) -> Reply:
        with self.lock:
            self.requests.append(body)
            self.keys.append(key)
            return self.script.pop(0) if self.script else Fail(500)

    @property
    def everything_sent(self) -> str:
        """All bodies as one text, to be searched."""
        return "\n".join(json.dumps(body, ensure_ascii=False) for body in self.requests)


@contextmanager
def messages_api() -> Iterator[MessagesApi]:
    """A started server, stopped at the end."""
    api = MessagesApi()
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.server.shutdown()
        api.server.server_close()
        thread.join(5)


def _handler(api: MessagesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != "/v1/messages":
                return self._error(Fail(404, "not_found_error"))
            reply = api.take(body, self.headers.get("Authorization", "").removeprefix("Bearer "))
            try:
                if isinstance(reply, Fail):
                    self._error(reply)
                elif isinstance(reply, Hang):
                    time.sleep(reply.seconds)
                elif body.get("stream"):
                    self._stream(reply, body)
                else:
                    self._whole(reply, body)
            except (BrokenPipeError, ConnectionResetError):
                return  # the client went away, as some tests want

        def _error(self, reply: Fail) -> None:
            data = json.dumps({"type": "error", "error": {"type": reply.kind, "message": "as told"}}).encode()
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if reply.retry_after is not None:
                self.send_header("Retry-After", reply.retry_after)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, reply: Say, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            for number, event in enumerate(events(reply, body["model"], len(api.requests))):
                if reply.cut is not None and number >= reply.cut:
                    return
                if reply.broken and number == 2:
                    event = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
                if event["type"] == "error":
                    return
                time.sleep(reply.pause)

        def _whole(self, reply: Say, body: dict[str, Any]) -> None:
            raise AssertionError("Kalla streams every request")

        def log_message(self, format: str, *args: Any) -> None:
            return

    return Handler


def events(reply: Say, model: str, number: int) -> Iterator[dict[str, Any]]:
    """The events of an answer, as the API sends them: texts and inputs in pieces."""
    usage = {"input_tokens": 10, "output_tokens": 1}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, "content": []}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    yield {"type": "ping"}
    index = 0
    if reply.text:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        for piece in _pieces(reply.text, 12):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        yield {"type": "content_block_stop", "index": index}
        index += 1
    for call in reply.calls:
        block = {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": call.name, "input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": block}
        raw = call.raw if call.raw is not None else json.dumps(call.input)
        for piece in _pieces(raw, 16):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
        index += 1
    ending = reply.stop_reason or ("tool_use" if reply.calls else "end_turn")
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": ending, "stop_sequence": None},
        "usage": {"output_tokens": 9},
    }
    yield {"type": "message_stop"}


def _pieces(text: str, size: int) -> Iterator[str]:
    for start in range(0, len(text), size):
        yield text[start : start + size]
