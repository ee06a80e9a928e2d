"""Previews made from a stream of batches, for sources that count by reading."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from connectors.base import Preview
from recipe import Schema, format_cell


def preview_of(columns: Schema, batches: Iterable[pa.RecordBatch], limit: int) -> Preview:
    """The first ``limit`` rows as cell texts, and the number of all rows."""
    rows: list[list[str | None]] = []
    total = 0
    for batch in batches:
        wanted = batch.slice(0, max(limit - total, 0))
        rows += cell_rows(wanted)
        total += batch.num_rows
    return Preview(columns, rows, total)


def cell_rows(batch: pa.RecordBatch) -> list[list[str | None]]:
    """The rows of a batch as cell texts (``recipe.format_cell``), NULL as None."""
    columns = [_texts(column) for column in batch.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _texts(column: pa.Array) -> list[str | None]:
    if pa.types.is_string(column.type):  # a twentieth of the time of a value at a time
        texts: list[str | None] = column.to_numpy(zero_copy_only=False).tolist()
        return texts
    return [format_cell(value) for value in column.to_pylist()]
