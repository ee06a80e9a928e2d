"""How rows are cut into chunks, and how sorted pairs are read back by range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.relation import DataFile, Relation, RowReader, chunk_bounds, row_groups, usable_in_place
from pipelines.slices import PairFile, few_valued, paired_chunks, row_chunks, slice_rows


def relation(path: Path, rows: int, group: int) -> Relation:
    table = pa.table({"id": pa.array(range(rows)), "kind": pa.array(["x", "y"] * rows)[:rows]})
    pq.write_table(table, path, row_group_size=group)
    return Relation("l", (DataFile.at(str(path)),), ("id", "kind"))


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 60))
def test_chunks_cover_everything_once_in_order(weights: list[int], most: int) -> None:
    ends = np.cumsum(weights).tolist()
    bounds = chunk_bounds(ends, weights, most)
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds[:-1])][: len(bounds)]
    assert (bounds[-1][1] if bounds else 0) == (ends[-1] if ends else 0)
    for start, stop in bounds:
        assert stop - start <= most or (start, stop) in zip([0, *ends], ends, strict=False)


@pytest.mark.parametrize(
    ("rows", "group", "most"), [(0, 10, 5), (1, 10, 5), (20_000, 7_000, 8_000), (9_000, 9_000, 4_096)]
)
def test_row_chunks_follow_row_groups_where_they_are_small(tmp_path: Path, rows: int, group: int, most: int) -> None:
    side = relation(tmp_path / "a.parquet", rows, group)
    chunks = row_chunks(side, most)
    assert [row for start, stop in chunks for row in range(start, stop)] == list(range(rows))
    assert all(stop - start <= most for start, stop in chunks)
    reader = RowReader(side, repetitive=[1])
    for start, stop in chunks:
        table = reader.read(start, stop)
        assert table["id"].to_pylist() == list(range(start, stop))
        assert pa.types.is_dictionary(table["kind"].type)


def test_a_row_with_very_many_partners_gets_a_slice_of_its_own(tmp_path: Path) -> None:
    side = relation(tmp_path / "a.parquet", 10, 10)
    left = np.repeat([2, 5, 6], [3, 100, 2])
    pq.write_table(
        pa.table({"lr": left, "rr": np.arange(len(left)) + 1}), tmp_path / "pairs.parquet", row_group_size=16
    )
    pairs = PairFile(tmp_path / "pairs.parquet", "lr")
    chunks = paired_chunks(side, pairs, 20)
    assert (4, 5) in chunks
    assert [row for start, stop in chunks for row in range(start, stop)] == list(range(10))
    pairs.close()


@given(st.lists(st.integers(1, 40), max_size=120), st.integers(1, 33))
def test_pairs_are_read_and_counted_by_range(
    tmp_path_factory: pytest.TempPathFactory, left: list[int], group: int
) -> None:
    left.sort()
    path = tmp_path_factory.mktemp("pairs") / "p.parquet"
    table = pa.table({"lr": pa.array(left, pa.uint32()), "rr": pa.array(range(1, len(left) + 1), pa.uint32())})
    pq.write_table(table, path, row_group_size=group)
    pairs = PairFile(path, "lr")
    ends = [3, 10, 11, 40]
    assert pairs.counts(ends) == [sum(a < r <= b for r in left) for a, b in zip([0, *ends], ends, strict=False)]
    for start, stop in [(0, 40), (0, 1), (7, 23), (39, 40)]:
        rows, partners = pairs.read(start, stop)
        expected = [(r, i + 1) for i, r in enumerate(left) if start < r <= stop]
        assert list(zip(rows.tolist(), partners.tolist(), strict=True)) == expected
    pairs.close()


def test_size_and_repetition_are_judged_by_the_first_rows(tmp_path: Path) -> None:
    side = relation(tmp_path / "a.parquet", 1000, 1000)
    assert few_valued(side) == [1]
    assert 1 << 14 <= slice_rows(side, side) <= 1 << 20
    empty = relation(tmp_path / "b.parquet", 0, 1)
    assert few_valued(empty) == []
    assert list(row_groups(empty)) == []


def test_a_file_whose_columns_the_engine_would_shadow_is_staged(tmp_path: Path) -> None:
    pq.write_table(pa.table({"File_Row_Number": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"number": [1]}), tmp_path / "b.parquet")
    assert not usable_in_place(str(tmp_path / "a.parquet"))
    assert usable_in_place(str(tmp_path / "b.parquet"))
