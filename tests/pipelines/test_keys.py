"""Repeated and empty keys: proven absent where keys rise, counted exactly where they do not."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.keys import KeyFacts, all_rising, count_keys, key_run
from pipelines.relation import DataFile, Relation

values = st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=12)


@given(st.lists(values, max_size=4))
def test_rising_over_chunks_means_no_repeat_and_no_null(chunks: list[list[int | None]]) -> None:
    runs = [key_run(i, pa.chunked_array([pa.array(chunk, pa.int64())])) for i, chunk in enumerate(chunks)]
    flat = [value for chunk in chunks for value in chunk]
    rising = None not in flat and all(a < b for a, b in pairwise(flat))
    assert all_rising(reversed(runs)) is rising


def test_text_dictionaries_and_booleans() -> None:
    text = pa.array(["a", "b", "c"])
    assert key_run(0, text).rising
    assert key_run(0, text.dictionary_encode()).rising
    assert not key_run(0, pa.array([False, True])).rising


@pytest.mark.parametrize("memory", [0, 1 << 25])
@given(
    rows=st.lists(st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.sampled_from(["a", "b", None])), max_size=15)
)
def test_counts_equal_a_plain_count(
    tmp_path_factory: pytest.TempPathFactory, memory: int, rows: list[tuple[int | None, str | None]]
) -> None:
    path = tmp_path_factory.mktemp("keys") / "k.parquet"
    table = pa.table(
        {"n": pa.array([n for n, _ in rows], pa.int64()), "t": pa.array([t for _, t in rows], pa.string())}
    )
    pq.write_table(table, path)
    side = Relation("l", (DataFile.at(str(path)),), ("n", "t"))
    filled = Counter(row for row in rows if None not in row)
    expected = KeyFacts(sum(c for c in filled.values() if c > 1), sum(None in row for row in rows))
    with duckdb.connect() as connection:
        assert count_keys(connection, side, ["n", "t"], memory) == expected
