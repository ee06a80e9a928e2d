"""The CSV connector on files that are damaged, ragged, changed or refused: each with its code and line."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from connectors import Connector, ConnectorError, SourceChanged, connector_for, ragged_rows
from recipe import CsvSource, FilterCondition
from tests.connectors.contract import read_rows

CsvOf = Callable[..., Connector]


def failure(connector: Connector, splits: int = 1) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        read_rows(connector, splits)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("splits", [1, 2, 7])
@pytest.mark.parametrize(
    ("content", "code", "parts"),
    [
        ("a,b\n1,2\n3\n4,5\n", "source.csv_ragged", ["Line 3", "1 field where", "has 2"]),
        ("a,b\n1,2\n\n\n3,4,5\n", "source.csv_ragged", ["Line 5", "3 fields where", "has 2"]),
        ('a,b\r\n"1\r\n1",2\r\n3\r\n', "source.csv_ragged", ["Line 4"]),
        ("a,b\r1,2\r3,4,5\r", "source.csv_ragged", ["Line 3"]),
        ('a,b\n1,2\n3,"oops\n4,5\n6,7\n', "source.csv_quote", ["line 3", "never closed"]),
        ('a,b\n1,2\n3,"oops\n4,"def"\n6,7\n', "source.csv_quote", ["line 4", "text follows"]),
        ('a,b\n1,"x" \n', "source.csv_quote", ["line 2", "text follows"]),
        ('a,"b\n1,2\n', "source.csv_quote", ["line 1", "never closed"]),
        ('a,"b"x\n1,2\n', "source.csv_quote", ["line 1", "text follows"]),
        ("a,b\n1,2\nx,\0\n", "source.encoding", ["Line 3", "NUL", "byte 10"]),
        ("x,amount,amount\n1,2,3\n", "source.csv_header", ["'amount'", "line 1"]),
        ("\na, a\n1,2\n", "source.csv_header", ["'a'", "line 2"]),
        (",column_1\n1,2\n", "source.csv_header", ["'column_1'"]),
        ("", "source.empty_file", ["empty"]),
        ("\n\r\n\n", "source.empty_file", ["empty"]),
        ("\ufeff", "source.empty_file", ["empty"]),
    ],
)
def test_errors_name_code_and_line(csv_of: CsvOf, content: str, code: str, parts: list[str], splits: int) -> None:
    found = failure(csv_of(content), splits)
    assert found.code == code
    for part in parts:
        assert part in found.message


@pytest.mark.parametrize("splits", [1, 3])
def test_bytes_that_are_no_utf8(csv_of: CsvOf, splits: int) -> None:
    found = failure(csv_of(b"id,name\n1,ok\n2,M\xfcller\n"), splits)
    assert found.code == "source.encoding"
    assert "Line 3" in found.message
    assert "byte 16" in found.message
    assert "format.encoding" in found.hint


def test_bytes_that_are_not_of_the_stated_encoding(csv_of: CsvOf) -> None:
    found = failure(csv_of(b"id,name\n1,\x81\n", encoding="windows-1252"))
    assert (found.code, "Line 2" in found.message) == ("source.encoding", True)
    cut = failure(csv_of("id,b\n1,2\n".encode("utf-16")[:-1]))
    assert (cut.code, "Line 2" in cut.message) == ("source.encoding", True)


def test_lines_are_counted_across_blocks(csv_of: CsvOf) -> None:
    good = '1,"two\nlines"\n' * 400_000
    found = failure(csv_of("a,b\n" + good + "1,2,3\n"), 2)
    assert "Line 800002 " in found.message


def test_ragged_rows_can_be_kept_and_are_marked(csv_of: CsvOf) -> None:
    filler = "7,8,9\n" * 30_000
    connector = csv_of("a,b,c\n1\n" + filler + '2,"x\ny"\n3,4,5,6\n' + filler + "9,9", ragged="keep")
    full = [("7", "8", "9")] * 30_000
    expected = [("1", None, None), *full, ("2", "x\ny", None), ("3", "4", "5"), *full, ("9", "9", None)]
    for splits in (1, 2, 5):
        assert read_rows(connector, splits) == expected
    with connector.open_snapshot() as snapshot:
        batches = [b for s in connector.plan_splits(snapshot, 3) for b in connector.read(snapshot, s)]
    marked = [
        cells[0]
        for b in batches
        for cells, ragged in zip(zip(*b.to_pydict().values(), strict=True), ragged_rows(b), strict=True)
        if ragged
    ]
    assert marked == ["1", "2", "3", "9"]


def test_the_marks_of_ragged_rows_follow_them_through_filters(csv_of: CsvOf) -> None:
    connector = csv_of("a,b\n1\n2,3\n4,5\n6,7,8\n9\n", ragged="keep")
    with connector.open_snapshot() as snapshot:
        (split,) = connector.plan_splits(snapshot, 1)
        some = [FilterCondition(column="a", op="in", value=["2", "4", "6", "9"])]
        (batch,) = connector.read(snapshot, split, some, ["b"])
    assert batch.to_pydict() == {"b": ["3", "5", "7", None]}
    assert ragged_rows(batch).tolist() == [False, False, True, True]


def test_gzip_damage(csv_of: CsvOf, tmp_path: Path) -> None:
    whole = gzip.compress(b"id,b\n" + os.urandom(50_000).hex().encode() + b",1\n")
    assert "gzip" in failure(csv_of(whole[: len(whole) // 2], "cut.csv.gz")).message
    assert "gzip" in failure(csv_of(whole[:-8] + b"\0" * 8, "sum.csv.gz")).message
    assert "gzip" in failure(csv_of(b"id,b\n1,2\n", "plain.csv.gz")).message
    assert failure(csv_of(b"", "none.csv.gz")).code == "source.empty_file"
    assert read_rows(csv_of(gzip.compress(b"id,b\n1,2\n") * 1, "noext.csv"), 3) == [("1", "2")]


def test_a_folder_and_a_forbidden_file(tmp_path: Path, csv_of: CsvOf, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.csv").mkdir()
    folder = connector_for(CsvSource(alias="a", uri=str(tmp_path / "folder.csv"), primary_key=("id",)))
    assert "folder" in failure(folder).message
    connector = csv_of("id\n1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("connectors.local_files.os.stat", refuse)
    assert failure(connector).code == "source.access_denied"


def test_a_file_that_changes_is_noticed(csv_of: CsvOf, tmp_path: Path) -> None:
    connector = csv_of("id\n1\n2\n")
    path = tmp_path / "data.csv"
    with pytest.raises(SourceChanged), connector.open_snapshot():
        path.write_text("id\n1\n2\n3\n")
    with pytest.raises(SourceChanged), connector.open_snapshot() as snapshot:
        (split,) = connector.plan_splits(snapshot, 1)
        os.utime(path, ns=(1, 1))
        list(connector.read(snapshot, split))
    with pytest.raises(RuntimeError, match="own"), connector.open_snapshot():
        path.write_text("id\n")
        raise RuntimeError("own")  # the reader's own error is not covered up
