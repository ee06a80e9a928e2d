"""What can be done with a source, at its three doors and for every type: the command line, the API of app and runner, and
the functions that the conversation's tools call. All say the same of the same rows."""

from __future__ import annotations

import csv
import io
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from connectors import bucket_of
from connectors.base import Entry, Listing
from connectors.csv.reader import CsvConnector
from pipelines.cli.app import call
from recipe import mask_uri
from tests.bigquery_server import BigQuery, bigquery_server
from tests.connectors import mysql_database
from tests.connectors.postgres_database import READER, SECRET, Database
from tests.search_servers import SearchNode, front
from tests.webapp.api.asking import register
from tests.webapp.conftest import FakeDispatcher
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.runner.app import create_runner, runner_of
from webapp.services import previews
from webapp.settings import Settings

pytest_plugins = ("tests.connectors.mysql_fixtures", "tests.connectors.postgres_fixtures", "tests.search_fixtures")

NAMES = ("id", "code", "amount")
ROWS = [(1, "a", Decimal("100.00")), (2, None, Decimal("-0.01")), (3, "007", None), (4, "b", Decimal("100.00"))]
ARROW = pa.schema([("id", pa.int64()), ("code", pa.string()), ("amount", pa.decimal128(18, 2))])
TYPES = ("csv", "parquet", "sqlite", "postgres", "mysql", "s3", "gs", "elasticsearch", "bigquery")


@dataclass
class Place:
    """A source of these rows. ``above`` is the place that it lies in, ``name`` what it is called there."""

    kind: str
    uri: str
    above: str
    name: str


def table() -> pa.Table:
    return pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in ROWS], ARROW)


def csv_text() -> str:
    out = io.StringIO()
    csv.writer(out).writerows([NAMES, *ROWS])
    return out.getvalue()


@pytest.fixture
def in_csv(data: Path) -> Place:
    (data / "t.csv").write_text(csv_text())
    return Place("csv", str(data / "t.csv"), f"{data}/", "t.csv")


@pytest.fixture
def in_parquet(data: Path) -> Place:
    pq.write_table(table(), data / "t.parquet")
    return Place("parquet", str(data / "t.parquet"), f"file://{data}/", "t.parquet")


@pytest.fixture
def in_sqlite(data: Path) -> Place:
    connection = sqlite3.connect(data / "t.db")
    connection.execute('CREATE TABLE "a b" (id integer PRIMARY KEY, code text, amount decimal(18,2))')
    rows = [(i, code, None if amount is None else str(amount)) for i, code, amount in ROWS]
    connection.executemany('INSERT INTO "a b" VALUES (?, ?, ?)', rows)
    connection.commit()
    connection.close()
    return Place("sqlite", f"sqlite://{data}/t.db?table=a%20b", f"sqlite://{data}/t.db", "a b")


@pytest.fixture
def in_postgres(database: Database) -> Place:
    database.run("CREATE TABLE t (id bigint PRIMARY KEY, code text, amount numeric(18,2))")
    database.insert("t", ROWS)
    database.run(f"GRANT SELECT ON t TO {READER}")
    uri = database.uri("t", reader=True)
    return Place("postgres", uri, uri.partition("?")[0], "public.t")


@pytest.fixture
def in_mysql(mariadb_database: mysql_database.MysqlDatabase) -> Place:
    mariadb_database.run("CREATE TABLE `a b` (id bigint PRIMARY KEY, code varchar(9), amount decimal(18,2))")
    mariadb_database.insert("a b", ROWS)
    mariadb_database.grant("a b")
    uri = mariadb_database.uri("a b", reader=True)
    return Place("mysql", uri, uri.partition("?")[0], "a b")


@pytest.fixture
def in_s3(request: pytest.FixtureRequest) -> Place:
    bucket = bucket_of("s3", request.getfixturevalue("s3_store").bucket())
    out = io.BytesIO()
    pq.write_table(table(), out)
    bucket.put("a b/2026/t", out.getvalue())
    return Place("s3", f"s3://{bucket.name}/a b/2026/t", f"s3://{bucket.name}/a b/", "2026/t")


@pytest.fixture
def in_gs(request: pytest.FixtureRequest) -> Place:
    bucket = bucket_of("gs", request.getfixturevalue("gcs_store").bucket())
    bucket.put("t.csv", csv_text().encode())
    return Place("csv", f"gs://{bucket.name}/t.csv", f"gs://{bucket.name}/", "t.csv")


