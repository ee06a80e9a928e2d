"""Who may come in: bearer tokens, the login page, sessions, limits on trying."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import SECRET_KEY, TOKEN
from webapp.context import EXTENSION, Kalla
from webapp.web import authentication

BEARER = {"Authorization": f"Bearer {TOKEN}"}


def form_token(client: FlaskClient, path: str = "/login") -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', client.get(path).text)
    assert found is not None
    return found[1]


def sign_in(client: FlaskClient, token: str = TOKEN, **fields: str) -> Any:
    return client.post("/login", data={"csrf_token": form_token(client), "token": token, **fields})


# --- the API -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer ü",
        "Bearer \udcff",
    ],
)
def test_the_api_wants_the_token(guarded: FlaskClient, header: str):
    answer = guarded.get(
        "/api/sources",
        headers={"Authorization": header.encode("utf-8", "surrogateescape").decode("latin-1")} if header else {},
    )
    assert (answer.status_code, answer.json["code"]) == (401, "auth.required")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert TOKEN not in answer.text


def test_the_token_opens_the_api(guarded: FlaskClient):
    assert guarded.get("/api/sources", headers=BEARER).status_code == 200
    assert guarded.get("/api/sources", headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200


def test_everything_of_the_api_is_closed(guarded: FlaskClient):
    openly = ("/health", "/api/worker/", "/api/uploads/<upload_id>/content")
    for rule in guarded.application.url_map.iter_rules():
        if rule.rule.startswith(("/api/", "/ready", "/metrics")) and not rule.rule.startswith(openly):
            path = re.sub("<[^>]*>", "x", rule.rule)
            for method in ("GET", "POST", "PUT", "DELETE"):
                assert guarded.open(path, method=method).json["code"] == "auth.required", path
    assert guarded.get("/api/nothing").json["code"] == "auth.required"


def test_every_page_is_closed(guarded: FlaskClient):
    for rule in guarded.application.url_map.iter_rules():
        if rule.endpoint.startswith("pages.") and rule.endpoint != "pages.static":
            path = re.sub("<[^>]*>", "x", rule.rule)
            for method in ("GET", "POST"):
                answer = guarded.open(path, method=method)
                assert (answer.status_code, answer.headers["Location"][:12]) == (303, "/login?next="), path


def test_health_and_the_runner_are_let_in(guarded: FlaskClient):
    assert guarded.get("/health").status_code == 200
    answer = guarded.post("/api/worker/progress", json={})
    assert answer.json["code"] != "auth.required"
    for path in ("/api/worker", "/api/workers/x", "/healthz", "/health/x"):
        assert guarded.get(path).status_code in (401, 303)
    sneaky = guarded.get("/api/worker/../sources")
    assert sneaky.status_code in (401, 404)


def test_without_a_token_the_loopback_is_open(client: FlaskClient):
    assert client.get("/api/sources").status_code == 200
    assert client.get("/login").status_code == 303


# --- pages ---------------------------------------------------------------------------------------------


def test_pages_ask_once(guarded: FlaskClient):
    answer = guarded.get("/sources?sort=alias")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/login?next=/sources%3Fsort%3Dalias"
    page = guarded.get(answer.headers["Location"])
    assert page.status_code == 200
    assert 'value="/sources?sort=alias"' in page.text
    done = sign_in(guarded, next="/sources?sort=alias")
    assert (done.status_code, done.headers["Location"]) == (303, "/sources?sort=alias")
    cookie = done.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Max-Age=43200" in cookie
    assert "Secure" not in cookie
    assert TOKEN not in cookie
    assert guarded.get("/api/sources").status_code == 200
    assert guarded.get("/login").status_code == 303


def test_the_cookie_is_secure_behind_https(guarded: FlaskClient):
    done = guarded.post(
        "/login", data={"csrf_token": form_token(guarded), "token": TOKEN}, headers={"X-Forwarded-Proto": "https"}
    )
    assert "Secure" in done.headers["Set-Cookie"]


def test_the_login_page_is_drawn_without_a_token(guarded: FlaskClient):
    text = guarded.get("/login").text
    for asset in re.findall(r'(?:href|src)="(/assets/[^"]+)"', text):
        assert guarded.get(asset, buffered=True).status_code == 200, asset


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "",
        "/ok\r\nSet-Cookie: x=1",
        "javascript:alert(1)",
        "/\tevil",
        "\\\\evil",
    ],
)
def test_login_leads_to_this_app_only(guarded: FlaskClient, path: str):
    assert sign_in(guarded, next=path).headers["Location"] == "/"


def test_a_wrong_token(guarded: FlaskClient):
    answer = sign_in(guarded, "wrong")
    assert answer.status_code == 401
    assert "not the access token" in answer.text
    assert "kalla_session" not in answer.headers.get("Set-Cookie", "")
    assert guarded.get("/api/sources").status_code == 401


def test_trying_is_limited(guarded: FlaskClient):
    for _ in range(10):
        assert sign_in(guarded, "wrong").status_code == 401
    answer = sign_in(guarded, TOKEN)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 61
    bearer = guarded.get("/api/sources", headers={"Authorization": "Bearer wrong"})
    assert (bearer.status_code, bearer.json["code"]) == (429, "auth.too_many_attempts")
    assert guarded.get("/api/sources", headers=BEARER).status_code == 200  # who knows it is not held up
    elsewhere = guarded.post(
        "/login", data={"csrf_token": form_token(guarded), "token": TOKEN}, environ_base={"REMOTE_ADDR": "10.0.0.9"}
    )
    assert elsewhere.status_code == 303


@pytest.mark.parametrize("path", ["/", "/sources?offset=1", "/nothing"])
def test_wrong_bearer_tokens_count_on_pages_too(guarded: FlaskClient, path: str):
    wrong = {"Authorization": "Bearer wrong"}
    assert [guarded.get(path, headers=wrong).status_code for _ in range(11)] == [303] * 10 + [429]
    assert guarded.get("/api/sources", headers=wrong).status_code == 429
    assert guarded.get("/health", headers=wrong).status_code == 200


def test_the_login_page_does_not_tell_whether_a_bearer_token_is_right(guarded: FlaskClient):
    right, wrong = (guarded.get("/login", headers={"Authorization": f"Bearer {t}"}) for t in (TOKEN, "wrong"))
    assert right.status_code == wrong.status_code == 200


def test_a_copy_of_the_cookie_ends_with_the_session(guarded: FlaskClient):
    sign_in(guarded)
    copied = guarded.get_cookie("kalla_session")
    assert copied is not None
    guarded.post("/logout", data={"csrf_token": form_token(guarded, "/sources/new")})
    guarded.set_cookie("kalla_session", copied.value)
    assert guarded.get("/api/sources").status_code == 401
    guarded.delete_cookie("kalla_session")
    sign_in(guarded)
    assert guarded.get("/api/sources").status_code == 200
    parts: Kalla = guarded.application.extensions[EXTENSION]
    assert [e.action for e in parts.audit.list()] == ["login", "logout", "login"]


def test_signing_out(guarded: FlaskClient):
    sign_in(guarded)
    assert guarded.get("/logout").status_code == 405
    assert guarded.post("/logout").status_code == 403  # no form of ours
    assert guarded.get("/api/sources").status_code == 200
    answer = guarded.post("/logout", data={"csrf_token": form_token(guarded, "/sources/new")})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
    assert guarded.get("/api/sources").status_code == 401


def test_sessions_end(guarded: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    sign_in(guarded)
    monkeypatch.setattr(authentication, "SESSION_SECONDS", -1)
    assert guarded.get("/api/sources").status_code == 401


def test_forged_and_foreign_sessions(guarded: FlaskClient, make_app: Callable[..., Flask]):
    sign_in(guarded)
    cookie = guarded.get_cookie("kalla_session")
    assert cookie is not None
    value = cookie.value
    for forged in (value[:-1], "x" + value, value.replace(".", "", 1), "", "a.b.c", "é"):
        other = make_app(access_token=TOKEN, secret_key=SECRET_KEY).test_client()
        other.set_cookie("kalla_session", forged)
        assert other.get("/api/sources").status_code == 401
    same = make_app(access_token=TOKEN, secret_key=SECRET_KEY).test_client()
    same.set_cookie("kalla_session", value)
    assert same.get("/api/sources").status_code == 200  # another process of the app
    changed = make_app(access_token="a new one", secret_key=SECRET_KEY).test_client()
    changed.set_cookie("kalla_session", value)
    assert changed.get("/api/sources").status_code == 401


def test_logins_are_noted(guarded: FlaskClient):
    sign_in(guarded, "wrong")
    sign_in(guarded)
    parts: Kalla = guarded.application.extensions[EXTENSION]
    found = [(e.actor, e.action) for e in parts.audit.list()]
    assert found == [("session", "login"), ("anonymous", "login.refused")]


def test_who_did_what(guarded: FlaskClient):
    body = {"alias": "a", "uri": "s3://bucket/a.csv", "source_type": "csv"}
    guarded.post("/api/sources", json=body, headers=BEARER)
    sign_in(guarded)
    guarded.delete("/api/sources/a")
    parts: Kalla = guarded.application.extensions[EXTENSION]
    found = [(e.actor, e.action, e.subject) for e in parts.audit.list() if e.action.startswith("source.")]
    assert found == [("session", "source.delete", "a"), ("token", "source.save", "a")]
