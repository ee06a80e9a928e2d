"""Statements that group, unite or rank rows, held against oracles written out by hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evidence import verify
from tests.conftest import whole_runs
from tests.helpers import Row, beam, document, drive, manifest, read_set, source, write_parquet

TYPES = {"id": pa.int64(), "k": pa.string(), "amt": pa.decimal128(12, 2), "day": pa.int32()}
_CELL = {
    "k": st.one_of(st.none(), *[st.sampled_from(["a", "b", "c"])] * 4),
    "amt": st.one_of(
        st.none(), *[st.sampled_from([D("0.00"), D("10.00"), D("5.00"), D("2.50"), D("7.50"), D("-5.00")])] * 5
    ),
    "day": st.integers(1, 4),
}
tables = st.lists(st.fixed_dictionaries(_CELL), max_size=14).map(
    lambda rows: [{"id": i, **row} for i, row in enumerate(rows, 1)]
)
Results = list[tuple[set[int], set[int]]]
Fresh = Callable[[], Path]


def recipe(sql: str, folder: Path, left: Sequence[Row], right: Sequence[Row]) -> dict[str, Any]:
    sides = []
    for name, rows in (("l", left), ("r", right)):
        columns = {column: [row[column] for row in rows] for column in TYPES}
        sides.append(source(write_parquet(folder / f"{name}.parquet", columns, TYPES, 3), ["id"]))
    return document(sql, *sides)


def judge(folder: Path, left: Sequence[Row], right: Sequence[Row], expected: Results) -> None:
    """``expected``: the ids that fed each result row. Ids are the row numbers."""
    pairs = [(l, r) for l, r in expected if l and r]
    found = read_set(folder, "matched")
    assert sorted((sorted(row["_left_row"]), sorted(row["_right_row"])) for row in found) == sorted(
        (sorted(l), sorted(r)) for l, r in pairs
    )
    fed = {"left": set().union(*(l for l, _ in pairs)), "right": set().union(*(r for _, r in pairs))}
    for name, rows in (("left", left), ("right", right)):
        lost = read_set(folder, f"unmatched_{name}")
        assert [row["_row"] for row in lost] == [row["id"] for row in rows if row["id"] not in fed[name]]
        assert {row["_reason"] for row in lost} <= {"not_in_result"}
        assert [row["id"] for row in lost] == [row["_row"] for row in lost]
    counts = manifest(folder)["counts"]
    assert counts["matched_count"] == len(pairs)
    assert counts["left_record_count"] == len(left) == counts["matched_left_count"] + counts["unmatched_left_count"]
    assert counts["right_record_count"] == len(right) == counts["matched_right_count"] + counts["unmatched_right_count"]


def check(sql: str, left: Sequence[Row], right: Sequence[Row], expected: Results, fresh: Fresh) -> Path:
    folder = fresh()
    drive(recipe(sql, folder, left, right), folder / "out")
    judge(folder / "out", left, right, expected)
    return folder / "out"


def groups(rows: Sequence[Row]) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["k"]].append(row)
    return found


def total(rows: Sequence[Row]) -> D | None:
    amounts = [row["amt"] for row in rows if row["amt"] is not None]
    return sum(amounts, D(0)) if amounts else None


def ids(rows: Sequence[Row]) -> set[int]:
    return {row["id"] for row in rows}


SPLIT = """
WITH paid AS (SELECT k, SUM(amt) AS total, COUNT(*) AS n FROM right_src GROUP BY k)
SELECT l.id, p.k, p.total, p.n FROM left_src l JOIN paid p ON l.k = p.k AND tolerance_match(l.amt, p.total, 0.01)
"""


@whole_runs
@given(left=tables, right=tables)
def test_split_payments(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    paid = {k: rows for k, rows in groups(right).items() if k is not None}
    expected = [
        ({row["id"]}, ids(paid[row["k"]]))
        for row in left
        if row["k"] in paid
        and row["amt"] is not None
        and total(paid[row["k"]]) is not None
        and row["amt"] == total(paid[row["k"]])
    ]
    out = check(SPLIT, left, right, expected, numbered)
    for row in read_set(out, "matched"):
        fed = [r for r in right if r["id"] in row["_right_row"]]
        assert (row["total"], row["n"]) == (total(fed), len(fed))


BOTH = """
SELECT l.k, SUM(l.amt) AS s, COUNT(*) AS n FROM left_src l JOIN right_src r ON l.k = r.k
GROUP BY l.k HAVING SUM(l.amt) > 0
"""


@whole_runs
@given(left=tables, right=tables)
def test_grouped_join_with_having(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    mine, theirs = groups(left), groups(right)
    expected = []
    for k in set(mine) & set(theirs) - {None}:
        summed = total(mine[k] * len(theirs[k]))
        if summed is not None and summed > 0:
            expected.append((ids(mine[k]), ids(theirs[k])))
    check(BOTH, left, right, expected, numbered)


PASSES = """
SELECT l.id AS lid, r.id AS rid, 1 AS pass FROM left_src l JOIN right_src r ON l.k = r.k AND l.amt = r.amt
UNION ALL
SELECT l.id, r.id, 2 FROM left_src l JOIN right_src r ON l.k = r.k AND l.amt <> r.amt AND l.day = r.day
"""


@whole_runs
@given(left=tables, right=tables)
def test_union_all_of_passes(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    expected: Results = []
    for l in left:
        for r in right:
            if None in (l["k"], r["k"], l["amt"], r["amt"]) or l["k"] != r["k"]:
                continue
            if l["amt"] == r["amt"] or l["day"] == r["day"]:
                expected.append(({l["id"]}, {r["id"]}))
    check(PASSES, left, right, expected, numbered)


FIRST = """
SELECT lid, rid FROM (
  SELECT l.id AS lid, r.id AS rid, ROW_NUMBER() OVER (PARTITION BY l.id ORDER BY r.day, r.id) AS place
  FROM left_src l JOIN right_src r ON l.k = r.k
) x WHERE place = 1
"""


@whole_runs
@given(left=tables, right=tables)
def test_first_of_each_by_window(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    expected: Results = []
    for l in left:
        near = [r for r in right if r["k"] is not None and r["k"] == l["k"]]
        if near:
            expected.append(({l["id"]}, {min(near, key=lambda r: (r["day"], r["id"]))["id"]}))
    check(FIRST, left, right, expected, numbered)


DISTINCT = "SELECT DISTINCT l.k, r.day FROM left_src l JOIN right_src r ON l.k = r.k"


@whole_runs
@given(left=tables, right=tables)
def test_distinct(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    fed: dict[Any, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
    for l in left:
        for r in right:
            if l["k"] is not None and l["k"] == r["k"]:
                fed[l["k"], r["day"]][0].add(l["id"])
                fed[l["k"], r["day"]][1].add(r["id"])
    check(DISTINCT, left, right, list(fed.values()), numbered)


FILTERED = """
SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.k = r.k
WHERE l.amt > (SELECT AVG(amt) FROM right_src) AND EXISTS (SELECT 1 FROM right_src x WHERE x.k = l.k AND x.day = 1)
AND r.id NOT IN (SELECT id FROM left_src WHERE day = 4)
"""


@whole_runs
@given(left=tables, right=tables)
def test_subqueries_filter_and_feed_nothing(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    amounts = [r["amt"] for r in right if r["amt"] is not None]
    expected: Results = []
    for l in left:
        for r in right:
            if l["k"] is None or l["k"] != r["k"] or l["amt"] is None or not amounts:
                continue
            if (
                l["amt"] * len(amounts) > sum(amounts)
                and any(x["k"] == l["k"] and x["day"] == 1 for x in right)
                and r["id"] not in {x["id"] for x in left if x["day"] == 4}
            ):
                expected.append(({l["id"]}, {r["id"]}))
    check(FILTERED, left, right, expected, numbered)


OUTER = """
WITH both_sides AS (SELECT l.id AS lid, r.id AS rid, l.k AS k FROM left_src l FULL OUTER JOIN right_src r ON l.k = r.k)
SELECT lid, rid, k FROM both_sides
"""


@whole_runs
@given(left=tables, right=tables)
def test_rows_without_partner_of_an_outer_join_are_no_pairs(left: list[Row], right: list[Row], numbered: Fresh) -> None:
    expected = [({l["id"]}, {r["id"]}) for l in left for r in right if l["k"] is not None and l["k"] == r["k"]]
    check(OUTER, left, right, expected, numbered)


@pytest.mark.parametrize("sql", [SPLIT, BOTH, PASSES, FIRST, DISTINCT, FILTERED, OUTER])
def test_through_beam_with_equal_bytes(sql: str, tmp_path: Path) -> None:
    left = [{"id": i, "k": "abc"[i % 3], "amt": D(5 * (i % 4)), "day": i % 4 + 1} for i in range(1, 40)]
    right = [{"id": i, "k": "abd"[i % 3], "amt": D(i % 7), "day": i % 3 + 1} for i in range(1, 30)]
    asked = recipe(sql, tmp_path, left, right)
    outcomes = [beam(asked, tmp_path / name, partitions=n) for name, n in (("one", 1), ("two", 3))]
    assert outcomes[0]["matched_count"] == outcomes[1]["matched_count"]
    assert verify(tmp_path / "one").ok
    first, second = (manifest(tmp_path / name)["parts"] for name in ("one", "two"))
    assert first == second
