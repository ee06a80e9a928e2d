"""/api/sources: every endpoint, each error; secrets in no answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.connectors.postgres_database import READER, SECRET, Database
from tests.webapp.conftest import FakeDispatcher
from webapp.context import EXTENSION, Kalla
from webapp.errors import ServiceError
from webapp.services import key_search
from webapp.services import sources as service

pytest_plugins = ("tests.connectors.postgres_fixtures",)

CSV = "id;amount;note\n1;10,00;a\n2;20,00;\n3;20,00;c\n"
LEDGER = "postgres://kalla:s3cr3t%40x@127.0.0.1:1/books?table=fin.ledger&sslpassword=deep"


@pytest.fixture
def bank(data: Path) -> str:
    path = data / "bank.csv"
    path.write_text(CSV)
    return str(path)


def register(client: FlaskClient, alias: str, uri: str, kind: str) -> Any:
    return client.post("/api/sources", json={"alias": alias, "uri": uri, "source_type": kind})


def stored_uri(app: Flask, alias: str) -> str:
    parts: Kalla = app.extensions[EXTENSION]
    record = parts.sources.get(alias)
    assert record is not None
    return record.uri


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


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("elasticsearch", "elasticsearch://es.example:9200?index=i"),
        ("bigquery", "bigquery://p/d?table=t"),
    ],
)
def test_what_cannot_be_read_yet_can_be_registered(client: FlaskClient, kind: str, uri: str):
    assert register(client, "later", uri, kind).status_code == 200
    answer = client.get("/api/sources/later/preview")
    assert answer.status_code == 400
    assert answer.json["code"] == "source.unsupported_type"


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


# --- preview -------------------------------------------------------------------------------------------


def test_preview(client: FlaskClient, bank: str):
    register(client, "bank", bank, "csv")
    rows = client.get("/api/sources/bank/preview?limit=2").json
    assert rows == {
        "alias": "bank",
        "columns": [{"name": n, "data_type": "string", "nullable": True} for n in ("id", "amount", "note")],
        "rows": [["1", "10,00", "a"], ["2", "20,00", None]],
        "total_rows": 3,
        "preview_rows": 2,
    }


def test_previews_have_at_most_a_hundred_rows(client: FlaskClient, data: Path):
    (data / "long.csv").write_text("id\n" + "".join(f"{i}\n" for i in range(150)))
    register(client, "long", str(data / "long.csv"), "csv")
    assert client.get("/api/sources/long/preview").json["preview_rows"] == 10
    rows = client.get("/api/sources/long/preview?limit=5000").json
    assert (rows["preview_rows"], rows["total_rows"]) == (100, 150)


@pytest.mark.parametrize("limit", ["0", "-3", "x", "1.0", ""])
def test_bad_preview_limits(client: FlaskClient, bank: str, limit: str):
    register(client, "bank", bank, "csv")
    answer = client.get(f"/api/sources/bank/preview?limit={limit}")
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_parameter")


def test_names_with_blanks_and_percent_signs(client: FlaskClient, data: Path):
    (data / "50% off März.CSV").write_text(CSV)
    register(client, "a", f"{data}/50%25 off März.CSV", "csv")
    register(client, "b", f"file://{data}/50%25%20off%20M%C3%A4rz.CSV", "file")
    assert client.get("/api/sources/a/preview").json["total_rows"] == 3
    assert client.get("/api/sources/b/preview").json["columns"][0]["data_type"] == "string"


def test_unknown_sources(client: FlaskClient):
    calls = [("get", "preview"), ("post", "load-scoped"), ("get", "primary-key")]
    for method, what in calls:
        answer = getattr(client, method)(f"/api/sources/nobody/{what}")
        assert (answer.status_code, answer.json["code"]) == (404, "source.not_found")
    assert client.post("/api/sources/test", json={"alias": "nobody"}).status_code == 404


def test_status_follows_what_happens(client: FlaskClient, bank: str):
    register(client, "bank", bank, "csv")
    Path(bank).rename(bank + ".away")
    assert client.get("/api/sources/bank/preview").status_code == 404
    assert client.get("/api/sources/bank").json["status"] == "error"
    Path(bank + ".away").rename(bank)
    assert client.get("/api/sources/bank/preview").status_code == 200
    assert client.get("/api/sources/bank").json["status"] == "connected"


# --- test ----------------------------------------------------------------------------------------------


def test_testing_a_source(client: FlaskClient, bank: str):
    register(client, "bank", bank, "csv")
    answer = client.post("/api/sources/test", json={"alias": "bank"}).json
    assert answer["ok"] is True
    assert isinstance(answer["latency_ms"], int)
    assert client.post("/api/sources/test", json={"uri": bank, "source_type": "csv"}).json["ok"] is True
    Path(bank).unlink()
    answer = client.post("/api/sources/test", json={"alias": "bank"}).json
    assert answer["ok"] is False
    assert "There is no file" in answer["message"]
    assert client.get("/api/sources/bank").json["status"] == "error"


def test_a_test_that_finds_nobody(client: FlaskClient):
    register(client, "ledger", LEDGER, "postgres")
    answer = client.post("/api/sources/test", json={"alias": "ledger"})
    assert answer.status_code == 200
    assert answer.json["ok"] is False
    assert client.get("/api/sources/ledger").json["status"] == "error"
    assert "s3cr3t" not in answer.text
    assert "deep" not in answer.text


def test_a_test_ends_in_time(client: FlaskClient, bank: str, monkeypatch: pytest.MonkeyPatch):
    register(client, "bank", bank, "csv")
    monkeypatch.setattr(service, "TEST_SECONDS", 0.1)
    monkeypatch.setattr(service, "_touch", lambda app, record: time.sleep(1))
    answer = client.post("/api/sources/test", json={"alias": "bank"}).json
    assert answer["ok"] is False
    assert "did not answer" in answer["message"]
    assert answer["latency_ms"] < 900


def test_a_fault_inside_a_test_is_told_without_its_words(
    client: FlaskClient, bank: str, monkeypatch: pytest.MonkeyPatch
):
    def broken(app: object, record: object) -> None:
        raise RuntimeError("postgres://u:s3cr3t@h/d")

    register(client, "bank", bank, "csv")
    monkeypatch.setattr(service, "_touch", broken)
    answer = client.post("/api/sources/test", json={"alias": "bank"})
    assert (answer.status_code, answer.json["code"]) == (500, "internal.error")
    assert "s3cr3t" not in answer.text


@pytest.mark.parametrize("body", [{}, {"uri": "/a.csv"}, {"source_type": "csv"}, {"alias": 7}, {"alias": ""}])
def test_what_can_not_be_tested(client: FlaskClient, body: dict[str, object]):
    answer = client.post("/api/sources/test", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")


# --- scoped load ---------------------------------------------------------------------------------------


def test_scoped_loads_go_to_the_runner(client: FlaskClient, dispatcher: FakeDispatcher, bank: str):
    register(client, "bank", bank, "csv")
    conditions = [{"column": "amount", "op": "gte", "value": 100.10}]
    answer = client.post("/api/sources/bank/load-scoped", json={"conditions": conditions, "limit": 5000})
    assert answer.status_code == 200
    alias, body = dispatcher.loads[0]
    assert alias == "bank"
    assert str(body.pop("conditions")[0]["value"]) == "100.1"
    assert body == {"limit": 1000, "uri": bank, "source_type": "csv"}
    client.post("/api/sources/bank/load-scoped")
    assert dispatcher.loads[1][1] == {"conditions": [], "limit": 200, "uri": bank, "source_type": "csv"}


@pytest.mark.parametrize(
    ("conditions", "code", "path"),
    [
        ([{"column": "a", "op": "regex", "value": "x"}], "filter.unknown_op", "conditions[0].op"),
        ([{"column": "a", "op": "eq", "value": None}], "filter.invalid_value", "conditions[0].value"),
        ([{"column": "a", "op": "between", "value": [1, "2"]}], "filter.invalid_value", "conditions[0].value"),
        ([{"column": "a", "op": "in", "value": []}], "filter.invalid_value", "conditions[0].value"),
        ({"column": "a"}, "filter.invalid_value", "conditions"),
    ],
)
def test_bad_conditions(
    client: FlaskClient, dispatcher: FakeDispatcher, bank: str, conditions: object, code: str, path: str
):
    register(client, "bank", bank, "csv")
    answer = client.post("/api/sources/bank/load-scoped", json={"conditions": conditions})
    assert (answer.status_code, answer.json["code"]) == (400, code)
    assert answer.json["details"][0]["path"] == path
    assert dispatcher.loads == []


@pytest.mark.parametrize("limit", [0, -1, "5", 1.5, True, [], {}])
def test_bad_scoped_limits(client: FlaskClient, bank: str, limit: object):
    register(client, "bank", bank, "csv")
    answer = client.post("/api/sources/bank/load-scoped", json={"limit": limit})
    assert (answer.status_code, answer.json["code"]) == (400, "request.invalid_body")


@pytest.mark.parametrize(
    ("uri", "status", "code"),
    [
        ("s3://elsewhere/s/u/a.csv", 400, "upload.invalid_uri"),
        ("s3://kalla-uploads/s/6f0f3c2e-1b5f-4a51-9c55-0f2f4e1f0a11/a.csv", 404, "upload.not_found"),
        ("/etc/a.csv", 400, "upload.invalid_uri"),
        (7, 400, "request.invalid_body"),
    ],
)
def test_scoped_loads_of_uploads_that_are_none(client: FlaskClient, uri: object, status: int, code: str):
    answer = client.post("/api/sources/bank/load-scoped", json={"csv_uri": uri})
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_a_runner_that_is_away(client: FlaskClient, dispatcher: FakeDispatcher, bank: str):
    register(client, "bank", bank, "csv")
    dispatcher.error = ServiceError("The runner cannot be reached.", code="runner.unreachable")
    answer = client.post("/api/sources/bank/load-scoped", json={})
    assert (answer.status_code, answer.json["code"]) == (502, "runner.unreachable")
    assert client.get("/api/sources/bank").json["status"] == "connected"  # nobody looked at it


# --- keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "keys", "confidence"),
    [
        ("id,amount\n1,5\n2,5\n", ["id"], "high"),
        ("amount,txn_id\n5,a\n6,b\n", ["txn_id"], "high"),
        ("name,value\nx,1\ny,2\n", ["name"], "high"),
        ("company,entry_no,amount\na,1,5\na,2,5\nb,1,5\n", ["company", "entry_no"], "high"),
        ("a,b\n1,\n1,x\n", [], "low"),
        ("a,b\nx,\n,y\n", [], "low"),
        ("a,b\n", [], "low"),
        ("a,b\n1,1\n1,1\n", [], "low"),
    ],
)
def test_keys_that_the_data_proves(client: FlaskClient, data: Path, content: str, keys: list[str], confidence: str):
    (data / "k.csv").write_text(content)
    register(client, "k", str(data / "k.csv"), "csv")
    answer = client.get("/api/sources/k/primary-key").json
    assert (answer["alias"], answer["detected_keys"], answer["confidence"]) == ("k", keys, confidence)


def test_a_key_of_a_part_of_the_data_is_not_proven(client: FlaskClient, data: Path, monkeypatch: pytest.MonkeyPatch):
    (data / "k.csv").write_text("id\n" + "".join(f"{i}\n" for i in range(200_000)))
    register(client, "k", str(data / "k.csv"), "csv")
    monkeypatch.setattr(key_search, "MOST_ROWS", 1000)
    answer = client.get("/api/sources/k/primary-key").json
    assert (answer["detected_keys"], answer["confidence"]) == (["id"], "medium")
    assert 1000 <= answer["rows_checked"] < 200_000


# --- a real PostgreSQL ---------------------------------------------------------------------------------


@pytest.fixture
def ledger(database: Database) -> str:
    database.run(
        "CREATE TABLE ledger (entry_no int, company text, amount numeric(10,2), PRIMARY KEY (company, entry_no));"
        "INSERT INTO ledger VALUES (1, 'a', 100.00), (2, 'a', NULL);"
        f"GRANT SELECT ON ledger TO {READER}"
    )
    return database.uri("ledger", reader=True)


def test_a_database_is_read_itself(client: FlaskClient, ledger: str):
    register(client, "ledger", ledger, "postgres")
    answer = client.get("/api/sources/ledger/preview")
    rows = answer.json
    assert [c["name"] for c in rows["columns"]] == ["entry_no", "company", "amount"]
    assert [c["data_type"] for c in rows["columns"]] == ["integer", "text", "numeric(10,2)"]
    assert [c["nullable"] for c in rows["columns"]] == [False, False, True]
    assert rows["rows"] == [["1", "a", "100.00"], ["2", "a", None]]
    key = client.get("/api/sources/ledger/primary-key").json
    assert (key["detected_keys"], key["confidence"], key["declared"]) == (["company", "entry_no"], "high", True)
    assert client.post("/api/sources/test", json={"alias": "ledger"}).json["ok"] is True


def test_what_a_database_refuses(client: FlaskClient, ledger: str):
    register(client, "gone", ledger.replace("table=ledger", "table=gone"), "postgres")
    answer = client.get("/api/sources/gone/preview")
    assert (answer.status_code, answer.json["code"]) == (404, "source.table_not_found")
    register(client, "wrong", ledger.replace(f"{READER}:", f"{READER}:x"), "postgres")
    answer = client.get("/api/sources/wrong/preview")
    assert (answer.status_code, answer.json["code"]) == (502, "source.access_denied")
    assert SECRET not in answer.text
    register(client, "away", "postgres://u:hidden-pw@127.0.0.1:1/d?table=t", "postgres")
    answer = client.get("/api/sources/away/preview")
    assert (answer.status_code, answer.json["code"]) == (502, "source.unreachable")
    assert "hidden-pw" not in answer.text


def test_the_apps_own_tables(make_app: Callable[..., Flask], database: Database):
    own = database.uri("").partition("?")[0]
    client = make_app(database_url=own).test_client()
    for table in ("sources", "recipes", "runs", "public.sources", "run_progress"):
        answer = register(client, "own", f"{own}?table={table}", "postgres")
        assert (answer.status_code, answer.json["code"]) == (400, "source.table_forbidden")
    disguised = own.replace("127.0.0.1", "localhost")
    assert register(client, "own", f"{disguised}?table=sources", "postgres").json["code"] == "source.table_forbidden"
    assert register(client, "own", f"{own}?table=%22sources%22", "postgres").json["code"] == "source.table_forbidden"
    assert register(client, "sample", f"{own}?table=invoices", "postgres").status_code == 200
    elsewhere = own.rpartition("/")[0] + "/postgres"
    assert register(client, "other", f"{elsewhere}?table=sources", "postgres").status_code == 200


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
