"""The Parquet connector: the shared contract, every type, splits by row groups, damage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from connectors import Connector, ConnectorError, SourceChanged, connector_for
from recipe import Column, Kind, ParquetSource
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows

UTC = dt.UTC
ARROW = {
    Kind.INTEGER: pa.int64(),
    Kind.TEXT: pa.string(),
    Kind.DECIMAL: pa.decimal128(18, 2),
    Kind.DOUBLE: pa.float64(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    Kind.BOOLEAN: pa.bool_(),
}


def over(path: Path) -> Connector:
    return connector_for(ParquetSource(alias="a", uri=str(path).replace("%", "%25"), primary_key=("id",)))


class TestParquetContract(ConnectorContract):
    identity_keys = frozenset({"size", "mtime_ns"})
    group_rows = 2

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            cells = list(zip(*rows, strict=True)) or [()] * len(columns)
            arrays = [pa.array(list(v), ARROW[c.kind]) for v, c in zip(cells, columns, strict=True)]
            path = tmp_path / "data.parquet"
            pq.write_table(pa.table(arrays, [c.name for c in columns]), path, row_group_size=self.group_rows)
            return over(path)

        return build

    @pytest.fixture
    def missing(self, tmp_path: Path) -> Connector:
        return over(tmp_path / "gone.parquet")


MOMENT = dt.datetime(2026, 1, 31, 12, 0, 1, 500000)
TYPES: list[tuple[str, pa.Array, Kind, list[Any], bool]] = [
    ("int8", pa.array([1, None, -128], pa.int8()), Kind.INTEGER, [1, None, -128], True),
    ("int32", pa.array([2**31 - 1], pa.int32()), Kind.INTEGER, [2**31 - 1], True),
    ("uint8", pa.array([255], pa.uint8()), Kind.INTEGER, [255], False),
    ("uint16", pa.array([65535], pa.uint16()), Kind.INTEGER, [65535], False),
    ("uint32", pa.array([2**32 - 1], pa.uint32()), Kind.INTEGER, [2**32 - 1], False),
    ("uint64", pa.array([2**64 - 1, None], pa.uint64()), Kind.DECIMAL, [Decimal(2**64 - 1), None], False),
    ("decimal", pa.array([Decimal("9" * 36 + ".99")], pa.decimal128(38, 2)), Kind.DECIMAL,
     [Decimal("9" * 36 + ".99")], True),
    ("decimal256", pa.array([Decimal("1.50")], pa.decimal256(38, 2)), Kind.DECIMAL, [Decimal("1.50")], False),
    ("float", pa.array([0.1, None, float("inf"), 16777216.0], pa.float32()), Kind.DOUBLE,
     [0.1, None, float("inf"), 16777216.0], False),
    ("half", pa.array(np.array([0.1, 2.5], "float16")), Kind.DOUBLE, [0.1, 2.5], False),
    ("large", pa.array(["é", None], pa.large_string()), Kind.TEXT, ["é", None], True),
    ("dictionary", pa.array(["a", None, "a"]).dictionary_encode(), Kind.TEXT, ["a", None, "a"], True),
    ("binary", pa.array([b"\x00\xff", None], pa.binary()), Kind.TEXT, ["00ff", None], False),
    ("fixed", pa.array([b"\x01\x02"], pa.binary(2)), Kind.TEXT, ["0102"], False),
    ("sixteen", pa.array([bytes(16)], pa.binary(16)), Kind.TEXT, ["00" * 16], False),
    ("uuid", pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(15) + b"\x05", None], pa.binary(16))),
     Kind.TEXT, ["00000000-0000-0000-0000-000000000005", None], False),
    ("date64", pa.array([dt.date(2026, 1, 31)], pa.date64()), Kind.DATE, [dt.date(2026, 1, 31)], True),
    ("seconds", pa.array([MOMENT.replace(microsecond=0)], pa.timestamp("s")), Kind.TIMESTAMP,
     [MOMENT.replace(microsecond=0)], True),
    ("milli", pa.array([MOMENT], pa.timestamp("ms")), Kind.TIMESTAMP, [MOMENT], True),
    ("nano", pa.array([MOMENT, None], pa.timestamp("ns")), Kind.TIMESTAMP, [MOMENT, None], False),
    ("zoned", pa.array([MOMENT.replace(tzinfo=UTC)], pa.timestamp("us", tz="Europe/Berlin")),
     Kind.TIMESTAMPTZ, [MOMENT.replace(tzinfo=UTC)], True),
    ("time", pa.array([dt.time(12, 0, 1), dt.time(1, 2, 3, 40)], pa.time64("us")), Kind.TEXT,
     ["12:00:01", "01:02:03.000040"], False),
    ("bool", pa.array([True, None, False]), Kind.BOOLEAN, [True, None, False], True),
    ("null", pa.nulls(2), Kind.TEXT, [None, None], False),
    ("list", pa.array([[1, None], [], None]), Kind.TEXT, ["[1, null]", "[]", None], False),
    ("struct", pa.array([{"a": Decimal("1.10"), "b": "é"}]), Kind.TEXT, ['{"a": 1.10, "b": "é"}'], False),
    ("map", pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())), Kind.TEXT,
     ['{"k": 1}', None], False),
]  # fmt: skip


@pytest.mark.parametrize(("array", "kind", "expected"), [pytest.param(*t[1:4], id=t[0]) for t in TYPES])
def test_types(tmp_path: Path, array: pa.Array, kind: Kind, expected: list[Any]) -> None:
    pq.write_table(pa.table({"id": array}), tmp_path / "t.parquet")
    connector = over(tmp_path / "t.parquet")
    assert [c.kind for c in connector.schema()] == [kind]
    assert read_rows(connector) == [(value,) for value in expected]
    assert [type(row[0]) for row in read_rows(connector)] == [type(value) for value in expected]
    assert len(connector.preview(10).rows) == len(expected)


@pytest.mark.parametrize(("array", "expected"), [pytest.param(t[1], t[3], id=t[0]) for t in TYPES])
def test_in_place_files_hold_the_same_for_the_engine(tmp_path: Path, array: pa.Array, expected: list[Any]) -> None:
    """Whatever is offered in place, DuckDB reads to the very same values and kind of type."""
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": array}), path)
    connector = over(path)
    if connector.in_place_path() is None:
        return
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        found = engine.sql("SELECT id FROM read_parquet(?)", params=[str(path)]).to_arrow_table()
    assert found.column(0).to_pylist() == expected
    assert found.schema.field(0).type == connector.arrow_schema().field(0).type


def test_what_is_offered_in_place(tmp_path: Path) -> None:
    """The plain types are, one column that needs conversion is enough to read through Arrow."""
    path = tmp_path / "t.parquet"
    plain = {t[0]: t[1].slice(0, 1) for t in TYPES if t[4]}
    pq.write_table(pa.table(plain), path)
    assert over(path).in_place_path() == str(path)
    for name, array, _, _, is_plain in TYPES:
        if not is_plain:
            pq.write_table(pa.table({**plain, name: array.slice(0, 1)}), path)
            assert over(path).in_place_path() is None, name


def failure(use: Callable[[], object]) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        use()
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1], pa.timestamp("ns")),
        pa.array([1], pa.time64("ns")),
        pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers()),
        pa.array([-719_528], pa.date32()),
        pa.array([253_402_300_800], pa.timestamp("s")),
    ],
    ids=["nanoseconds", "nano times", "no text", "year 0", "year 10000"],
)
def test_a_value_without_exact_form_names_its_column(tmp_path: Path, array: pa.Array) -> None:
    pq.write_table(pa.table({"id": [1], "posted at": array}), tmp_path / "t.parquet")
    found = failure(lambda: read_rows(over(tmp_path / "t.parquet")))
    assert found.code == "source.unrepresentable_value"
    assert "'posted at'" in found.message


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("us", tz="UTC")])
def test_a_day_outside_the_calendar_is_shown_by_no_preview(tmp_path: Path, kind: pa.DataType) -> None:
    days = pa.array([-719_528], pa.int32()).cast(pa.date32())  # 0000-01-01
    pq.write_table(pa.table({"id": [1], "posted at": days.cast(kind)}), tmp_path / "t.parquet")
    connector = over(tmp_path / "t.parquet")
    found = failure(lambda: connector.preview(5))
    assert found.code == "source.unrepresentable_value"
    assert "'posted at'" in found.message and found.hint
    assert connector.count() == 1


@pytest.mark.parametrize("kind", [pa.decimal256(60, 2), pa.decimal256(39, 0), pa.duration("s")])
def test_a_type_without_exact_form_names_its_column(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"wide": pa.array([None], kind)}), tmp_path / "t.parquet")
    found = failure(over(tmp_path / "t.parquet").schema)
    assert found.code == "source.unsupported_type"
    assert "'wide'" in found.message


def test_splits_are_whole_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": list(range(1000))}), path, row_group_size=30)
    connector = over(path)
    with connector.open_snapshot() as snapshot:
        for desired in (1, 2, 4, 34, 500):
            splits = connector.plan_splits(snapshot, desired)
            assert len(splits) == min(desired, 34)
            sizes = [sum(b.num_rows for b in connector.read(snapshot, s)) for s in splits]
            assert sum(sizes) == 1000
            assert max(sizes) <= 1000 / len(splits) + 30


def test_column_order_and_zero_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"z": pa.array([], pa.int64()), "a": pa.array([], pa.string())}), path)
    connector = over(path)
    assert [c.name for c in connector.schema()] == ["z", "a"]
    assert read_rows(connector, 3) == []
    assert connector.in_place_path() == str(path)


def test_repeated_column_names(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), path)
    found = failure(over(path).schema)
    assert (found.code, "'a'" in found.message) == ("source.repeated_column", True)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": list(range(10_000))}), path, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    damaged = {
        "empty": b"",
        "text": b"id,amount\n1,2\n",
        "cut": whole[: len(whole) // 2],
        "header": b"XXXX" + whole[4:-8] + b"\xff\xff\xff\x7fPAR1",
        "pages": whole[:4] + b"\xff" * 400 + whole[404:],
    }
    for content in damaged.values():
        path.write_bytes(content)
        found = failure(lambda: read_rows(over(path)))
        assert found.code == "source.unreadable"
        assert str(path) in found.message


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").mkdir()
    assert "folder" in failure(over(tmp_path / "t.parquet").schema).message


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1]}), path)
    connector = over(path)
    with pytest.raises(SourceChanged), connector.open_snapshot() as snapshot:
        (split,) = connector.plan_splits(snapshot, 1)
        pq.write_table(pa.table({"id": [1, 2, 3]}), path)
        list(connector.read(snapshot, split))


@pytest.mark.parametrize("name", ["a'b\"c", "50% %41", "ü ✓", "a\nb", "; DROP TABLE x", "=cmd()", "x" * 5000])
def test_hostile_column_names(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"id": [1], name: [name]}), tmp_path / "t.parquet")
    connector = over(tmp_path / "t.parquet")
    assert connector.schema()[1].name == name
    assert read_rows(connector) == [(1, name)]
    assert connector.preview(1).rows == [["1", name]]
