"""/health, /ready and /metrics."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.webapp.conftest import TOKEN
from webapp.context import Kalla
from webapp.db import Database
from webapp.errors import ServiceError


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def ping(self: Database) -> None:
        raise ServiceError(
            "The app database does not answer.", code="database.unavailable", headers={"Retry-After": "5"}
        )

    monkeypatch.setattr(Database, "ping", ping)


def test_health(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    answer = client.get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "ok", "database": "ok"})
    broken(monkeypatch)
    answer = client.get("/health")
    assert (answer.status_code, answer.json) == (503, {"status": "error", "database": "error"})


def test_ready(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    assert client.get("/ready").json == {"status": "ready"}
    broken(monkeypatch)
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json["code"] == "database.unavailable"
    assert answer.headers["Retry-After"] == "5"


def test_only_health_is_open(guarded: FlaskClient):
    assert guarded.get("/health").status_code == 200
    assert guarded.get("/ready").status_code == 401
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_metrics_name_route_templates_and_run_statuses(client: FlaskClient, parts: Kalla):
    parts.sources.put("bank-secret-alias", "/x.csv", "csv")
    client.get("/api/sources/bank-secret-alias")
    client.get("/api/nowhere/at/all")
    client.open("/api/sources", method="BREW")
    text = client.get("/metrics").text
    assert 'kalla_http_requests_total{method="GET",route="/api/sources/<alias>",status="200"} 1.0' in text
    assert 'kalla_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'method="other"' in text
    assert 'kalla_http_request_seconds_count{method="GET",route="/api/sources/<alias>"} 1.0' in text
    assert 'kalla_runs{status="completed"} 0.0' in text
    assert "bank-secret-alias" not in text
    assert "nowhere" not in text
