"""Previews and listings as connectors make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from connectors.base import Entry, Listing, Preview
from connectors.errors import SourceDataError
from recipe import Schema, format_cell


def preview_of(columns: Schema, batches: Iterable[pa.RecordBatch], limit: int) -> Preview:
    """The first ``limit`` rows as cell texts, and the number of all rows: for sources that count by reading."""
    rows: list[list[str | None]] = []
    total = 0
    for batch in batches:
        wanted = batch.slice(0, max(limit - total, 0))
        rows += cell_rows(wanted)
        total += batch.num_rows
    return Preview(columns, rows, total)


def first_of(columns: Schema, batches: Iterable[pa.RecordBatch], limit: int, count: Callable[[], int]) -> Preview:
    """The first ``limit`` rows as cell texts, and what ``count`` gives: no more is read than is shown."""
    rows: list[list[str | None]] = []
    for batch in batches if limit else ():
        rows += cell_rows(batch.slice(0, limit - len(rows)))
        if len(rows) >= limit:
            break
    return Preview(columns, rows, count())


def files_of(neighbours: Iterable[tuple[str, str]], limit: int) -> Listing:
    """The listing of a folder."""
    kinds = {".csv": "csv", ".csv.gz": "csv", ".parquet": "parquet"}

    def kind(name: str) -> str:
        return next((kind for end, kind in kinds.items() if name.lower().endswith(end)), "object")

    return Listing.of((Entry(name, kind(name), uri) for name, uri in neighbours), limit)


def cell_rows(batch: pa.RecordBatch) -> list[list[str | None]]:
    """The rows of a batch as cell texts (``recipe.format_cell``), NULL as None.

    Raises SourceDataError ``source.unrepresentable_value`` for dates and moments outside the years 1 to 9999.
    """
    columns = [_texts(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _texts(name: str, column: pa.Array) -> list[str | None]:
    if pa.types.is_string(column.type):  # a twentieth of the time of a value at a time
        texts: list[str | None] = column.to_numpy(zero_copy_only=False).tolist()
        return texts
    try:
        return [format_cell(value) for value in column.to_pylist()]
    except (ValueError, OverflowError) as error:  # of Python's calendar
        raise SourceDataError(
            f"Column {name!r} holds a {column.type} outside the years 1 to 9999, which cannot be shown.",
            code="source.unrepresentable_value",
            hint="Correct the value, or write the column as text.",
        ) from error
