"""What every answer has: headers, one error shape, pages for people; what logs hold, and what neither holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from recipe import KallaError
from tests.webapp.conftest import SECRET_KEY, TOKEN
from webapp.app import create_app
from webapp.db import Database
from webapp.errors import ServiceError, SettingsError
from webapp.settings import Settings

URI = "postgres://kalla:s3cr3t-pw@erp.example/books?table=t"


@pytest.fixture
def faulty(app: Flask) -> FlaskClient:
    """An app with views that fail in every way."""

    @app.get("/api/fault/<kind>")
    @app.get("/fault/<kind>", endpoint="page_fault")
    def fault(kind: str):
        if kind == "unforeseen":
            raise RuntimeError(f"SELECT * FROM x -- {URI}")
        if kind == "service":
            raise ServiceError(
                f"No answer from {URI}.",
                code="source.unreachable",
                hint=f"See {URI}.",
                details=[{"path": "uri", "message": URI}],
            )
        if kind == "ours":
            raise KallaError("Cannot.", code="filter.invalid_value")
        if kind == "database":
            raise ServiceError(
                "The app database does not answer.", code="database.unavailable", headers={"Retry-After": "5"}
            )
        raise KallaError("Odd.", code="never.listed")

    return app.test_client()


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/nothing", 404, "route.not_found"),
        ("GET", "/api", 404, "route.not_found"),
        ("GET", "/api/sources/a/b/c", 404, "route.not_found"),
        ("PUT", "/api/sources", 405, "route.method_not_allowed"),
        ("PATCH", "/api/sources", 405, "route.method_not_allowed"),
        ("BREW", "/api/sources", 405, "route.method_not_allowed"),
        ("POST", "/health", 405, "route.method_not_allowed"),
        ("GET", "/api/fault/unforeseen", 500, "internal.error"),
        ("GET", "/api/fault/service", 502, "source.unreachable"),
        ("GET", "/api/fault/ours", 400, "filter.invalid_value"),
        ("GET", "/api/fault/database", 503, "database.unavailable"),
        ("GET", "/api/fault/unlisted", 500, "never.listed"),
    ],
)
def test_one_shape_for_every_error(faulty: FlaskClient, method: str, path: str, status: int, code: str):
    answer = faulty.open(path, method=method)
    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert answer.json["code"] == code
    assert isinstance(answer.json["error"], str)
    assert set(answer.json) <= {"error", "code", "details"}
    assert "s3cr3t" not in answer.text


def test_errors_keep_their_headers(faulty: FlaskClient):
    assert sorted(faulty.put("/api/sources").headers["Allow"].split(", ")) == ["GET", "HEAD", "OPTIONS", "POST"]
    assert faulty.get("/api/fault/database").headers["Retry-After"] == "5"


def test_an_unforeseen_fault_names_its_request_only(faulty: FlaskClient, capsys: pytest.CaptureFixture[str]):
    answer = faulty.get("/api/fault/unforeseen", headers={"X-Request-Id": "find-me"})
    assert "find-me" in answer.json["error"]
    for leak in ("SELECT", "RuntimeError", "Traceback", "postgres"):
        assert leak not in answer.text
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    fault = next(line for line in lines if line["level"] == "error")
    assert fault["request_id"] == "find-me"
    assert "RuntimeError" in fault["trace"]
    assert "s3cr3t" not in json.dumps(lines)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nothing", 404), ("/fault/unforeseen", 500), ("/fault/service", 502), ("/fault/database", 503)],
)
def test_pages_get_a_page(faulty: FlaskClient, path: str, status: int):
    answer = faulty.get(path, headers={"Accept": "text/html,*/*"})
    assert answer.status_code == status
    assert answer.mimetype == "text/html"
    assert "s3cr3t" not in answer.text
    script = faulty.get(path, headers={"Accept": "application/json"})
    assert (script.status_code, script.mimetype) == (status, "application/json")


def test_a_broken_error_page_still_tells(faulty: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("webapp.web.failures._PAGE", "there-is-none.html")
    answer = faulty.get("/fault/database")
    assert (answer.status_code, answer.mimetype) == (503, "text/plain")
    assert answer.text == "The app database does not answer.\n"


def test_no_redirect_of_a_trailing_slash(client: FlaskClient):
    assert client.get("/api/sources/").status_code == 200


# --- headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/sources", "/api/nothing", "/nothing", "/health", "/api/docs"])
def test_security_headers(client: FlaskClient, path: str):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "no-store" in headers["Cache-Control"]
    assert "Strict-Transport-Security" not in headers
    assert len(headers["X-Request-Id"]) == 32


def test_https_is_remembered(client: FlaskClient):
    assert "Strict-Transport-Security" in client.get("/health", headers={"X-Forwarded-Proto": "https"}).headers


def test_a_nonce_is_offered_and_never_the_same(app: Flask):
    @app.get("/nonce")
    def nonce():
        from flask import render_template_string

        return render_template_string(
            '<style nonce="{{ csp_nonce() }}"></style><script nonce="{{ csp_nonce() }}"></script>'
        )

    client = app.test_client()
    seen = set()
    for _ in range(2):
        answer = client.get("/nonce")
        nonces = set(re.findall(r'nonce="([^"]+)"', answer.text))
        assert len(nonces) == 1
        assert f"style-src 'self' 'nonce-{nonces.copy().pop()}'" in answer.headers["Content-Security-Policy"]
        seen |= nonces
    assert len(seen) == 2


def test_assets_may_be_kept(client: FlaskClient):
    found = re.search(r'href="(/assets/[^"]+\.css[^"]*)"', client.get("/").text)
    assert found is not None
    assert "no-store" not in client.get(found[1], buffered=True).headers.get("Cache-Control", "")


# --- logs ----------------------------------------------------------------------------------------------


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_for_each_answer(client: FlaskClient, capsys: pytest.CaptureFixture[str]):
    client.get("/api/sources?limit=5&token=in-the-query", headers={"X-Request-Id": "id-1"})
    client.get("/health")
    (line,) = lines_of(capsys)
    assert line["request_id"] == "id-1"
    assert (line["method"], line["path"], line["status"], line["level"]) == ("GET", "/api/sources", 200, "info")
    assert line["ms"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert "in-the-query" not in json.dumps(line)


def test_log_levels(make_app: Callable[..., Flask], capsys: pytest.CaptureFixture[str]):
    make_app(log_level="error").test_client().get("/api/sources")
    assert lines_of(capsys) == []
    make_app(log_level="debug").test_client().get("/health")
    assert "/health" in [line.get("path") for line in lines_of(capsys)]


def test_several_apps_log_once(make_app: Callable[..., Flask], capsys: pytest.CaptureFixture[str]):
    make_app()
    make_app().test_client().get("/api/sources")
    assert len(lines_of(capsys)) == 1


def test_secrets_are_in_no_answer_and_no_log(guarded: FlaskClient, capsys: pytest.CaptureFixture[str]):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    post = [
        ("/api/sources", {"alias": "a", "uri": URI, "source_type": "postgres"}),
        ("/api/sources/test", {"uri": "postgres://kalla:s3cr3t-pw@127.0.0.1:1/d?table=t", "source_type": "postgres"}),
        ("/api/sources/test", {"uri": "postgres://kalla:s3cr3t-pw@127.0.0.1:x/d?table=t", "source_type": "postgres"}),
        ("/api/sources", {"alias": "postgres://x:s3cr3t-pw@h/d", "uri": URI, "source_type": "postgres"}),
        ("/api/uploads/preview", {"s3_uri": "s3://user:s3cr3t-pw@bucket/x"}),
    ]
    texts = [guarded.post(path, json=body, headers=bearer).text for path, body in post]
    texts += [
        guarded.get(path, headers=bearer).text
        for path in (
            "/api/sources",
            "/api/sources/a",
            "/sources",
            "/sources/a",
            "/metrics",
            f"/api/sources/{TOKEN}",
            f"/nowhere/{URI}",
        )
    ]
    texts.append(guarded.get("/api/sources", headers={"Authorization": "Bearer guess-4712"}).text)
    log = capsys.readouterr().err
    assert log
    for text in [*texts[:-3], texts[-1]]:
        assert "s3cr3t" not in text
    for secret in ("s3cr3t", SECRET_KEY, "guess-4712"):
        assert secret not in log
    assert f'"{TOKEN}"' not in log and TOKEN not in log


# --- settings ------------------------------------------------------------------------------------------


LONG = "0123456789abcdef"
BOTH = {"access_token": LONG, "secret_key": LONG}
RUNNER = {"worker_url": "http://runner:8080"}


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({}, ["KALLA_ACCESS_TOKEN", "KALLA_SECRET_KEY"]),
        ({"access_token": LONG}, ["KALLA_SECRET_KEY"]),
        ({"secret_key": LONG}, ["KALLA_ACCESS_TOKEN"]),
        (BOTH | RUNNER, ["KALLA_CALLBACK_SECRET"]),
        (BOTH | {"nats_url": "nats://n:4222"}, ["KALLA_CALLBACK_SECRET"]),
        (BOTH, []),
        (BOTH | {"access_token": f"{LONG},x", "secret_key": f"{LONG}, {LONG}"}, []),
        (BOTH | RUNNER | {"callback_secrets": (LONG, LONG)}, []),
        (BOTH | {"access_token": LONG[:-1]}, ["KALLA_ACCESS_TOKEN"]),
        (BOTH | {"access_token": "x", "secret_key": "y"}, ["KALLA_ACCESS_TOKEN", "KALLA_SECRET_KEY"]),
        (BOTH | {"secret_key": f"{LONG},old"}, ["KALLA_SECRET_KEY"]),
        (BOTH | RUNNER | {"callback_secrets": (LONG, "old")}, ["KALLA_CALLBACK_SECRET"]),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "kalla.example"])
def test_beyond_the_loopback_protection_is_compulsory(
    make_app: Callable[..., Flask], changes: dict[str, Any], missing: list[str], host: str
):
    if not missing:
        make_app(bind_host=host, **changes)
        return
    with pytest.raises(SettingsError) as caught:
        make_app(bind_host=host, **changes)
    for name in ("KALLA_ACCESS_TOKEN", "KALLA_SECRET_KEY", "KALLA_CALLBACK_SECRET"):
        assert (name in caught.value.message) == (name in missing)


def test_without_a_runner_there_is_no_app(settings: Settings):
    database = Database(settings.database_url)
    with pytest.raises(SettingsError) as caught:
        create_app(settings, database=database)
    database.close()
    assert "WORKER_URL" in caught.value.hint


def test_the_key_file_is_private_and_lasting(settings: Settings):
    from webapp.keys import signing_key

    first = signing_key(settings, "form")
    assert signing_key(settings, "form") == first
    assert signing_key(settings, "upload") != first
    path = settings.staging_path / "app.key"
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in settings.staging_path.iterdir()] == ["app.key"]
