"""A download is the file that an export would write, in blocks, with nothing left behind."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import openpyxl
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import FORMATS, SETS, Evidence, EvidenceError, export, stream, workbook
from tests.pipelines.evidence.queries import make_hostile


def whole(folder: Path, set_name: str, format_name: str) -> bytes:
    found = stream(Evidence(folder), set_name, format_name)
    content = b"".join(found.chunks)
    assert found.size in (None, len(content))
    assert found.suffix == format_name
    return content


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in several parts."""
    return make_hostile(tmp_path_factory.mktemp("several"), rows=400, parts=3)


@pytest.mark.parametrize("set_name", SETS)
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_download_is_an_export(sample: Path, several: Path, tmp_path: Path, set_name: str, format_name: str):
    for number, folder in enumerate((sample, several)):
        target = tmp_path / f"{number}"
        export(folder, set_name, format_name, target)
        content = whole(folder, set_name, format_name)
        if format_name == "csv":
            assert content == target.read_bytes()
        elif format_name == "parquet":
            tables = [pq.read_table(io.BytesIO(c)) for c in (content, target.read_bytes())]
            assert tables[0].schema.equals(tables[1].schema)
            assert repr(tables[0].to_pylist()) == repr(tables[1].to_pylist())  # NaN equals nothing but its text
        else:
            sheets = [openpyxl.load_workbook(io.BytesIO(c)).active for c in (content, target.read_bytes())]
            rows = [
                [[repr(cell) for cell in row] for row in sheet.iter_rows(values_only=True)] for sheet in sheets if sheet
            ]
            assert rows[0] == rows[1] and rows[0]


def test_a_csv_reads_back_cell_by_cell(several: Path, tmp_path: Path):
    export(several, "unmatched_left", "csv", tmp_path / "x.csv", raw=True)
    page = Evidence(several).rows("unmatched_left", 1000)
    with (tmp_path / "x.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [[c.name for c in page.columns], *([cell or "" for cell in row] for row in page.rows)]


def test_nothing_is_left_behind(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    unread = stream(Evidence(sample), "matched", "xlsx")
    half = stream(Evidence(sample), "matched", "xlsx").chunks
    assert next(half)[:2] == b"PK"
    assert list(tmp_path.iterdir()) == []
    for chunks in (unread.chunks, half):
        chunks.close()  # type: ignore[attr-defined]


def test_a_sheet_that_would_be_too_long(sample: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(workbook, "MOST_ROWS", 6)
    with pytest.raises(EvidenceError) as caught:
        stream(Evidence(sample), "matched", "xlsx")
    assert caught.value.code == "evidence.too_many_rows"


@pytest.mark.parametrize("format_name", FORMATS)
def test_what_is_missing_is_said_before_the_first_byte(mine: Path, format_name: str):
    (mine / "matched" / "part-00000.parquet").unlink()
    with pytest.raises(EvidenceError) as caught:
        stream(Evidence(mine), "matched", format_name)
    assert caught.value.code == "evidence.part_missing"


@pytest.mark.parametrize(
    ("set_name", "format_name", "code"), [("all", "csv", "unknown_set"), ("matched", "pdf", "unknown_format")]
)
def test_unknown_sets_and_formats(sample: Path, set_name: str, format_name: str, code: str):
    with pytest.raises(EvidenceError) as caught:
        stream(Evidence(sample), set_name, format_name)
    assert caught.value.code == f"evidence.{code}"
