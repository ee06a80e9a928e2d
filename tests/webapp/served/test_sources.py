"""The whole product with sources elsewhere: an uploaded workbook against a search server and against a warehouse."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import openpyxl
import pyarrow as pa
import pytest

from tests.bigquery_server import BigQuery, bigquery_server
from tests.search_servers import Front, SearchNode, front
from tests.webapp.served.serving import Served, served

pytest_plugins = ("tests.search_fixtures",)

SECRET = "s3cr3t-of-the-index"
SQL = (
    "SELECT l.ref, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
)


@pytest.fixture(scope="module")
def warehouse() -> Iterator[BigQuery]:
    with bigquery_server() as found:
        yield found


@pytest.fixture(scope="module")
def kalla(warehouse: BigQuery, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("elsewhere"), **warehouse.environment()) as found:
        yield found


@pytest.fixture
def guarded(node: SearchNode) -> Iterator[Front]:
    told = "Basic " + base64.b64encode(f"reader:{SECRET}".encode()).decode()
    with front(node, authorization=told) as found:
        yield found


def workbook(kalla: Served) -> str:
    """Invoices R0 to R29 of 0.10, 1.10 ... as one of two sheets; the address of the CSV that they became."""
    book = openpyxl.Workbook()
    book.active.append(["Notes of the month"])
    sheet = book.create_sheet("March")
    sheet.append(["ref", "amount"])
    for i in range(30):
        sheet.append([f"R{i}", i + 0.1])
    out = io.BytesIO()
    book.save(out)
    asked = urlencode({"filename": "Ledger.xlsx", "session_id": "s-1", "sheet": "March"})
    request = urllib.request.Request(f"{kalla.url}/api/uploads/workbook?{asked}", out.getvalue(), method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.loads(answer.read())
    assert found["upload"]["row_count"] == 30
    return str(found["upload"]["s3_uri"])


def reconciled(kalla: Served, kind: str, uri: str) -> dict[str, Any]:
    status, answer = kalla.call("POST", "/api/sources", {"alias": "payments", "uri": uri, "source_type": kind})
    assert status == 200, answer
    assert kalla.call("POST", "/api/sources/test", {"alias": "payments"})[1]["ok"] is True
    left = {"alias": "ledger", "type": "csv_upload", "uri": workbook(kalla), "primary_key": ["ref"]}
    right = {"alias": "payments", "type": kind, "primary_key": ["id"]}
    recipe = {
        "recipe_id": f"with-{kind}",
        "name": "Elsewhere",
        "match_sql": SQL,
        "sources": {"left": left, "right": right},
    }
    status, answer = kalla.call("POST", "/api/runs", {"recipe": recipe})
    assert status == 200, answer
    run = kalla.ended(answer["run_id"], 120)
    found = (run["status"], run["matched_count"], run["unmatched_left_count"], run["unmatched_right_count"])
    assert found == ("completed", 15, 15, 10), run
    assert kalla.call("POST", f"/api/runs/{run['run_id']}/verify")[1]["ok"] is True
    return run


def test_a_workbook_against_an_index(kalla: Served, node: SearchNode, guarded: Front) -> None:
    """Payments 10 to 34; every fourth is off by five cents."""
    mapped = {
        "id": {"type": "keyword"},
        "ref": {"type": "keyword"},
        "amount": {"type": "scaled_float", "scaling_factor": 100},
    }
    paid = [f'{{"id": "P{i}", "ref": "R{i}", "amount": {i}.{"15" if i % 4 == 0 else "10"}}}' for i in range(10, 35)]
    uri = guarded.uri(node.index(mapped, paid, shards=2), f"reader:{SECRET}@")
    run = reconciled(kalla, "elasticsearch", uri)
    written = [p for p in (kalla.folder / "staging").rglob("*") if p.is_file() and run["run_id"] in str(p)]
    assert written
    assert not [p for p in [*written, kalla.folder / "serve.log"] if SECRET.encode() in p.read_bytes()]
    assert SECRET not in json.dumps([run, kalla.call("GET", "/api/sources")])


def test_a_workbook_against_a_warehouse(kalla: Served, warehouse: BigQuery) -> None:
    numbers = range(10, 35)
    rows = pa.table(
        {
            "id": [f"P{i}" for i in numbers],
            "ref": [f"R{i}" for i in numbers],
            "amount": pa.array([Decimal(f"{i}.{15 if i % 4 == 0 else 10}") for i in numbers], pa.decimal128(38, 9)),
        }
    )
    fields = [
        {"name": n, "type": t, "mode": "NULLABLE"}
        for n, t in (("id", "STRING"), ("ref", "STRING"), ("amount", "NUMERIC"))
    ]
    reconciled(kalla, "bigquery", f"bigquery://acme/fin?table={warehouse.table(fields, rows)}")
