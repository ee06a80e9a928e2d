"""Reading sources for people: how many may be read at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from webapp.context import Kalla
from webapp.services import key_search, previews


def test_slow_sources_leave_threads_for_everybody_else(
    client: FlaskClient, parts: Kalla, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "bank.csv").write_text("id,amount\n1,5\n2,5\n")
    parts.sources.put("bank", str(data / "bank.csv"), "csv")
    turns = threading.BoundedSemaphore(1)
    monkeypatch.setattr(previews, "_TURNS", turns)
    monkeypatch.setattr(previews, "_WAIT_SECONDS", 0.01)
    turns.acquire()
    for method, what in (("GET", "preview"), ("GET", "primary-key"), ("POST", "load-scoped")):
        refused = client.open(f"/api/sources/bank/{what}", method=method)
        assert (refused.status_code, refused.json["code"], refused.headers["Retry-After"]) == (503, "source.busy", "5")
    assert client.get("/sources/bank/rows").status_code == 503
    assert client.get("/api/sources/bank").json["status"] == "connected"  # it is not the source's fault
    turns.release()
    for _ in range(2):  # each gives its turn back
        assert client.get("/api/sources/bank/preview").status_code == 200
    (data / "bank.csv").unlink()
    for _ in range(2):  # a failure too
        assert client.get("/api/sources/bank/preview").status_code == 404


def test_searches_wait_for_their_turn(
    client: FlaskClient, parts: Kalla, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "bank.csv").write_text("id,amount\n1,5\n2,5\n")
    parts.sources.put("bank", str(data / "bank.csv"), "csv")
    turns = threading.BoundedSemaphore(1)
    monkeypatch.setattr(key_search, "_TURNS", turns)
    monkeypatch.setattr(key_search, "_WAIT_SECONDS", 0.01)
    turns.acquire()
    refused = client.get("/api/sources/bank/primary-key")
    assert (refused.status_code, refused.json["code"], refused.headers["Retry-After"]) == (503, "source.busy", "5")
    turns.release()
    for _ in range(2):  # each gives its turn back
        assert client.get("/api/sources/bank/primary-key").json["detected_keys"] == ["id"]
    monkeypatch.setattr("connectors.keys.MOST_BYTES", "none")  # a search that breaks off gives it back too
    with pytest.raises(TypeError):
        key_search.primary_key(parts, "bank")
    assert turns.acquire(blocking=False)