@pytest.fixture
def in_elasticsearch(node: SearchNode) -> Iterator[Place]:
    mapped = {
        "id": {"type": "long"},
        "code": {"type": "keyword"},
        "amount": {"type": "scaled_float", "scaling_factor": 100},
    }
    rows = [json.dumps(dict(zip(NAMES, row, strict=True)), default=str).replace('"100.00"', "100.00") for row in ROWS]
    name = node.index(mapped, [row.replace('"-0.01"', "-0.01") for row in rows])
    with front(node) as found:
        yield Place("elasticsearch", found.uri(name), found.uri(name).partition("?")[0], name)


@pytest.fixture
def in_bigquery(no_store: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    kinds = {"id": "INTEGER", "code": "STRING", "amount": "NUMERIC"}
    fields: list[dict[str, Any]] = [{"name": n, "type": t, "mode": "NULLABLE"} for n, t in kinds.items()]
    fields[2] |= {"precision": "18", "scale": "2"}
    server: BigQuery
    with bigquery_server() as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        wide = table().set_column(2, "amount", table().column("amount").cast(pa.decimal128(38, 9)))
        found = server.table(fields, wide)
        yield Place("bigquery", f"bigquery://acme/fin?table={found}", "bigquery://acme/fin", found)


@pytest.fixture(params=TYPES)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(f"in_{request.param}")
    return found


@pytest.fixture
def runner(settings: Settings, dispatcher: FakeDispatcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """The runner's own API; scoped loads of the app go there."""
    app = create_runner(settings)
    client = app.test_client()

    def load(alias: str, body: dict[str, Any]) -> Any:
        answer = client.post(f"/api/sources/{alias}/load-scoped", data=json.dumps(body, default=float))
        if answer.status_code != 200:
            told = answer.json
            raise ServiceError(told["error"], code=told["code"], status=answer.status_code)
        return answer.json

    monkeypatch.setattr(dispatcher, "load_scoped", load)
    yield client
    runner_of(app).close()


@pytest.fixture
def kalla(capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """``kalla("source", ...)``: exit status and JSON."""

    def run(*arguments: str) -> tuple[int, Any]:
        capfd.readouterr()
        status = call([*arguments, "--json"])
        text = capfd.readouterr().out
        assert SECRET not in text and mysql_database.SECRET not in text
        return status, json.loads(text)

    return run


def by_name(found: dict[str, Any]) -> list[dict[str, str | None]]:
    """Rows without the order of their columns: an index lists these by name."""
    names = [column["name"] for column in found["columns"]]
    return [dict(zip(names, row, strict=True)) for row in found["rows"]]


def expected(*places: int) -> list[dict[str, str | None]]:
    cells = [(str(i), code, None if amount is None else str(amount)) for i, code, amount in (ROWS[p] for p in places)]
    return [dict(zip(NAMES, row, strict=True)) for row in cells]


def test_every_door_says_the_same(
    client: FlaskClient, parts: Kalla, runner: FlaskClient, kalla: Callable[..., Any], place: Place
) -> None:
    assert register(client, "it", place.uri, place.kind).status_code == 200
    # test
    assert client.post("/api/sources/test", json={"alias": "it"}).json["ok"] is True
    assert client.post("/api/sources/test", json={"uri": place.uri, "source_type": place.kind}).json["ok"] is True
    status, tested = kalla("source", "test", place.uri)
    assert (status, tested["ok"], tested["columns"]) == (0, True, 3)
    # schema, preview, count
    shown = client.get("/api/sources/it/preview?limit=3").json
    assert by_name(shown) == expected(0, 1, 2)
    assert (shown["total_rows"], shown["preview_rows"]) == (4, 3)
    assert previews.preview_source(parts, "it", 3) == shown
    status, found = kalla("source", "preview", place.uri, "--limit", "3")
    assert (found["rows"], found["total_rows"]) == (shown["rows"], 4)
    status, told = kalla("source", "schema", place.uri)
    assert told["columns"] == found["columns"]
    assert {c["name"] for c in told["columns"]} == {c["name"] for c in shown["columns"]} == set(NAMES)
    assert kalla("source", "count", place.uri)[1]["total_rows"] == 4
    # keys
    key = client.get("/api/sources/it/primary-key").json
    assert (key["detected_keys"], key["confidence"]) == (["id"], "high")
    assert key["declared"] == (place.kind in ("postgres", "sqlite", "mysql"))
    status, suggested = kalla("source", "keys", place.uri)
    assert {name: suggested[name] for name in suggested if name != "uri"} == {n: key[n] for n in key if n != "alias"}


@pytest.mark.parametrize(
    ("column", "op", "value", "found"),
    [
        ("amount", "eq", "100.00", [0, 3]),
        ("code", "neq", '"007"', [0, 3]),
        ("amount", "gt", "-0.01", [0, 3]),
        ("amount", "gte", "-0.010", [0, 1, 3]),
        ("amount", "lt", "0", [1]),
        ("id", "lte", "2.5", [0, 1]),
        ("id", "between", "[2, 3]", [1, 2]),
        ("code", "in", '["a", "b", "z"]', [0, 3]),
        ("code", "like", "0_7", [2]),
        ("code", "eq", "7", [2]),
        ("code", "eq", '"7"', []),
    ],
)
def test_the_nine_operators_at_every_door(
    client: FlaskClient, runner: FlaskClient, kalla: Callable[..., Any], place: Place,
    column: str, op: str, value: str, found: list[int],
) -> None:  # fmt: skip
    register(client, "it", place.uri, place.kind)
    given = value if op == "like" else json.loads(value)
    asked = {"conditions": [{"column": column, "op": op, "value": given}]}
    rows = client.post("/api/sources/it/load-scoped", json=asked).json
    assert by_name(rows) == expected(*found)
    assert rows["total_rows"] == len(found)
    direct = runner.post("/api/sources/it/load-scoped", json={"uri": place.uri, "source_type": place.kind, **asked})
    assert direct.json == rows
    told = kalla("source", "preview", place.uri, "--where", column, op, value)[1]
    assert (told["rows"], told["total_rows"]) == (rows["rows"], len(found))
    assert kalla("source", "count", place.uri, "--where", column, op, value)[1]["total_rows"] == len(found)


@pytest.mark.parametrize(
    ("condition", "code", "untyped"),
    [
        ({"column": "nowhere", "op": "eq", "value": 1}, "filter.unknown_column", True),
        ({"column": "id", "op": "regex", "value": "x"}, "filter.unknown_op", True),
        ({"column": "id", "op": "like", "value": "1%"}, "filter.invalid_value", False),
        ({"column": "amount", "op": "eq", "value": "a lot"}, "filter.invalid_value", False),
        ({"column": "amount", "op": "in", "value": ["a lot"]}, "filter.invalid_value", False),
    ],
)
def test_what_a_source_cannot_evaluate_is_refused_and_never_true(
    client: FlaskClient, runner: FlaskClient, kalla: Callable[..., Any], place: Place,
    condition: dict[str, Any], code: str, untyped: bool,
) -> None:  # fmt: skip
    register(client, "it", place.uri, place.kind)
    answer = client.post("/api/sources/it/load-scoped", json={"conditions": [condition]})
    if not untyped and ".csv" in place.uri:  # every cell of a CSV is text, which compares with any text
        assert answer.json["total_rows"] == (1 if condition["op"] == "like" else 0)
        return
    assert (answer.status_code, answer.json["code"]) == (400, code)
    direct = {"uri": place.uri, "source_type": place.kind, "conditions": [condition]}
    refused = runner.post("/api/sources/it/load-scoped", json=direct)
    assert (refused.status_code, refused.json["code"]) == (400, code)
    value = json.dumps(condition["value"])
    for command in ("preview", "count"):
        status, told = kalla("source", command, place.uri, "--where", condition["column"], condition["op"], value)
        assert status == 2
        assert code in {told["error"]["code"], *(detail["code"] for detail in told["error"]["details"])}


def test_tables_indexes_and_files_are_listed(client: FlaskClient, kalla: Callable[..., Any], place: Place) -> None:
    register(client, "it", place.uri, place.kind)
    asked: list[dict[str, Any]] = [{"alias": "it"}, {"uri": place.above, "source_type": place.kind}]
    if place.kind != "s3":  # there the alias lies one folder deeper than the place
        told = [client.post("/api/sources/tables", json=body).json for body in asked]
        assert told[0] == told[1]
    found = client.post("/api/sources/tables", json=asked[1])
    assert found.json["complete"] is True
    (entry,) = [entry for entry in found.json["tables"] if entry["name"] == place.name]
    assert SECRET not in found.text
    status, told = kalla("source", "tables", place.above)
    assert (status, told) == (0, found.json)
    # The address is whole: with the password that is stored, it can be registered as it was listed.
    assert register(client, "again", entry["uri"], place.kind).status_code == 200
    assert by_name(client.get("/api/sources/again/preview").json) == expected(0, 1, 2, 3)
    assert mask_uri(entry["uri"]) == entry["uri"]
    cut = client.post("/api/sources/tables", json={**asked[1], "limit": 1}).json
    assert (len(cut["tables"]), cut["complete"]) == (1, len(found.json["tables"]) == 1)


def test_a_folder_shows_data_alone(client: FlaskClient, data: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.csv").write_text("id\n1\n")
    for name in ("a.csv", "b.CSV.gz", "c.parquet", "notes.txt", "key.pem"):
        (data / name).touch()
    (data / "link.csv").symlink_to(tmp_path / "outside.csv")
    (data / "folder.csv").mkdir()
    found = client.post("/api/sources/tables", json={"uri": f"{data}/", "source_type": "csv"}).json
    assert [(e["name"], e["kind"]) for e in found["tables"]] == [
        ("a.csv", "csv"), ("b.CSV.gz", "csv"), ("c.parquet", "parquet"),
    ]  # fmt: skip


def test_names_that_no_address_can_hold_are_left_out(client: FlaskClient, data: Path) -> None:
    (data / "a.csv").touch()
    Path(os.fsdecode(os.fsencode(data) + b"/caf\xe9.csv")).touch()
    found = client.post("/api/sources/tables", json={"uri": f"{data}/", "source_type": "csv"})
    assert [entry["name"] for entry in found.json["tables"]] == ["a.csv"]


def test_objects_that_no_address_can_name_are_left_out(
    client: FlaskClient, in_gs: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [Entry(name, "csv", f"{in_gs.above}{quote(name)}") for name in ("a\0.csv", "t.csv")]
    monkeypatch.setattr(CsvConnector, "listed", lambda self, limit: Listing.of(entries, limit))
    found = client.post("/api/sources/tables", json={"uri": in_gs.above, "source_type": "csv"})
    assert [entry["name"] for entry in found.json["tables"]] == ["t.csv"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"uri": "/etc/", "source_type": "csv"}, "source.path_forbidden"),
        ({"uri": "{staging}/uploads/", "source_type": "csv"}, "source.path_forbidden"),
        ({"uri": "sqlite://{staging}/kalla.db", "source_type": "sqlite"}, "source.path_forbidden"),
        ({"uri": "s3://kalla-uploads/", "source_type": "csv"}, "source.invalid_uri"),
        ({"uri": "postgres://169.254.169.254/d", "source_type": "postgres"}, "source.host_forbidden"),
        ({"uri": "mysql://u@169.254.169.254/d", "source_type": "mysql"}, "source.host_forbidden"),
        ({"uri": "elasticsearch://169.254.169.254", "source_type": "elasticsearch"}, "source.host_forbidden"),
        ({"uri": "{data}/none/", "source_type": "csv"}, "source.not_found"),
        ({"alias": "nobody"}, "source.not_found"),
        ({"uri": "/data/", "source_type": "csv", "limit": 0}, "request.invalid_body"),
        ({}, "request.invalid_body"),
    ],
)
def test_places_that_are_not_listed(
    client: FlaskClient, settings: Settings, data: Path, body: dict[str, Any], code: str
) -> None:
    filled = {k: v.format(staging=settings.staging_path, data=data) if k == "uri" else v for k, v in body.items()}
    answer = client.post("/api/sources/tables", json=filled)
    assert (answer.status_code, answer.json["code"]) == (404 if code == "source.not_found" else 400, code)


def test_commands_for_people(data: Path, in_sqlite: Place, capfd: pytest.CaptureFixture[str]) -> None:
    said = {}
    for command in ("test", "tables", "schema", "preview", "count", "keys"):
        assert call(["source", command, in_sqlite.uri]) == 0
        said[command] = capfd.readouterr().out
    assert "can be read: 3 columns" in said["test"]
    assert "a b" in said["tables"] and in_sqlite.uri in said["tables"]
    assert "decimal(18,2)" in said["schema"]
    assert "4 of 4 records" in said["preview"]
    assert said["count"].startswith("4 records")
    assert said["keys"] == "id (declared)\n"
    assert call(["source", "test", f"sqlite://{data}/t.db?table=none"]) == 1
    assert "source.table_not_found" in capfd.readouterr().err
    assert call(["source", "count", in_sqlite.uri, "--where", "id", "eq"]) == 2
