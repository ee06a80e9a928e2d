"""Bodies, parameters and ids, through the API's door."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import FakeDispatcher
from webapp.web.requests import json_body

BODY = {"alias": "a", "uri": "s3://bucket/a.csv", "source_type": "csv"}
MALFORMED = [
    b"",
    b" ",
    b"{",
    b"[]",
    b'"text"',
    b"5",
    b"null",
    b"true",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1, "a": 2}',
    b'{"a": "\xff"}',
    b'{"a": 1}{"b": 2}',
    b'{"a": "\\ud800"}',
    b'{"a": ["\\uD83D x"]}',
    b'{"\\udfff": 1}',
    b"alias=a&uri=b",
    b"\xff\xfe{\x00}\x00",
    b'{"a": 1e9999999999999999999}',
    b'{"a":' * 100_000,
    b"{'a': 1}",
]


@pytest.mark.parametrize(
    "path",
    ["/api/sources", "/api/sources/test", "/api/uploads/presign", "/api/uploads/preview", "/api/sources/register-csv"],
)
def test_malformed_bodies(client: FlaskClient, path: str):
    for data in MALFORMED:
        answer = client.post(path, data=data)
        assert (answer.status_code, answer.json["code"]) == (400, "request.malformed_json"), data[:20]


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "",
        "nonsense",
    ],
)
def test_any_content_type_will_do(client: FlaskClient, kind: str):
    answer = client.post("/api/sources", data=json.dumps(BODY), content_type=kind)
    assert answer.status_code == 200


def test_pairs_of_surrogates_and_marks_are_fine(client: FlaskClient, dispatcher: FakeDispatcher):
    client.post("/api/sources", data=b"\xef\xbb\xbf" + json.dumps(BODY).encode())
    condition = b'{"conditions": [{"column": "x", "op": "eq", "value": "\\ud83d\\ude00"}]}'
    assert client.post("/api/sources/a/load-scoped", data=condition).status_code == 200
    assert dispatcher.loads[0][1]["conditions"][0]["value"] == "😀"


def test_numbers_stay_exact_in_both_directions(app: Flask):
    @app.post("/api/echo")
    def echo():
        body = json_body()
        assert isinstance(body["amount"], Decimal)
        return body

    answer = app.test_client().post(
        "/api/echo", data='{"amount": 100000000000000000.10, "n": 3, "t": "ü", "l": [1.50]}'
    )
    assert answer.text == '{"amount": 100000000000000000.10, "n": 3, "t": "ü", "l": [1.50]}'


def test_bodies_have_a_limit(client: FlaskClient):
    big = json.dumps(BODY | {"pad": "x" * (4 * 1024 * 1024)})
    announced = client.post("/api/sources", data=big)
    assert (announced.status_code, announced.json["code"]) == (413, "request.too_large")
    chunked = client.post(
        "/api/sources",
        data=big,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"},
    )
    assert (chunked.status_code, chunked.json["code"]) == (413, "request.too_large")
    page = client.post("/sources", data=big, content_type="application/x-www-form-urlencoded")
    assert page.status_code == 413


def test_a_body_just_within_the_limit(client: FlaskClient):
    pad = 4 * 1024 * 1024 - len(json.dumps(BODY | {"pad": ""}))
    assert client.post("/api/sources", data=json.dumps(BODY | {"pad": "x" * pad})).status_code == 200


@pytest.mark.parametrize("given", ["abc", "A-1_b.c", "0f8fad5b-d9cb-469f-a165-70867728950e", "x" * 64])
def test_well_formed_request_ids_are_kept(client: FlaskClient, given: str):
    assert client.get("/health", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "-a", "ü", "a\tb", '{"x":1}', "$(id)"])
def test_other_request_ids_are_replaced(client: FlaskClient, given: str):
    found = client.get("/health", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert found != given
    assert len(found) == 32
