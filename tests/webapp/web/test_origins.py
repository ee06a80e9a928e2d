"""Other sites, other names for this machine, forms of other pages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import SECRET_KEY, TOKEN

BODY = {"alias": "a", "uri": "s3://bucket/a.csv", "source_type": "csv"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://localhost.evil.example",
        "null",
        "http://localhost:3001",
        "file://",
        "",
        "http://127.0.0.1",
        "https://localhost:80",
        "localhost",
        "chrome-extension://abc",
        "http://user@localhost",
    ],
)
def test_other_sites_change_nothing(client: FlaskClient, origin: str):
    for method, path in (
        ("POST", "/api/sources"),
        ("DELETE", "/api/sources/a"),
        ("PUT", "/api/uploads/x/content"),
        ("POST", "/api/runs"),
        ("POST", "/api/nothing"),
    ):
        answer = client.open(path, method=method, json=BODY, headers={"Origin": origin})
        assert (answer.status_code, answer.json["code"]) == (403, "auth.origin_refused")
    assert client.get("/api/sources").json == []


def test_a_cross_site_form_without_origin(client: FlaskClient):
    answer = client.post("/api/sources", json=BODY, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.json["code"] == "auth.origin_refused"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost", "http://localhost"),
        ("localhost:80", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost:3000", "http://localhost:3000"),
        ("127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("LOCALHOST:3000", "http://localhost:3000"),
        ("[::1]:3000", "http://[::1]:3000"),
    ],
)
def test_the_apps_own_pages(client: FlaskClient, host: str, origin: str):
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/sources", json=BODY, headers=headers).status_code == 200


def test_reading_needs_no_origin(client: FlaskClient):
    answer = client.get("/api/sources", headers={"Origin": "https://evil.example"})
    assert answer.status_code == 200
    assert "Access-Control-Allow-Origin" not in answer.headers  # so no page of theirs sees it


def test_sites_that_are_allowed(make_app: Callable[..., Flask]):
    client = make_app(allowed_origins=("https://tools.example",)).test_client()
    headers = {"Origin": "https://tools.example"}
    answer = client.post("/api/sources", json=BODY, headers=headers | {"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://tools.example"
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    asked = client.options("/api/sources", headers=headers | {"Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for other in ("https://tools.example.evil", "http://tools.example", "https://tools.example:444"):
        assert client.post("/api/sources", json=BODY, headers={"Origin": other}).status_code == 403
        refused = client.options("/api/sources", headers={"Origin": other, "Access-Control-Request-Method": "POST"})
        assert "Access-Control-Allow-Methods" not in refused.headers


def test_preflights_carry_no_token(make_app: Callable[..., Flask]):
    client = make_app(
        access_token=TOKEN, secret_key=SECRET_KEY, allowed_origins=("https://tools.example",)
    ).test_client()
    headers = {"Origin": "https://tools.example", "Access-Control-Request-Method": "POST"}
    assert client.options("/api/sources", headers=headers).status_code == 204
    refused = client.get("/api/sources", headers={"Origin": "https://tools.example"})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://tools.example"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:3000",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "0.0.0.0",
        "10.0.0.1",
        "[::2]",
        "[broken",
        "169.254.169.254",
    ],
)
def test_names_that_others_pointed_here(client: FlaskClient, host: str):
    for path in ("/api/sources", "/health", "/", "/sources"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code in (400, 403), path
        assert "[]" not in answer.text
    assert client.get("/api/sources", headers={"Host": "evil.example"}).json["code"] == "auth.host_refused"


@pytest.mark.parametrize("host", ["localhost", "LocalHost:3000", "127.0.0.1:3000", "[::1]:3000"])
def test_names_of_the_loopback(client: FlaskClient, host: str):
    assert client.get("/health", headers={"Host": host}).status_code == 200


def test_beyond_the_loopback_any_name_will_do(make_app: Callable[..., Flask]):
    client = make_app(bind_host="0.0.0.0", access_token=TOKEN, secret_key=SECRET_KEY).test_client()
    assert client.get("/health", headers={"Host": "kalla.example"}).status_code == 200


def test_an_allowed_origin_is_also_a_name(make_app: Callable[..., Flask]):
    client = make_app(allowed_origins=("https://kalla.example",)).test_client()
    assert client.get("/health", headers={"Host": "kalla.example"}).status_code == 200


# --- forms ---------------------------------------------------------------------------------------------


def page_token(client: FlaskClient) -> str:
    found = re.search(r'name="csrf_token" value="([0-9a-f]{64})"', client.get("/login").text)
    assert found is not None
    return found[1]


def test_forms_carry_the_token_of_their_page(guarded: FlaskClient, make_app: Callable[..., Flask]):
    assert guarded.post("/login", data={"token": TOKEN}).status_code == 403
    token = page_token(guarded)
    cookie = guarded.get_cookie("kalla_form")
    assert cookie is not None and cookie.http_only and cookie.same_site == "Strict"
    for wrong in ("", "0" * 64, token[:-1], "ü"):
        assert guarded.post("/login", data={"token": TOKEN, "csrf_token": wrong}).status_code == 403
    stranger = make_app(access_token=TOKEN, secret_key=SECRET_KEY).test_client()
    assert stranger.post("/login", data={"token": TOKEN, "csrf_token": token}).status_code == 403
    page_token(stranger)  # has a cookie of its own now, which the token does not fit
    assert stranger.post("/login", data={"token": TOKEN, "csrf_token": token}).status_code == 403
    assert guarded.post("/login", data={"token": TOKEN}, headers={"X-CSRF-Token": token}).status_code == 303


def test_a_token_serves_several_forms(guarded: FlaskClient):
    first, second = page_token(guarded), page_token(guarded)
    assert first == second
    assert guarded.post("/login", data={"token": "wrong", "csrf_token": first}).status_code == 401
    assert guarded.post("/login", data={"token": TOKEN, "csrf_token": second}).status_code == 303


def test_forms_of_other_sites_are_refused_even_with_a_token(guarded: FlaskClient):
    token = page_token(guarded)
    answer = guarded.post(
        "/login", data={"token": TOKEN, "csrf_token": token}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
