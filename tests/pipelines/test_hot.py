"""Hot keys: every pair of rows meets once, no bucket holds too many rows, and the evidence is the same."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import hot, steps
from pipelines.buckets import from_bytes
from pipelines.evidence import verify
from pipelines.hot import HotKey, hot_keys, least_count, places
from tests.helpers import beam, document, drive, parts, source, write_csv

SQL = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.k = r.k AND tolerance_match(l.amt, r.amt, 2)"


@given(left=st.integers(1, 7), right=st.integers(1, 7), first=st.integers(0, 100))
def test_any_two_parts_share_exactly_one_cell(left: int, right: int, first: int) -> None:
    key = HotKey(1, left, right, first)
    met = [set(key.cells("l", a)) & set(key.cells("r", b)) for a, b in product(range(left), range(right))]
    assert all(len(cells) == 1 for cells in met)
    assert set().union(*met) == set(range(first, first + left * right))


def test_keys_are_hot_by_their_rows_over_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot, "MOST_ROWS", 10)
    counted: list[tuple[str, hot.Counts]] = [("l", {7: 6, 8: 5}), ("r", {7: 31}), ("l", {7: 6, 8: 5}), ("r", {9: 1})]
    found = hot_keys(counted, buckets=4)
    assert found == hot_keys(reversed(counted), buckets=4) == (HotKey(7, 2, 4, 4),)
    assert hot_keys([("l", {1: 11, 2: 11})], 2) == (HotKey(1, 2, 1, 2), HotKey(2, 2, 1, 4))
    assert [(at, cells) for _, at, cells in places(found, "r")] == [(0, [(4, 8), (5, 9), (6, 10), (7, 11)])]
    assert (least_count(1), least_count(3), least_count(99)) == (10, 3, 1)


def skewed(folder: Path) -> dict[str, Any]:
    """Nine in ten rows share one key, with duplicates of whole rows, near misses and rows that nothing matches."""
    left = [(f"L{i}", "hot" if i % 10 else f"k{i % 7}", str(i % 90)) for i in range(400)]
    right = [(f"R{i}", "hot" if i % 3 else f"k{i % 9}", str(i * 7 % 90)) for i in range(40)]
    sides = []
    for name, rows in (("l", left + left[:40]), ("r", right + right[:10])):
        columns = {column: [row[at] for row in rows] for at, column in enumerate(("id", "k", "amt"))}
        sides.append(source(write_csv(folder / f"{name}.csv", columns), ["id"]))
    return document(SQL, *sides)


@pytest.mark.parametrize("most", [25, 60])
def test_a_skewed_key_is_split_and_leaves_the_same_evidence(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = skewed(tmp_path)
    drive(asked, tmp_path / "local", partitions=3)
    sizes: Counter[int] = Counter()
    match = steps.match_bucket

    def measured(folder: Path, bucket: int, left: list[bytes], right: list[bytes]) -> steps.Files:
        sizes[bucket] = max(
            (table.num_rows for table in map(from_bytes, (left, right)) if table is not None), default=0
        )
        return match(folder, bucket, left, right)

    monkeypatch.setattr(steps, "match_bucket", measured)
    drive(asked, tmp_path / "whole", strategy="shuffle", partitions=3)
    assert max(sizes.values()) > 350
    sizes.clear()
    monkeypatch.setattr(hot, "MOST_ROWS", most)
    found = drive(asked, tmp_path / "split", strategy="shuffle", partitions=3)
    assert max(n for bucket, n in sizes.items() if bucket >= 3) < 2 * most
    assert len(sizes) > 6
    assert found["matched_count"] > 100
    assert parts(tmp_path / "split") == parts(tmp_path / "whole") == parts(tmp_path / "local")
    assert verify(tmp_path / "split").ok


def test_large_sides_get_more_buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster holds a bucket in memory whole, however many rows the run has."""
    sides = []
    for name in ("l", "r"):
        columns = {"id": [f"{name}{i}" for i in range(600)], "k": [f"k{i}" for i in range(600)], "amt": ["1"] * 600}
        sides.append(source(write_csv(tmp_path / f"{name}.csv", columns), ["id"]))
    asked = document(SQL, *sides)
    drive(asked, tmp_path / "local", partitions=2)
    sizes: list[int] = []
    match = steps.match_bucket

    def measured(folder: Path, bucket: int, left: list[bytes], right: list[bytes]) -> steps.Files:
        sizes.append(sum(table.num_rows for table in map(from_bytes, (left, right)) if table is not None))
        return match(folder, bucket, left, right)

    monkeypatch.setattr(steps, "match_bucket", measured)
    monkeypatch.setattr(hot, "MOST_ROWS", 50)
    drive(asked, tmp_path / "shuffle", strategy="shuffle", partitions=2)
    assert sum(sizes) == 1200 and max(sizes) < 150
    assert parts(tmp_path / "shuffle") == parts(tmp_path / "local")


def test_beam_wires_the_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = skewed(tmp_path)
    drive(asked, tmp_path / "local", partitions=3)
    monkeypatch.setattr(hot, "MOST_ROWS", 100)
    beam(asked, tmp_path / "beam", strategy="shuffle", partitions=3)
    assert parts(tmp_path / "beam") == parts(tmp_path / "local")
