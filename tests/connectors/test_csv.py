"""The CSV connector: the shared contract, dialects, splits, hostile names, sniffing."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import Connector, ConnectorError, connector_for, sniff_format
from connectors.csv.reader import CsvConnector
from connectors.local_files import LocalFile
from recipe import Column, CsvFormat, CsvSource, Kind, format_cell
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
