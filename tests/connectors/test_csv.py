"""The CSV connector: the shared contract, dialects, splits, errors with their line."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import Connector, ConnectorError, SourceChanged, connector_for, ragged_rows, sniff_format
from connectors.csv.reader import CsvConnector
from connectors.local_files import LocalFile
from recipe import Column, CsvFormat, CsvSource, FilterCondition, Kind, format_cell
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows

CsvOf = Callable[..., Connector]


def written(header: Sequence[str], rows: Sequence[Row], **dialect: Any) -> str:
    """The table as Python's own csv module writes it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, **dialect)
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


class TestCsvContract(ConnectorContract):
    typed = False
    test_typed_filters_mean_the_same = None  # every cell is text
    keeps_empty_text = False
    identity_keys = frozenset({"size", "mtime_ns"})
    encoding = "utf-8"
    name = "data.csv"

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            text = written([c.name for c in columns], [[format_cell(v) for v in row] for row in rows])
            data = text.encode(self.encoding)
            path = tmp_path / self.name
            path.write_bytes(gzip.compress(data) if self.name.endswith(".gz") else data)
            return connector_for(CsvSource(alias="a", uri=str(path), primary_key=("id",)))

        return build

    @pytest.fixture
    def missing(self, tmp_path: Path) -> Connector:
        return connector_for(CsvSource(alias="a", uri=str(tmp_path / "gone.csv"), primary_key=("id",)))


class TestGzipContract(TestCsvContract):
    name = "data.csv.gz"


class TestUtf16Contract(TestCsvContract):
    encoding = "utf-16"


class TestMarkContract(TestCsvContract):
    encoding = "utf-8-sig"


# --- any table, any number of splits
# ---------------------------------------------------------------------------

cells = st.text(st.sampled_from('ab"\n\r,;é0 \t|'), max_size=6) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), max_size=12))
dialects = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    }
)


def connector_over(path: Path, **format_: str) -> CsvConnector:
    return CsvConnector(LocalFile(str(path)), CsvFormat.model_validate(format_))


@settings(max_examples=150)
@given(table=tables, dialect=dialects, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_python_writes_is_read_the_same_in_any_number_of_splits(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]], dialect: dict[str, Any], encoding: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "t.csv"
    header = [f"c{i}" for i in range(len(table[0]) if table else 2)]
    if any("\r" in cell or "\n" in cell for row in table for cell in row):
        dialect |= {"quoting": csv.QUOTE_ALL}  # Python 3.11 leaves the line end that it does not write unquoted
    path.write_bytes(written(header, table, **dialect).encode(encoding))
    connector = connector_over(path, delimiter=dialect["delimiter"])
    expected = [tuple(cell or None for cell in row) for row in table]
    for splits in (1, 2, 3, 7, 50):
        assert read_rows(connector, splits) == expected
    assert connector.count() == len(table)


@settings(max_examples=150)
@given(data=st.text(st.sampled_from('a"\n,é\ufeff'), max_size=40), splits=st.integers(2, 30))
def test_arbitrary_bytes_read_the_same_in_any_number_of_splits_or_fail_alike(
    tmp_path_factory: pytest.TempPathFactory, data: str, splits: int
) -> None:
    path = tmp_path_factory.mktemp("odd") / "t.csv"
    path.write_text("h1,h2\n" + data, newline="", encoding="utf-8")
    connector = connector_over(path, delimiter=",", ragged="keep")

    def outcome(count: int) -> object:
        try:
            return read_rows(connector, count)
        except ConnectorError as error:
            return error.code, error.message

    whole = outcome(1)
    assert outcome(splits) == whole
    if isinstance(whole, list):
        rows = [row for row in csv.reader(io.StringIO(data, newline=""), doublequote=True) if row]
        assert whole == [tuple((cell or None) for cell in (*row, "", "")[:2]) for row in rows]


def test_a_mark_inside_the_file_is_a_character_of_its_cell(csv_of: CsvOf) -> None:
    """Two files with a mark, put together: where the second begins does not depend on the splits."""
    connector = csv_of('id,what\n\ufeff1,a\n2,b\n\ufeffid,what\n\ufeff"3",c\n')
    rows = [("\ufeff1", "a"), ("2", "b"), ("\ufeffid", "what"), ('\ufeff"3"', "c")]
    for splits in (1, 2, 3, 4, 9, 17):
        assert read_rows(connector, splits) == rows


def test_stray_quotes_do_not_shift_the_borders(csv_of: CsvOf) -> None:
    rows = [(str(i), f'{i}" pipe' if i % 3 else 'quoted\n"pipe", big') for i in range(200)]
    lines = [f'{i},{i}" pipe' if i % 3 else f'{i},"quoted\n""pipe"", big"' for i in range(200)]
    connector = csv_of("id,what\n" + "\n".join(lines))
    for splits in (1, 2, 5, 17, 200, 999):
        assert read_rows(connector, splits) == rows


