"""/api/sources: registered, listed, changed and deleted; secrets in no answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.api.asking import CSV, LEDGER, register, stored_uri
from webapp.context import Kalla

# --- register, list, get, delete -----------------------------------------------------------------------


def test_register_list_get_delete(client: FlaskClient, bank: str):
    assert client.get("/api/sources").json == []
    answer = register(client, "bank", bank, "csv")
    assert (answer.status_code, answer.json) == (200, {"success": True, "message": "Source registered"})
    register(client, "ledger", LEDGER, "postgres")
    entries = client.get("/api/sources").json
    assert [entry["alias"] for entry in entries] == ["ledger", "bank"]
    assert entries[0]["uri"] == "postgres://kalla:***@127.0.0.1:1/books?table=fin.ledger&sslpassword=***"
    one = client.get("/api/sources/bank").json
    assert one == entries[1]
    assert set(one) == {"alias", "uri", "source_type", "status", "created_at", "updated_at"}
    assert one["status"] == "connected"
    assert one["created_at"].endswith("Z")
    assert client.delete("/api/sources/bank").json == {"success": True, "message": "Source deleted"}
    assert client.delete("/api/sources/bank").status_code == 404
    assert client.get("/api/sources/bank").json["code"] == "source.not_found"


def test_registering_again_replaces(client: FlaskClient, app: Flask, data: Path, bank: str):
    register(client, "bank", bank, "csv")
    register(client, "bank", str(data / "other.parquet"), "parquet")
    assert len(client.get("/api/sources").json) == 1
    assert client.get("/api/sources/bank").json["source_type"] == "parquet"


def test_lists_come_in_pages(client: FlaskClient, parts: Kalla):
    for number in range(3):
        parts.sources.put(f"s{number}", "/x.csv", "csv")
    assert [e["alias"] for e in client.get("/api/sources?limit=2").json] == ["s2", "s1"]
    assert [e["alias"] for e in client.get("/api/sources?limit=2&offset=2").json] == ["s0"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit=1.5",
        "limit=-1",
        "offset=-1",
        "offset=a",
        "limit=99999999999999999999999",
        "limit=%D9%A1",
    ],
)
def test_bad_pages_are_refused(client: FlaskClient, query: str):
    answer = client.get(f"/api/sources?{query}")
    assert answer.status_code == 400
    assert answer.json["code"] == "request.invalid_parameter"
    assert answer.json["details"][0]["path"] == query.partition("=")[0]


def test_a_body_without_its_members_names_each(client: FlaskClient):
    answer = client.post("/api/sources", json={"alias": 5, "uri": ""})
    assert answer.status_code == 400
    assert answer.json["code"] == "request.invalid_body"
    assert [d["path"] for d in answer.json["details"]] == ["alias", "uri", "source_type"]


@pytest.mark.parametrize("alias", ["a b", "a/b", "../x", "x" * 256, "a\nb", "a'b", "a\x00"])
def test_bad_aliases(client: FlaskClient, bank: str, alias: str):
    answer = register(client, alias, bank, "csv")
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")
    assert answer.json["details"][0]["path"] == "alias"


def test_aliases_in_any_script(client: FlaskClient, bank: str):
    register(client, "bank-März.2026_数", bank, "csv")
    assert client.get("/api/sources/bank-März.2026_数").json["alias"] == "bank-März.2026_数"
    assert client.get("/api/sources/bank-März.2026_数/preview").status_code == 200


@pytest.mark.parametrize(
    ("kind", "uri", "code"),
    [
        ("postgres", "postgres://h/d", "source.invalid_uri"),
        ("postgres", "mysql://h/d?table=t", "source.invalid_uri"),
        ("postgres", "postgres://h/d?table=t&service=x", "source.invalid_uri"),
        ("csv", "/data/a.txt", "source.invalid_uri"),
        ("csv", "relative.csv", "source.invalid_uri"),
        ("csv", "https://example.com/a.csv", "source.invalid_uri"),
        ("csv", "s3://kalla-uploads/x.csv", "source.invalid_uri"),
        ("oracle", "oracle://x", "source.unsupported_type"),
        ("csv_upload", "s3://kalla-uploads/s/6f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11/a.csv", "source.unsupported_type"),
        ("csv", "/etc/passwd.csv", "source.path_forbidden"),
        ("parquet", "/etc/passwd", "source.path_forbidden"),
        ("file", "file:///root/x.csv", "source.path_forbidden"),
        ("postgres", "postgres://169.254.169.254/d?table=t", "source.host_forbidden"),
        ("postgres", "postgres://[::ffff:169.254.169.254]/d?table=t", "source.host_forbidden"),
        ("postgres", "postgres:///d?table=t&host=169.254.169.254", "source.host_forbidden"),
        ("elasticsearch", "elasticsearch://0.0.0.0:9200?index=i", "source.host_forbidden"),
        ("postgres", "postgres://u:***@h.example/d?table=t", "source.masked_credentials"),
        ("elasticsearch", "elasticsearch://u:***@es.example:9200?index=i", "source.masked_credentials"),
    ],
)
def test_addresses_that_are_refused(client: FlaskClient, kind: str, uri: str, code: str):
    for path, body in (("/api/sources", {"alias": "x"}), ("/api/sources/test", {})):
        answer = client.post(path, json={**body, "uri": uri, "source_type": kind})
        assert (answer.status_code, answer.json["code"]) == (400, code)


def test_paths_are_judged_after_links_are_resolved(client: FlaskClient, data: Path, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.csv").write_text(CSV)
    (data / "link").symlink_to(outside)
    for uri in (f"{data}/link/a.csv", f"{data}/../outside/a.csv", f"{data}/%2e%2e/outside/a.csv"):
        assert register(client, "x", uri, "csv").json["code"] == "source.path_forbidden"
    assert register(client, "x", f"{data}-sibling/a.csv", "csv").json["code"] == "source.path_forbidden"


def test_a_link_moved_later_opens_nothing(client: FlaskClient, data: Path, bank: str, tmp_path: Path):
    register(client, "bank", bank, "csv")
    secret = tmp_path / "secret.csv"
    secret.write_text("pin\n1234\n")
    Path(bank).unlink()
    Path(bank).symlink_to(secret)
    answer = client.get("/api/sources/bank/preview")
    assert (answer.status_code, answer.json["code"]) == (400, "source.path_forbidden")


def test_an_index_whose_host_is_not_found(client: FlaskClient):
    assert (
        register(client, "later", "elasticsearch://u:sesame@es.invalid:9200?index=i", "elasticsearch").status_code
        == 200
    )
    answer = client.get("/api/sources/later/preview")
    assert (answer.status_code, answer.json["code"]) == (502, "source.unreachable")
    assert "sesame" not in answer.text and "'i'" in answer.json["error"]


def test_a_table_of_bigquery_needs_credentials(
    client: FlaskClient, no_store: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    for name, value in {"HOME": str(tmp_path), "NO_GCE_CHECK": "true"}.items():
        monkeypatch.setenv(name, value)
    assert register(client, "later", "bigquery://p/d?table=t", "bigquery").status_code == 200
    answer = client.get("/api/sources/later/preview")
    assert (answer.status_code, answer.json["code"]) == (502, "source.access_denied")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in answer.json["error"]


def test_an_object_needs_the_credentials_of_its_store(
    client: FlaskClient, no_store: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert register(client, "ledger", "s3://bucket/key.parquet", "s3").status_code == 200
    answer = client.get("/api/sources/ledger/preview")
    assert (answer.status_code, answer.json["code"]) == (502, "source.access_denied")
    assert "S3_ACCESS_KEY" in answer.json["error"]
    assert client.get("/api/sources/ledger").json["status"] == "error"


def test_allowed_hosts(make_app: Callable[..., Flask]):
    client = make_app(allowed_hosts=("erp.example",)).test_client()
    assert register(client, "a", "postgres://erp.example/d?table=t", "postgres").status_code == 200
    assert (
        register(client, "b", "postgres://other.example/d?table=t", "postgres").json["code"] == "source.host_forbidden"
    )


# --- masked passwords ----------------------------------------------------------------------------------


def test_a_masked_password_means_the_stored_one(client: FlaskClient, app: Flask):
    register(client, "ledger", LEDGER, "postgres")
    masked = client.get("/api/sources/ledger").json["uri"]
    register(client, "ledger", masked, "postgres")
    assert stored_uri(app, "ledger") == LEDGER
    other_table = masked.replace("fin.ledger", "fin.other").replace("&sslpassword=***", "")
    assert register(client, "other", other_table, "postgres").status_code == 200
    assert stored_uri(app, "other") == "postgres://kalla:s3cr3t%40x@127.0.0.1:1/books?table=fin.other"


@pytest.mark.parametrize(
    "uri",
    [
        "postgres://other:***@127.0.0.1:1/books?table=t",
        "postgres://kalla:***@127.0.0.2:1/books?table=t",
        "postgres://kalla:***@127.0.0.1:2/books?table=t",
        "postgres://kalla:***@127.0.0.1:1/other?table=t",
    ],
)
def test_a_masked_password_goes_to_no_other_place(client: FlaskClient, uri: str):
    register(client, "ledger", LEDGER, "postgres")
    answer = register(client, "ledger", uri, "postgres")
    assert (answer.status_code, answer.json["code"]) == (400, "source.masked_credentials")


# --- in use --------------------------------------------------------------------------------------------


def test_a_source_in_use_stays(client: FlaskClient, parts: Kalla, bank: str):
    register(client, "bank", bank, "csv")
    side = {"alias": "bank", "type": "csv", "primary_key": ["id"]}
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id"
    parts.recipes.put(
        {"recipe_id": "r-1", "name": "n", "match_sql": sql, "sources": {"left": side, "right": side | {"uri": bank}}}
    )
    answer = client.delete("/api/sources/bank")
    assert (answer.status_code, answer.json["code"]) == (409, "source.in_use")
    assert "r-1" in answer.json["details"][0]["path"]
    assert "r-1" in answer.json["error"]
    parts.recipes.delete("r-1")
    assert client.delete("/api/sources/bank").status_code == 200
