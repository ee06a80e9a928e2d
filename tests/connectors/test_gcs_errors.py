"""What Google's store refuses, told by an endpoint that answers as it does: the fake one lets everybody in."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from connectors import ConnectorError, bucket_of
from tests.connectors.test_object_stores import over
from tests.object_servers import GcsServer

_TOKEN = "s3cr3t-account@example.com"


def error_of(key: str) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        over(bucket_of("gs", "bucket"), key).preview(1)
    return caught.value


@pytest.fixture
def refusing(no_store: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, str], None]]:
    """``refusing(403, "forbidden")``: an endpoint that gives Google's client this answer to everything."""
    told = [0, ""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            error = {"code": told[0], "message": f"{_TOKEN} may not", "errors": [{"reason": told[1]}]}
            body = json.dumps({"error": error}).encode()
            self.send_response(int(told[0]))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        for name, value in GcsServer(server.server_address[1], Path()).environment().items():
            monkeypatch.setenv(name, value)
        yield lambda status, reason: told.__setitem__(slice(None), [status, reason])
        server.shutdown()
        thread.join(10)


@pytest.mark.parametrize("key", ["a.csv", "d/*.csv", "a.parquet"])
@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [
        (401, "authError", "source.access_denied"),
        (403, "forbidden", "source.access_denied"),
        (503, "backendError", "source.unreachable"),
        (429, "rateLimitExceeded", "source.unreachable"),
        (418, "teapot", "source.unreadable"),
    ],
)
def test_every_refusal_of_google_has_its_sentence(
    refusing: Callable[[int, str], None], monkeypatch: pytest.MonkeyPatch, key: str, status: int, reason: str, code: str
) -> None:
    monkeypatch.setattr("connectors.gcs.bucket._RETRY_SECONDS", 0.5)
    refusing(status, reason)
    found = error_of(key)
    assert found.code == code and found.hint
    assert ("GOOGLE_APPLICATION_CREDENTIALS" in found.hint) == (code == "source.access_denied")
    assert _TOKEN not in f"{found}{found.as_dict()}{found.__cause__!r}"


def test_no_credentials_for_google(no_store: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    found = error_of("a.csv")
    assert found.code == "source.access_denied"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in found.hint