def test_splits_are_really_apart(csv_of: CsvOf) -> None:
    connector = csv_of("id\n" + "\n".join(str(i) for i in range(100)))
    with connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, 10)
        sizes = [sum(b.num_rows for b in connector.read(snapshot, s)) for s in splits]
    assert len(splits) == 10
    assert sum(sizes) == 100
    assert max(sizes) <= 15


def test_a_record_larger_than_a_block(csv_of: CsvOf) -> None:
    long = ('x,"\n' * 3_000_000)[:9_000_000]
    connector = csv_of(written(["id", "text"], [("1", long), ("2", "short")]))
    for splits in (1, 3):
        assert read_rows(connector, splits) == [("1", long), ("2", "short")]


def test_the_first_rows_do_not_wait_for_a_large_block(csv_of: CsvOf) -> None:
    """Blocks begin small and double: who shows a few rows reads little, who reads all of them loses nothing."""
    rows = 100_000
    connector = csv_of("id,text\n" + "".join(f"{n},{'x' * 90}\n" for n in range(rows)))
    with connector.open_snapshot() as snapshot:
        (split,) = connector.plan_splits(snapshot, 1)
        batches = connector.read(snapshot, split)
        first = next(batches)
        assert 0 < first.num_rows < rows / 20
        ids = first.column(0).to_pylist() + [value for batch in batches for value in batch.column(0).to_pylist()]
    assert ids == [str(n) for n in range(rows)]


def test_many_blocks(csv_of: CsvOf) -> None:
    rows = [(str(i), f"name {i} " + "é" * 50, "a\nb" if i % 1000 == 0 else None) for i in range(120_000)]
    connector = csv_of(written(["id", "name", "note"], rows))
    assert read_rows(connector, 3) == rows
    assert connector.preview(2).total_rows == 120_000
    estimate = connector.estimated_rows()
    assert estimate is not None
    assert abs(estimate - 120_000) < 12_000


# --- header and dialect
# ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("id,amount\n007,1.50\n", ["id", "amount"], [("007", "1.50")]),
        ("id;amount\n1;1,50\n2;2,75\n", ["id", "amount"], [("1", "1,50"), ("2", "2,75")]),
        ("id\tamount\r\n1\t2\r\n", ["id", "amount"], [("1", "2")]),
        ("id|a b\r1|2\r", ["id", "a b"], [("1", "2")]),
        ('id,note\n1,"a;b;c"\n2,"d;e;f"', ["id", "note"], [("1", "a;b;c"), ("2", "d;e;f")]),
        ('"id","a;b"\n1,2\n', ["id", "a;b"], [("1", "2")]),
        ("note\nhello, world\n", ["note"], [("hello, world",)]),
        ("id\n1\n\n\n2\n\n", ["id"], [("1",), ("2",)]),
        ('id\n""\n2\n', ["id"], [(None,), ("2",)]),
        ("\n\r\nid,b\n\n1,2", ["id", "b"], [("1", "2")]),
        (',b, \n1,2,3\n', ["column_1", "b", "column_3"], [("1", "2", "3")]),
        (" id , b\n 1 , 2\n", ["id", "b"], [(" 1 ", " 2")]),
        ("id,b,\n1,2,\n", ["id", "b", "column_3"], [("1", "2", None)]),
        ('id,b\n1,""\n2,\n3,"x"\n', ["id", "b"], [("1", None), ("2", None), ("3", "x")]),
        ('id,b\n1,NULL\n2,NA\n3,nan\n', ["id", "b"], [("1", "NULL"), ("2", "NA"), ("3", "nan")]),
        ('"multi\nline",b\n1,2\n', ["multi\nline", "b"], [("1", "2")]),
        ('id,b\n1,"a\r\nb"\n', ["id", "b"], [("1", "a\r\nb")]),
        ("id,b", ["id", "b"], []),
    ],
)  # fmt: skip
def test_dialects(csv_of: CsvOf, content: str, names: list[str], rows: list[Row]) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        connector = csv_of(content.encode(encoding))
        assert [c.name for c in connector.schema()] == names
        for splits in (1, 4):
            assert read_rows(connector, splits) == rows


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf16_byte_orders(csv_of: CsvOf, mark: bytes) -> None:
    codec = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    connector = csv_of(mark + "id,name\n1,Jürgen 𝄞\n".encode(codec))
    assert read_rows(connector, 3) == [("1", "Jürgen 𝄞")]


def test_utf16_without_a_mark_needs_the_format(csv_of: CsvOf) -> None:
    content = "id,b\n1,2\n".encode("utf-16-le")
    with pytest.raises(ConnectorError, match="NUL") as caught:
        csv_of(content).schema()
    assert caught.value.code == "source.encoding"
    assert "utf-16" in caught.value.hint
    assert read_rows(csv_of(content, encoding="utf-16")) == [("1", "2")]


