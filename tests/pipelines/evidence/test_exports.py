"""Exports hold every row, run nothing in a spreadsheet, and are written whole or not at all."""

from __future__ import annotations

import csv
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.utils.escape import unescape

from pipelines.evidence import SETS, Evidence, EvidenceError, export, export_workbook
from pipelines.evidence.cells import NumberTexts, cell_maker, neutral
from pipelines.parts import write_part
from tests.pipelines.evidence.samples import edit_manifest

HOSTILE = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", '=HYPERLINK("http://x")']
HARMLESS = ["-12.50", "+5", "-1.234,50", "-1e5", "plain", "a=b", "", "'=x", "https://example.org", "00123", "_x000D_"]


def replace_left(folder: Path, columns: dict[str, pa.Array], parts: int = 1) -> None:
    """Let the set unmatched_left hold these source columns."""
    rows = len(next(iter(columns.values())))
    fixed = {
        "_row": pa.array(range(1, rows + 1), pa.int64()),
        "_reason": pa.array(["no_key"] * rows),
        **{name: pa.nulls(rows, pa.string()) for name in ("_failed", "_nearest", "_gap")},
    }
    table = pa.table(fixed | columns)
    step = -(-rows // parts)
    written = [
        write_part(folder, "unmatched_left", n, [table.slice(n * step, step)], table.schema).as_dict()
        for n in range(parts)
    ]
    edit_manifest(folder, lambda m: m.update(parts=[p for p in m["parts"] if "_left/" not in p["path"]] + written))


def read_csv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        assert file.read(1) == "\ufeff"
        return list(csv.reader(file))


def sheet_rows(path: Path, title: str | None = None) -> list[list[Any]]:
    book = openpyxl.load_workbook(path)
    sheet = book[title] if title else book.active
    return [list(row) for row in sheet.iter_rows(values_only=True)]


@pytest.mark.parametrize("set_name", SETS)
def test_csv_and_parquet_hold_every_row(sample: Path, tmp_path: Path, set_name: str):
    page = Evidence(sample).rows(set_name, 1000)
    assert export(sample, set_name, "csv", tmp_path / "x.csv") == page.total
    found = read_csv(tmp_path / "x.csv")
    assert found == [[c.name for c in page.columns], *([cell or "" for cell in row] for row in page.rows)]
    export(sample, set_name, "parquet", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").equals(pq.read_table(sample / set_name))


def test_several_parts_become_one_parquet_file(mine: Path, tmp_path: Path):
    replace_left(mine, {"n": pa.array(range(1000))}, parts=3)
    export(mine, "unmatched_left", "parquet", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet")["n"].to_pylist() == list(range(1000))


def test_formulas_are_neutralised_in_csv_unless_raw(mine: Path, tmp_path: Path):
    texts = HOSTILE + HARMLESS
    replace_left(mine, {"=header": pa.array(texts)})
    export(mine, "unmatched_left", "csv", tmp_path / "x.csv")
    assert [row[5] for row in read_csv(tmp_path / "x.csv")] == ["'=header", *(f"'{t}" for t in HOSTILE), *HARMLESS]
    export(mine, "unmatched_left", "csv", tmp_path / "raw.csv", raw=True)
    assert [row[5] for row in read_csv(tmp_path / "raw.csv")] == ["=header", *texts]


def test_missing_texts_stay_missing():
    assert neutral(pa.array([None, "=1", None])).to_pylist() == [None, "'=1", None]


def test_texts_in_a_workbook_are_texts(mine: Path, tmp_path: Path):
    texts = HOSTILE + HARMLESS
    replace_left(mine, {"=header": pa.array(texts)})
    export(mine, "unmatched_left", "xlsx", tmp_path / "x.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "x.xlsx").active
    cells = [sheet.cell(row, 6) for row in range(1, len(texts) + 2)]
    assert {cell.data_type for cell in cells if cell.value} == {"s"}
    assert all(cell.hyperlink is None for cell in cells)
    assert [unescape(cell.value or "") for cell in cells] == ["=header", *texts]
    assert sheet.freeze_panes == "A2" and sheet.auto_filter.ref == f"A1:F{len(texts) + 1}"


def test_typed_cells_of_a_workbook(mine: Path, tmp_path: Path):
    columns = {
        "decimal": pa.array([Decimal("100.10"), Decimal("-0.01"), None], pa.decimal128(18, 2)),
        "wide": pa.array([Decimal("1234567890123456.78"), Decimal("1.00"), None], pa.decimal128(38, 2)),
        "day": pa.array([date(2026, 3, 1), date(1899, 12, 31), None]),
        "moment": pa.array(
            [datetime(2026, 3, 1, 12, 30, 1), datetime(2026, 3, 1, 0, 0, 0, 1), None], pa.timestamp("us")
        ),
        "utc": pa.array([datetime(2026, 3, 1, 12, 30), None, None], pa.timestamp("us", tz="UTC")),
        "flag": pa.array([True, False, None]),
        "amount": pa.array(["5000.00", "007", "many"]),
    }
    replace_left(mine, columns)
    export(mine, "unmatched_left", "xlsx", tmp_path / "x.xlsx")
    first, second, third = [row[5:] for row in sheet_rows(tmp_path / "x.xlsx")[1:]]
    assert first == [100.1, "1234567890123456.78", datetime(2026, 3, 1), datetime(2026, 3, 1, 12, 30, 1),
                     datetime(2026, 3, 1, 12, 30), "true", 5000]  # fmt: skip
    assert second == [-0.01, 1, "1899-12-31", "2026-03-01T00:00:00.000001", None, "false", "007"]
    assert third == [None] * 6 + ["many"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.234,50", 1234.5),
        ("0,5", 0.5),
        ("00,5", "00,5"),
        ("-0", 0.0),
        ("x", "x"),
        ("1234567890123456", "1234567890123456"),
    ],
)
def test_texts_that_the_run_read_as_numbers(text: str, expected: Any):
    assert cell_maker(pa.string(), NumberTexts(",", "."))(text) == expected


def test_the_whole_workbook(sample: Path, tmp_path: Path):
    assert export_workbook(sample, tmp_path / "x.xlsx") == 7 + 8 + 8
    book = openpyxl.load_workbook(tmp_path / "x.xlsx")
    assert book.sheetnames == ["Summary", "Matched", "Unmatched left", "Unmatched right"]
    rows = sheet_rows(tmp_path / "x.xlsx", "Summary")
    assert ["Left: invoices_csv", 15, 7, 8] in [row[:4] for row in rows]
    assert ["SHA-256 of manifest.json", Evidence(sample).manifest_sha256] in [row[:2] for row in rows]
    amounts = [row[7] for row in sheet_rows(tmp_path / "x.xlsx", "Matched")[1:]]
    assert all(isinstance(amount, (int, float)) for amount in amounts)


def code_of(call: Any) -> str:
    with pytest.raises(EvidenceError) as caught:
        call()
    assert caught.value.hint
    return caught.value.code


def test_what_a_sheet_cannot_hold_is_refused(mine: Path, tmp_path: Path):
    target = tmp_path / "x.xlsx"
    replace_left(mine, {"long": pa.array(["x" * 32_768])})
    assert code_of(lambda: export(mine, "unmatched_left", "xlsx", target)) == "evidence.cell_too_long"
    edit_manifest(mine, lambda m: m["parts"][0].update(rows=1_048_576))
    assert code_of(lambda: export(mine, "matched", "xlsx", target)) == "evidence.too_many_rows"
    assert code_of(lambda: export_workbook(mine, target)) == "evidence.too_many_rows"
    assert [p.name for p in tmp_path.iterdir()] == ["evidence"]


def test_targets_are_not_overwritten_and_nothing_half_written_stays(mine: Path, tmp_path: Path):
    target = tmp_path / "x.csv"
    target.write_text("mine")
    assert code_of(lambda: export(mine, "matched", "csv", target)) == "evidence.target_exists"
    assert code_of(lambda: export(mine, "matched", "csv", tmp_path / "no" / "x.csv")) == "evidence.no_folder"
    assert code_of(lambda: export(mine, "matched", "pdf", target)) == "evidence.unknown_format"
    (mine / "matched" / "part-00000.parquet").unlink()
    assert code_of(lambda: export(mine, "matched", "csv", target, overwrite=True)) == "evidence.part_missing"
    assert target.read_text() == "mine"
    export(mine, "unmatched_left", "csv", target, overwrite=True)
    assert len(read_csv(target)) == 9
    assert {p.name for p in tmp_path.iterdir()} == {"evidence", "x.csv"}
