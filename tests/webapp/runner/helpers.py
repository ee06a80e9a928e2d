"""A callback receiver, jobs over the sample data, and a launcher that stands for the real one."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from pipelines.launch import RunRequest
from webapp.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "docs" / "sample"
SQL = (
    "SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r"
    " ON l.invoice_id = r.reference_number AND tolerance_match(l.amount, r.paid_amount, 0.02)"
)


# It dies with whoever started it, as a run's process does.
_SLEEPER = "import ctypes, time; ctypes.CDLL(None).prctl(1, 9); time.sleep(600)"


@dataclass(frozen=True)
class Call:
    """One callback as it arrived."""

    kind: str
    body: dict[str, Any]
    status: int
    at: float
    signature: str | None
    raw: bytes


@dataclass
class Receiver:
    """An app that takes callbacks; ``answer`` decides the status of each."""

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], int] = lambda kind, body: 200
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/worker"

    def of(self, run_id: str, *kinds: str) -> list[Call]:
        with self.changed:
            return [c for c in self.calls if c.body.get("run_id") == run_id and (not kinds or c.kind in kinds)]

    def finals(self, run_id: str) -> list[Call]:
        """Complete and error callbacks that were taken."""
        return [c for c in self.of(run_id, "complete", "error") if 200 <= c.status < 300]

    def wait_final(self, run_id: str, seconds: float = 60) -> Call:
        assert self.wait(lambda: bool(self.finals(run_id)), seconds), f"no final callback of {run_id}: {self.calls}"
        return self.finals(run_id)[0]

    def wait(self, found: Callable[[], bool], seconds: float = 20) -> bool:
        ends = time.monotonic() + seconds
        while not found():
            if time.monotonic() > ends:
                return False
            with self.changed:
                self.changed.wait(0.05)
        return True


@contextlib.contextmanager
def receiving(port: int = 0, into: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver on loopback; ``into`` goes on with an earlier one's records."""
    receiver = into or Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            body = json.loads(raw)
            kind = self.path.rpartition("/")[2]
            status = receiver.answer(kind, body)
            call = Call(kind, body, status, time.monotonic(), self.headers.get("X-Kalla-Signature"), raw)
            with receiver.changed:
                receiver.calls.append(call)
                receiver.changed.notify_all()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{receiver.url}/moved")
            self.send_header("Content-Length", "11")
            self.end_headers()
            self.wfile.write(b'{"ok":true}')

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A runner that is killed leaves broken connections."""

    server = Server(("127.0.0.1", port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def settings_of(folder: Path, **changes: Any) -> Settings:
    """A runner's settings with its staging below ``folder``; the sample data is readable."""
    values: dict[str, Any] = {
        "staging_path": folder / "staging",
        "database_url": "sqlite:///unused.db",
        "local_roots": (SAMPLE,),
    }
    return Settings(**(values | {"max_jobs": 2, "partitions": 2} | changes))


def job(callback_url: str, **changes: Any) -> dict[str, Any]:
    """A job over the sample CSVs; its truth is 7 matched, 8 and 8 unmatched."""
    run_id = changes.pop("run_id", None) or str(uuid.uuid4())
    body: dict[str, Any] = {
        "run_id": run_id,
        "callback_url": callback_url,
        "match_sql": SQL,
        "sources": [
            {"alias": "left_src", "name": "invoices", "uri": str(SAMPLE / "invoices.csv"), "type": "csv"},
            {"alias": "right_src", "name": "payments", "uri": str(SAMPLE / "payments.csv"), "type": "csv"},
        ],
        "output_path": f"s3://kalla-results/runs/{run_id}/",
        "primary_keys": {"left_src": ["invoice_id"], "right_src": ["payment_id"]},
    }
    return body | changes


def digest_is_right(call: Call, secret: str) -> bool:
    """Checks a signature by the words of contract 3.5, with none of the product's code."""
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", call.signature or "")
    assert found, call.signature
    expected = hmac.new(secret.encode(), f"{found[1]}.".encode() + call.raw, hashlib.sha256).hexdigest()
    return expected == found[2] and abs(time.time() - int(found[1])) < 300


@dataclass
class FakeLaunch:
    """Stands for ``pipelines.launch.launch``: a sleeping process instead of a run.

    ``hold`` keeps runs at work until it is set, or for ``seconds``; a killed process ends them as in the real one.
    """

    seconds: float = 600.0

    hold: threading.Event = field(default_factory=threading.Event)
    requests: list[RunRequest] = field(default_factory=list)
    most_at_once: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(
        self,
        request: RunRequest,
        on_event: Callable[[dict[str, Any]], None] = lambda event: None,
        timeout: float | None = None,
        on_start: Callable[[int], None] = lambda pid: None,
    ) -> dict[str, Any]:
        with self._lock:
            self.requests.append(request)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        process = subprocess.Popen([sys.executable, "-S", "-c", _SLEEPER])
        ends = time.monotonic() + self.seconds
        try:
            on_start(process.pid)
            for event in self.events:
                on_event(event)
            while not self.hold.wait(0.01) and time.monotonic() < ends:
                if process.poll() is not None:
                    error = {"code": "run.killed", "message": "The run's process was ended by SIGKILL.", "details": []}
                    return {"run_id": request.run_id, "status": "failed", "error": error}
        finally:
            process.kill()
            process.wait()
            with self._lock:
                self._at_once -= 1
        return outcome(request.run_id)

    def started(self, run_id: str) -> int:
        with self._lock:
            return sum(r.run_id == run_id for r in self.requests)


def outcome(run_id: str) -> dict[str, Any]:
    """What a completed run over the sample data tells."""
    return {
        "run_id": run_id, "status": "completed", "matched_count": 7, "unmatched_left_count": 8,
        "unmatched_right_count": 8, "left_record_count": 15, "right_record_count": 15, "matched_left_count": 7,
        "matched_right_count": 7, "match_rate": 7 / 15, "warnings": [],
    }  # fmt: skip


@dataclass
class RunnerProcess:
    """``serve_runner.py`` as a process of its own, to be killed."""

    folder: Path
    run_seconds: float = -1.0  # below 0: real runs
    drain_seconds: float = 10.0
    jobs: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> RunnerProcess:
        ready = self.folder / "port"
        ready.unlink(missing_ok=True)
        values = [str(v) for v in (self.folder, self.run_seconds, self.drain_seconds, self.jobs)]
        command = [sys.executable, "-m", "tests.webapp.runner.serve_runner", *values]
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
        until(lambda: ready.exists() or self._gone(), 60)
        assert ready.exists(), (self.folder / "log").read_text()
        self.port = int(ready.read_text())
        return self

    def _gone(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def submit(self, body: dict[str, Any]) -> int:
        return requests.post(f"{self.url}/api/jobs", json=body, timeout=10).status_code

    def status(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = requests.get(f"{self.url}/api/jobs/{run_id}", timeout=10).json()
        return found

    def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


def run_processes(run_id: str) -> list[int]:
    """Processes that carry out this run, real or not: children of runners whose work lies in the run's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if any(run_id in os.readlink(fd) for fd in (entry / "fd").iterdir()):
                    found.append(int(entry.name))
    return found


def until(found: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that must come true."""
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)