@pytest.mark.parametrize("splits", [1, 2, 9])
def test_single_byte_encodings(csv_of: CsvOf, splits: int) -> None:
    rows = [(str(i), "Müller & Söhne €") for i in range(50)]
    text = written(["id", "größe"], rows)
    connector = csv_of(text.encode("windows-1252"), encoding="windows-1252")
    assert [c.name for c in connector.schema()] == ["id", "größe"]
    assert read_rows(connector, splits) == rows
    latin = csv_of("id,b\n1,\xff\x80\n".encode("latin-1"), encoding="iso-8859-1")
    assert read_rows(latin, splits) == [("1", "\xff\x80")]


def test_an_upper_case_extension_blanks_percent_and_relative_paths(tmp_path: Path) -> None:
    (tmp_path / "in put").mkdir()
    (tmp_path / "in put" / "50% ü.CSV").write_text("id\n1\n")
    for uri in ("in put/50% ü.CSV", "in%20put/50%25%20%C3%BC.CSV"):
        connector = connector_for(CsvSource(alias="a", uri=uri, primary_key=("id",)), base_dir=tmp_path)
        assert read_rows(connector) == [("1",)]


# --- errors
# ----------------------------------------------------------------------------------------------------


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


# --- hostile names
# ---------------------------------------------------------------------------------------------

HOSTILE = [
    'a"b', "a'b", "a\nb", "../../etc/passwd", "100%", "%2e%2e%2f", "naïve ✓ 数", "a\x01b\x7f", "x" * 10_000,
    "a; DROP TABLE left_src; --", '"); COPY (SELECT 1) TO \'/tmp/x\'', "=1+1",
    "@SUM(A1)", "{0}%s$(id)`id`", "a,b;c|d\te",
]  # fmt: skip


def test_hostile_headers_and_cells_arrive_as_written(csv_of: CsvOf) -> None:
    connector = csv_of(written(HOSTILE, [HOSTILE]), delimiter=",")
    assert [c.name for c in connector.schema()] == HOSTILE
    for splits in (1, 3):
        assert read_rows(connector, splits) == [tuple(HOSTILE)]
    assert connector.preview(1).rows == [HOSTILE]


@pytest.mark.parametrize("name", [n for n in HOSTILE if "/" not in n and len(n) < 200])
def test_hostile_file_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_text("id\n1\n")
    connector = CsvConnector(LocalFile(str(path)))
    assert read_rows(connector, 2) == [("1",)]


# --- sniffing
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "decimal", "thousands", "order"),
    [
        ("a;b\n1,50;2\n", ",", "", "ymd"),
        ("a,b\n1.50,2\n", ".", "", "ymd"),
        ('a,b\n"1,234.50",2\n', ".", ",", "ymd"),
        ("a;b\n1.234,50;2\n", ",", ".", "ymd"),
        ("a;b\n1.234;1,234\n", ".", "", "ymd"),
        ("a;b\n1.234.567;x\n", ",", ".", "ymd"),
        ("a;b\n1'234'567.5;x\n", ".", "'", "ymd"),
        ("a;b\n1 234,5;x\n", ",", " ", "ymd"),
        ("a;b\n0.123;2\n", ".", "", "ymd"),
        ("a,b\n31/12/2026,1\n01/02/2026,1\n", ".", "", "dmy"),
        ("a,b\n12/31/2026,1\n", ".", "", "mdy"),
        ("a,b\n01/02/2026,1\n", ".", "", "ymd"),
        ("a,b\n01.02.2026,1\n", ".", "", "dmy"),
        ("a,b\n2026-02-01,1\n2026-12-31,1\n31/12/2026,1\n", ".", "", "ymd"),
        ("a,b\n", ".", "", "ymd"),
        ("a,b\n12/31/2026,1\n31/12/2026,1\n", ".", "", "ymd"),
    ],
)
def test_sniffed_values(tmp_path: Path, content: str, decimal: str, thousands: str, order: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(content)
    found = sniff_format(path)
    assert (found.decimal, found.thousands, found.date_order) == (decimal, thousands, order)


def test_sniffed_dialect(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("a|b\n1|2\n".encode("utf-16"))
    assert sniff_format(path) == CsvFormat(delimiter="|", encoding="utf-16")
    path.write_bytes(b"a\tb\n1\t2\n" * 50_000)
    assert sniff_format(path) == CsvFormat(delimiter="\t", encoding="utf-8")


def test_kind_is_text(csv_of: CsvOf) -> None:
    assert csv_of("id,b\n1,2.5\n").schema() == (
        Column("id", Kind.TEXT, native="text"),
        Column("b", Kind.TEXT, native="text"),
    )
