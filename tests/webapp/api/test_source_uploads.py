"""Uploaded files registered as sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.webapp.api.asking import CSV
from tests.webapp.conftest import FakeDispatcher

# --- uploads as sources --------------------------------------------------------------------------------


def upload(client: FlaskClient, content: bytes, name: str = "bank.csv") -> str:
    link = client.post("/api/uploads/presign", json={"filename": name, "session_id": "s"}).json
    assert client.put(link["presigned_url"], data=content).status_code == 200
    uri: str = link["s3_uri"]
    return uri


def test_register_csv(client: FlaskClient, dispatcher: FakeDispatcher):
    uri = upload(client, CSV.encode(), "Bank März 100%25.CSV")
    answer = client.post("/api/sources/register-csv", json={"s3_uri": uri, "original_alias": "bank"})
    assert answer.status_code == 200
    alias = answer.json.pop("alias")
    assert alias.startswith("csv_bank_") and len(alias) == len("csv_bank_") + 8
    assert answer.json | {"alias": 0} == {
        "alias": 0,
        "columns": ["id", "amount", "note"],
        "row_count": 3,
        "col_count": 3,
    }
    entry = client.get(f"/api/sources/{alias}").json
    assert (entry["source_type"], entry["status"], entry["uri"]) == ("csv", "active", uri)
    assert client.get(f"/api/sources/{alias}/preview").json["total_rows"] == 3
    assert client.post(f"/api/sources/{alias}/load-scoped", json={"csv_uri": uri}).status_code == 200
    assert dispatcher.loads[0][1]["csv_uri"] == uri
    long = client.post("/api/sources/register-csv", json={"s3_uri": uri, "original_alias": "x" * 255}).json
    assert len(long["alias"]) == 255


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "a.csv", "upload.empty"),
        (b"a,a\n", "a.csv", "upload.unreadable"),
        (b"x", "a.parquet", "upload.invalid_uri"),
    ],
)
def test_uploads_that_are_no_source(client: FlaskClient, content: bytes, name: str, code: str):
    uri = upload(client, content, name)
    answer = client.post("/api/sources/register-csv", json={"s3_uri": uri, "original_alias": "bank"})
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert client.get("/api/sources").json == []


@pytest.mark.parametrize(
    "body",
    [{}, {"s3_uri": "x"}, {"s3_uri": 1, "original_alias": "a"}, {"s3_uri": "s3://b/k.csv", "original_alias": "a b"}],
)
def test_register_csv_refuses_bodies(client: FlaskClient, body: dict[str, object]):
    answer = client.post("/api/sources/register-csv", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")
    bad = client.post("/api/sources/register-csv", json={"s3_uri": "s3://b/k.csv", "original_alias": "a"})
    assert bad.json["code"] == "upload.invalid_uri"


def test_messages_name_the_upload_and_no_path_of_the_server(client: FlaskClient, tmp_path: Path):
    uri = upload(client, b"a,b\n1,2\n1,2,3\n", "ragged.csv")
    answer = client.post("/api/uploads/preview", json={"s3_uri": uri})
    assert answer.json["code"] == "upload.unreadable"
    assert "Line 3 of ragged.csv" in answer.json["error"]
    assert str(tmp_path) not in answer.text
