"""What lies in a source: preview, test, scoped load and keys, of files and of a real PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.connectors.postgres_database import READER, SECRET, Database
from tests.webapp.api.asking import CSV, LEDGER, register
from tests.webapp.conftest import FakeDispatcher
from webapp.errors import ServiceError
from webapp.services import sources as service

pytest_plugins = ("tests.connectors.postgres_fixtures",)

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


def test_a_changed_file_is_counted_anew(client: FlaskClient, data: Path):
    (data / "grows.csv").write_text("id\n1\n")
    register(client, "grows", str(data / "grows.csv"), "csv")
    assert client.get("/api/sources/grows/preview").json["total_rows"] == 1
    (data / "grows.csv").write_text("id\n1\n22\n")
    rows = client.get("/api/sources/grows/preview?limit=1").json
    assert (rows["total_rows"], rows["rows"]) == (2, [["1"]])


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
    monkeypatch.setattr("connectors.keys.MOST_ROWS", 1000)
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
