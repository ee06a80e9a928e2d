"""Single cases that random tables rarely hit."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evidence import verify
from tests.helpers import document, drive, manifest, read_set, set_columns, source, write_csv, write_parquet

MOMENT = dt.datetime(2024, 2, 29, 12, 0, 0, 500_000)
ZONED = MOMENT.replace(tzinfo=dt.UTC)
PAIRS = {
    "int-decimal": (pa.int64(), [1, 2, -3], pa.decimal128(9, 3), [D(1), D(2), D(-3)]),
    "uint8-int64": (pa.uint8(), [1, 200, 255], pa.int64(), [1, 200, 255]),
    "uint64-decimal": (pa.uint64(), [2**63, 2**64 - 1, 0], pa.decimal128(38, 0), [D(2**63), D(2**64 - 1), D(0)]),
    "decimal-decimal": (
        pa.decimal128(38, 10),
        [D("1.5"), D("100"), D("-0.1")],
        pa.decimal128(5, 1),
        [D("1.5"), D("100"), D("-0.1")],
    ),
    "us-ns": (pa.timestamp("us"), [MOMENT] * 3, pa.timestamp("ns"), [MOMENT] * 3),
    "s-ms": (
        pa.timestamp("s"),
        [MOMENT.replace(microsecond=0)] * 3,
        pa.timestamp("ms"),
        [MOMENT.replace(microsecond=0)] * 3,
    ),
    "tz-tz": (pa.timestamp("us", "UTC"), [ZONED] * 3, pa.timestamp("ms", "Europe/Berlin"), [ZONED] * 3),
    "tz-plain": (pa.timestamp("us", "UTC"), [ZONED] * 3, pa.timestamp("us"), [MOMENT] * 3),
    "date-timestamp": (pa.date32(), [MOMENT.date()] * 3, pa.timestamp("us"), [dt.datetime(2024, 2, 29)] * 3),
    "date64-date32": (pa.date64(), [MOMENT.date()] * 3, pa.date32(), [MOMENT.date()] * 3),
    "double-double": (pa.float64(), [0.0, 1e15, 0.1], pa.float64(), [-0.0, 1e15, 0.1]),
    "float-double": (pa.float32(), [0.5, 1.0, -2.0], pa.float64(), [0.5, 1.0, -2.0]),
    "double-decimal": (pa.float64(), [0.1, 1e15, 2.5], pa.decimal128(38, 10), [D("0.1"), D(10**15), D("2.5")]),
    "text-large": (pa.string(), ["a", "ä", "\x1f"], pa.large_string(), ["a", "ä", "\x1f"]),
    "text-number": (pa.string(), ["007", "1e2", " 5 "], pa.int64(), [7, 100, 5]),
    "bool-bool": (pa.bool_(), [True] * 3, pa.bool_(), [True] * 3),
}


@pytest.mark.parametrize("strategy", ["local", "shuffle"])
@pytest.mark.parametrize("pair", PAIRS)
def test_equal_keys_of_different_types_meet(pair: str, strategy: str, tmp_path: Path) -> None:
    kind, values, other, others = PAIRS[pair]
    sides = [
        source(
            write_parquet(tmp_path / f"{name}.parquet", {"id": [1, 2, 3], "k": cells}, {"id": pa.int64(), "k": t}),
            ["id"],
        )
        for name, t, cells in (("l", kind, values), ("r", other, others))
    ]
    found = drive(
        document("SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.k = r.k", *sides),
        tmp_path / "o",
        strategy=strategy,
        partitions=5,
    )
    same = sum(a == b for a in values for b in values)
    assert found["matched_count"] == same
    assert found["unmatched_left_count"] == found["unmatched_right_count"] == 0


def test_nested_and_unusual_parquet_types_reach_the_evidence(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array(["a", "b", "c"]).dictionary_encode(),
            "list": pa.array([[1, 2], [], None]),
            "struct": pa.array([{"x": 1}, {"x": None}, None]),
            "time": pa.array([dt.time(1, 2, 3), None, dt.time(0)], pa.time64("us")),
            "bytes": pa.array([b"\x00\xff", b"", None]),
            "nothing": pa.nulls(3),
        }
    )
    pq.write_table(table, tmp_path / "l.parquet")
    right = write_csv(tmp_path / "r.csv", {"id": ["a", "z"]})
    sql = "SELECT l.* FROM left_src l JOIN right_src r ON l.id = r.id"
    for strategy in ("local", "shuffle"):
        out = tmp_path / strategy
        found = drive(
            document(sql, source(tmp_path / "l.parquet", ["id"]), source(right, ["id"])), out, strategy=strategy
        )
        assert (found["matched_count"], found["unmatched_left_count"]) == (1, 2)
        assert [row["id"] for row in read_set(out, "unmatched_left")] == ["b", "c"]
        assert verify(out).ok


def test_the_nearest_is_exact_where_doubles_are_not(tmp_path: Path) -> None:
    types = {"id": pa.int64(), "k": pa.int64(), "amt": pa.decimal128(38, 2)}
    left = write_parquet(tmp_path / "l.parquet", {"id": [1], "k": [1], "amt": [D(0)]}, types)
    amounts = [D("10000000000000000000.02"), D("10000000000000000000.01"), D("10000000000000000000.03")]
    right = write_parquet(tmp_path / "r.parquet", {"id": [1, 2, 3], "k": [1, 1, 1], "amt": amounts}, types)
    sql = "SELECT l.id FROM left_src l JOIN right_src r ON l.k = r.k AND tolerance_match(l.amt, r.amt, 1)"
    for strategy in ("local", "broadcast", "shuffle"):
        out = tmp_path / strategy
        drive(document(sql, source(left, ["id"]), source(right, ["id"])), out, strategy=strategy)
        row = read_set(out, "unmatched_left")[0]
        assert (row["_nearest"], row["_gap"]) == ("2", "10000000000000000000.01")


def test_names_in_the_evidence(tmp_path: Path) -> None:
    left = write_csv(
        tmp_path / "l.csv",
        {"id": ["1", "2"], "Ref": ["a", "b"], "_row": ["x", "y"], "_REASON": ["p", "q"], "left_id": ["m", "n"]},
    )
    right = write_csv(tmp_path / "r.csv", {"ID": ["1"], "ref": ["a"], "_left_row": ["z"]})
    sides = [source(left, ["id"]), source(right, ["ID"])]
    drive(document("SELECT * FROM left_src l JOIN right_src r ON l.ref = r.ref", *sides), tmp_path / "all")
    names = set_columns(tmp_path / "all", "matched")
    assert names[:4] == ["_left_row", "_right_row", "_left_partners", "_right_partners"]
    assert names[5] == "left_Ref"
    assert names[10] == "right_ref"
    assert len({n.casefold() for n in names}) == len(names) == 12
    assert names[11] == "_left_row_src"
    assert set_columns(tmp_path / "all", "unmatched_left") == [
        "_row", "_reason", "_failed", "_nearest", "_gap", "id", "Ref", "_row_src", "_REASON_src", "left_id",
    ]  # fmt: skip
    drive(document("SELECT l.Ref FROM left_src l JOIN right_src r USING (ref)", *sides), tmp_path / "one")
    assert set_columns(tmp_path / "one", "matched")[4:] == ["Ref", "left_id", "right_ID"]
    assert read_set(tmp_path / "one", "matched")[0] == {
        "_left_row": 1, "_right_row": 1, "_left_partners": 1, "_right_partners": 1, "Ref": "a", "left_id": "1", "right_ID": "1",
    }  # fmt: skip


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("empty", ["l", "r", "lr"])
def test_sources_without_rows(empty: str, kind: str, strategy: str, tmp_path: Path) -> None:
    sides: list[dict[str, Any]] = []
    for side in "lr":
        cells: list[str] = [] if side in empty else ["1", "2"]
        columns = {"id": cells, "amt": cells}
        path = tmp_path / f"{side}.{kind}"
        write_csv(path, columns) if kind == "csv" else write_parquet(path, columns, dict.fromkeys(columns, pa.string()))
        sides.append(source(path, ["id"]))
    sql = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.amt, r.amt, 1)"
    found = drive(document(sql, *sides), tmp_path / "out", strategy=strategy, partitions=5)
    assert found["matched_count"] == 0
    assert (found["left_record_count"], found["right_record_count"]) == (2 * ("l" not in empty), 2 * ("r" not in empty))
    assert found["match_rate"] == (None if "l" in empty else 0)
    for name in ("matched", "unmatched_left", "unmatched_right"):
        assert set_columns(tmp_path / "out", name)
    assert verify(tmp_path / "out").ok


@pytest.mark.parametrize("strategy", ["local", "broadcast"])
def test_without_a_key_and_without_another_side_the_reason_says_so(strategy: str, tmp_path: Path) -> None:
    left = write_csv(tmp_path / "l.csv", {"id": ["1", "2"], "amt": ["5", "x"]})
    right = write_csv(tmp_path / "r.csv", {"id": [], "amt": []})
    sql = "SELECT * FROM left_src l JOIN right_src r ON tolerance_match(l.amt, r.amt, 1)"
    found = drive(document(sql, source(left, ["id"]), source(right, ["id"])), tmp_path / "out", strategy=strategy)
    assert found["reasons"]["left"] == {"other_side_empty": 1, "unparseable": 1}
    assert verify(tmp_path / "out").ok


def test_filters_count_only_what_passes(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "l.csv", {"id": [str(i) for i in range(100)], "kind": ["a", "b"] * 50})
    keep = [{"column": "kind", "op": "eq", "value": "a"}]
    none = [{"column": "kind", "op": "eq", "value": "zzz"}]
    sql = "SELECT * FROM left_src l JOIN right_src r ON l.id = r.id"
    for strategy in ("local", "shuffle"):
        asked = document(sql, source(path, ["id"], filters=keep), source(path, ["id"]))
        found = drive(asked, tmp_path / f"some-{strategy}", strategy=strategy, partitions=4)
        assert (found["left_record_count"], found["matched_count"], found["unmatched_right_count"]) == (50, 50, 50)
        asked = document(sql, source(path, ["id"], filters=none), source(path, ["id"]))
        found = drive(asked, tmp_path / f"none-{strategy}", strategy=strategy, partitions=4)
        assert (found["left_record_count"], found["matched_count"], found["unmatched_right_count"]) == (0, 0, 100)


def test_repeated_and_empty_keys_are_told(tmp_path: Path) -> None:
    left = write_csv(tmp_path / "l.csv", {"id": ["1", "1", "2", None, None], "k": ["a", "b", "c", "d", "e"]})
    right = write_csv(tmp_path / "r.csv", {"id": ["1", "2"], "k": ["a", "z"]})
    drive(
        document("SELECT * FROM left_src l JOIN right_src r ON l.k = r.k", source(left, ["id"]), source(right, ["id"])),
        tmp_path / "out",
    )
    found = manifest(tmp_path / "out")
    assert found["counts"]["unmatched_left_count"] == 4
    warnings = [w for w in found["warnings"] if "key" in w["message"] and w["path"].endswith("left.primary_key")]
    assert warnings, found["warnings"]
    assert any("2" in w["message"] for w in warnings)


def test_a_table_against_itself(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "x.csv", {"id": ["1", "2", "3"], "k": ["a", "a", "b"]})
    side = source(path, ["id"])
    found = drive(
        document("SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.k = r.k AND l.id < r.id", side, side),
        tmp_path / "out",
    )
    assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == (1, 2, 2)
