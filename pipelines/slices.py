"""How a run's rows are cut for writing: by size alone, so that the same input always gives the same parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.relation import Relation, chunk_bounds, row_groups

SLICE_BYTES = 56 << 20
MOST_ROWS = 1 << 20
_LEAST_ROWS = 1 << 14
_GRAIN = 1 << 12
_SAMPLE_ROWS = 20_000


def first_rows(relation: Relation) -> pa.RecordBatch | None:
    """Some rows from the beginning of a side; None where it has none."""
    for data in relation.files:
        if data.rows:
            data.bring()
            with pq.ParquetFile(data.path) as file:
                return next(file.iter_batches(batch_size=_SAMPLE_ROWS))
    return None


def row_bytes(relation: Relation) -> int:
    """Decoded bytes of a row of this side, from its first rows."""
    batch = first_rows(relation)
    return 1 if batch is None else max(1, batch.nbytes // max(1, batch.num_rows))


def few_valued(relation: Relation) -> list[int]:
    """Places of the source's columns that are ``repetitive`` in the first rows."""
    batch = first_rows(relation)
    if batch is None:
        return []
    found = repetitive(pa.Table.from_batches([batch]))
    return [i for i, name in enumerate(batch.schema.names[: len(relation.columns)]) if name in found]


def repetitive(table: pa.Table) -> list[str]:
    """The columns whose values repeat so much, in the table's first rows, that a dictionary pays."""
    first = table.slice(0, _SAMPLE_ROWS)
    return [name for name in first.column_names if pc.count_distinct(first[name]).as_py() * 8 <= first.num_rows]


def slice_rows(*relations: Relation) -> int:
    """Rows a slice may have so that its columns take about ``SLICE_BYTES``."""
    widest = sum(row_bytes(r) for r in relations)
    return int(min(MOST_ROWS, max(_LEAST_ROWS, SLICE_BYTES // widest)))


def row_chunks(relation: Relation, most: int) -> list[tuple[int, int]]:
    """(start, stop) row ranges of at most about ``most`` rows, along row groups where those are small enough."""
    ends = _ends(relation, most)
    return chunk_bounds(ends, np.diff([0, *ends]).tolist(), most)


def paired_chunks(relation: Relation, pair_rows: PairFile, most: int) -> list[tuple[int, int]]:
    """The same for the side whose rows carry their pairs: neither rows nor pairs of a chunk exceed ``most`` by much."""
    ends = _ends(relation, most)
    per_piece = pair_rows.counts(ends)
    heavy = [i for i, n in enumerate(per_piece) if n > most]
    if heavy:  # a piece with very many partners is cut as finely as rows allow
        ends = sorted({*ends, *(e for i in heavy for e in range((ends[i - 1] if i else 0) + 1, ends[i] + 1))})
        per_piece = pair_rows.counts(ends)
    weights = np.maximum(np.diff([0, *ends]), per_piece)
    return chunk_bounds(ends, weights.tolist(), most)


def _ends(relation: Relation, most: int) -> list[int]:
    """Where a chunk may end: at row groups, and every ``_GRAIN`` rows inside a group that is too large."""
    ends: list[int] = []
    for group in row_groups(relation):
        stop = group.start + group.rows
        if group.rows > most:
            ends.extend(range(group.start + _GRAIN, stop, _GRAIN))
        ends.append(stop)
    return ends


class PairFile:
    """The sorted pairs, read by range of their first column. ``first`` is ``lr`` or ``rr``; row ids are 1-based."""

    def __init__(self, path: Path, first: str) -> None:
        self._file = pq.ParquetFile(path)
        self._first, self._second = first, "rr" if first == "lr" else "lr"
        metadata = self._file.metadata
        self._spans = {i: self._span(i) for i in range(metadata.num_row_groups) if metadata.row_group(i).num_rows}

    def read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs whose first id lies in rows start..stop (0-based, half open), as two int64 arrays in file order."""
        wanted = [i for i, (low, high) in self._spans.items() if low <= stop and high > start]
        if not wanted:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        table = self._file.read_row_groups(wanted, use_threads=False)
        first, second = _ints(table[self._first]), _ints(table[self._second])
        begin, end = np.searchsorted(first, [start + 1, stop + 1])
        return first[begin:end], second[begin:end]

    def counts(self, ends: Sequence[int]) -> list[int]:
        """How many pairs lie in each of the consecutive row ranges that end at ``ends``."""
        below = np.zeros(len(ends), np.int64)
        for i, (low, high) in self._spans.items():
            rows = self._file.metadata.row_group(i).num_rows
            stops = np.asarray(ends)
            below += np.where(stops >= high, rows, 0)
            inside = (stops >= low) & (stops < high)
            if inside.any():
                first = _ints(self._file.read_row_group(i, columns=[self._first])[self._first])
                below[inside] += np.searchsorted(first, stops[inside], side="right")
        return np.diff([0, *below]).tolist()

    def close(self) -> None:
        self._file.close()

    def _span(self, index: int) -> tuple[int, int]:
        group = self._file.metadata.row_group(index)
        column = self._file.schema_arrow.get_field_index(self._first)
        statistics = group.column(column).statistics
        return statistics.min, statistics.max


def _ints(column: pa.ChunkedArray) -> np.ndarray:
    return column.to_numpy().astype(np.int64)
