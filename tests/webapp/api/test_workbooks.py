"""/api/uploads/workbook: sheets, the chosen one as a CSV upload, and every refusal."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.webapp.conftest import TOKEN
from webapp.context import Kalla
from webapp.inference.values import column_numbers
from webapp.services import uploads, workbooks
from webapp.services.insight import SourceRef, for_sources
from webapp.settings import Settings

URL = "/api/uploads/workbook"


def book(**sheets: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name.removeprefix("hidden_"))
        for row in rows:
            sheet.append(row)
        if name.startswith("hidden_"):
            sheet.sheet_state = "hidden"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


ONE = book(March=[["ref", "net"], ["007", 18.9], ["008", None]], hidden_Notes=[["x"]])
TWO = book(March=[["ref"], ["007"]], April=[["ref", "net"], ["R1", 1.5]])


def send(client: FlaskClient, content: bytes, headers: dict[str, str] | None = None, **asked: str) -> Any:
    query = {"filename": "Ledger 2026.xlsx", "session_id": "s-1"} | asked
    return client.post(URL, query_string=query, data=content, headers=headers)


def stored(settings: Settings) -> list[Path]:
    return [p for p in (settings.staging_path / "uploads").rglob("*") if p.is_file()]


def test_the_only_visible_sheet_needs_no_choice(client: FlaskClient, settings: Settings) -> None:
    answer = send(client, ONE)
    assert answer.status_code == 200, answer.text
    found = answer.json
    assert found["sheets"] == [{"name": "March", "state": "visible"}, {"name": "Notes", "state": "hidden"}]
    upload = found["upload"]
    assert (found["sheet"], upload["columns"], upload["row_count"]) == ("March", ["ref", "net"], 2)
    assert upload["sample"] == [{"ref": "007", "net": "18.9"}, {"ref": "008", "net": None}]
    assert upload["holds"] == [["text"], ["number"]]
    assert upload["filename"] == "Ledger 2026 - March.csv"
    assert [p.read_text() for p in stored(settings)] == ['"ref","net"\n"007","18.9"\n"008",""\n']
    body = {"s3_uri": upload["s3_uri"], "filename": upload["filename"]}
    assert client.post(f"/api/uploads/{upload['upload_id']}/confirm", json=body).json["row_count"] == 2
    registered = client.post("/api/sources/register-csv", json={"s3_uri": upload["s3_uri"], "original_alias": "march"})
    assert client.get(f"/api/sources/{registered.json['alias']}/preview").json["rows"][0] == ["007", "18.9"]


def test_of_several_sheets_one_is_chosen(client: FlaskClient, settings: Settings) -> None:
    listed = send(client, TWO).json
    assert [s["name"] for s in listed["sheets"]] == ["March", "April"]
    assert listed["sheet"] is None and listed["upload"] is None and stored(settings) == []
    chosen = send(client, TWO, sheet="April").json
    assert (chosen["sheet"], chosen["upload"]["columns"]) == ("April", ["ref", "net"])
    hidden = send(client, ONE, sheet="Notes").json
    assert hidden["upload"]["columns"] == ["x"]


MIXED = book(March=[["ref", "rate", "note"], *[[f"R{i}", 1.234, f"1.{i},50"] for i in range(100, 120)]])


def test_numbers_of_a_sheet_are_read_as_they_are_stored(client: FlaskClient, parts: Kalla) -> None:
    """Whatever marks stand in its texts: 1.234 beside 1.100,50 is not 1234."""
    upload = send(client, MIXED).json["upload"]
    table = for_sources(parts, SourceRef("march", "csv_upload", upload["s3_uri"]), None).left
    assert (table.format.decimal, table.format.thousands) == (".", "")
    assert set(column_numbers(table.column("rate"), table.format)) == {Decimal("1.234")}


def test_files_that_are_no_sheets_are_still_looked_at(parts: Kalla) -> None:
    lines = [b"ref,rate", *[b'R%d,"1.%d,50"' % (i, i) for i in range(100, 120)]]
    uri = uploads.take_in(parts, "a.csv", "s-1", io.BytesIO(b"\n".join(lines)).read)
    table = for_sources(parts, SourceRef("march", "csv_upload", uri), None).left
    assert (table.format.decimal, table.format.thousands) == (",", ".")


@pytest.mark.parametrize(
    ("content", "asked", "status", "code"),
    [
        (ONE, {"session_id": "../x"}, 400, "request.invalid_body"),
        (ONE, {"filename": "a.csv"}, 400, "upload.unsupported_type"),
        (ONE, {"filename": "a.xls"}, 400, "upload.unsupported_type"),
        (ONE, {"filename": "../a.xlsx"}, 400, "upload.invalid_name"),
        (ONE, {"filename": ".xlsx"}, 400, "upload.invalid_name"),
        (ONE, {"sheet": "May"}, 404, "workbook.unknown_sheet"),
        (b"", {}, 400, "workbook.unreadable"),
        (b"id,name\n", {}, 400, "workbook.unreadable"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 512, {}, 400, "workbook.protected"),
        (book(S=[]), {}, 400, "workbook.empty_sheet"),
        (book(S=[["a"], ["1", "beside"]]), {}, 400, "workbook.beside_header"),
        (book(S=[["a"], ["=1+1"]]), {}, 400, "workbook.not_calculated"),
        (book(S=[["a"], ["#N/A"]]), {}, 400, "workbook.error_cell"),
        (book(S=[["a", "a"], ["1", "2"]]), {}, 400, "upload.unreadable"),
    ],
)
def test_refusals_leave_nothing_behind(
    client: FlaskClient, settings: Settings, content: bytes, asked: dict[str, str], status: int, code: str
) -> None:
    answer = send(client, content, **asked)
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.text
    assert stored(settings) == []


def test_the_size_is_limited_packed_and_unpacked(make_app: Callable[..., Flask], settings: Settings) -> None:
    bomb = book(S=[["a"], *[["1" * 50]] * 20_000])
    client = make_app(max_workbook_bytes=len(bomb) + 1000).test_client()
    answer = send(client, bomb)
    assert (answer.status_code, answer.json["code"]) == (413, "workbook.too_large")
    answer = send(make_app(max_workbook_bytes=1000).test_client(), ONE)
    assert (answer.status_code, answer.json["code"]) == (413, "upload.too_large")
    answer = send(make_app(max_upload_bytes=10).test_client(), ONE)
    assert (answer.status_code, answer.json["code"]) == (413, "upload.too_large")
    assert stored(settings) == []


def test_only_two_at_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbooks, "_WAIT_SECONDS", 0.01)
    with workbooks._TURNS, workbooks._TURNS:
        answer = send(client, ONE)
    assert (answer.status_code, answer.json["code"]) == (503, "source.busy")
    assert send(client, ONE).status_code == 200


def test_it_needs_the_token_and_a_known_origin(guarded: FlaskClient) -> None:
    assert send(guarded, ONE).status_code == 401
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert send(guarded, ONE, bearer).status_code == 200
    refused = send(guarded, ONE, bearer | {"Origin": "https://evil.example"})
    assert (refused.status_code, refused.json["code"]) == (403, "auth.origin_refused")


def test_a_link_keeps_refusing_workbooks(client: FlaskClient) -> None:
    answer = client.post("/api/uploads/presign", json={"filename": "a.xlsx", "session_id": "s"})
    assert (answer.status_code, answer.json["code"]) == (400, "upload.unsupported_type")
