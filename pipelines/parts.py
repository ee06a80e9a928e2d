"""Evidence parts: Parquet files with deterministic names, written under a temporary name and renamed."""

from __future__ import annotations

import ctypes
import hashlib
import os
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.paths import partial

ROW_GROUP_ROWS = 1 << 17
_ROW_IDS = ("_row", "_left_row", "_right_row")
_COMPRESSION, _LEVEL = "zstd", 1
_HASH_BLOCK = 1 << 20
_LIBC, _SYNC_FILE_RANGE_WRITE = ctypes.CDLL(None), 2


@dataclass(frozen=True)
class Part:
    """One written file: ``path`` relative to the evidence folder, its rows, size and SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def part_name(set_name: str, number: int) -> str:
    """``matched/part-00007.parquet``: the number comes from the rows' place, never from a clock or a worker."""
    return f"{set_name}/part-{number:05d}.parquet"


def write_part(
    evidence: Path, set_name: str, number: int, tables: Iterable[pa.Table], schema: pa.Schema,
    few_valued: Collection[str] = (),
) -> Part:  # fmt: skip
    """Write one part from tables of one schema. A repeated call replaces the file with the same bytes.

    A dictionary is built for the columns in ``few_valued`` alone: for the others it costs time and gains nothing.
    Tables may hold text as dictionaries; readers see text either way, for the file describes itself in Parquet's
    types alone.
    """
    name = part_name(set_name, number)
    path = evidence / name
    written_to = partial(path)
    tables = iter(tables)
    first = next(tables, None)
    written = schema if first is None else first.schema
    rows = 0
    row_ids = [f.name for f in list(schema)[:2] if f.name in _ROW_IDS and f.type == pa.int64()]
    options = {
        "use_dictionary": [f.name for f in schema if f.name in few_valued and f.name not in row_ids],
        "column_encoding": dict.fromkeys(row_ids, "DELTA_BINARY_PACKED"),
        # Readers seek by row id, number and date; statistics of text would only slow writing down.
        "write_statistics": [f.name for f in schema if not _is_text(f.type)],
    }
    with pq.ParquetWriter(
        written_to, written, compression=_COMPRESSION, compression_level=_LEVEL, store_schema=False, **options
    ) as writer:
        for table in () if first is None else chain([first], tables):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            rows += table.num_rows
    digest = sha256_file(written_to)
    size = written_to.stat().st_size
    _start_flushing(written_to)
    os.replace(written_to, path)
    return Part(name, rows, size, digest)


def _is_text(kind: pa.DataType) -> bool:
    """Text, and what has no order of its own."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_nested(kind)


def _start_flushing(path: Path) -> None:
    """Have the system write the file out while the run goes on: the flush before the commit then has little to wait
    for. Only a hint (sync_file_range, Linux): that flush is what counts."""
    fd = os.open(path, os.O_RDONLY)
    try:
        _LIBC.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), _SYNC_FILE_RANGE_WRITE)
    finally:
        os.close(fd)


def sha256_file(path: Path) -> str:
    """SHA-256 of a file in hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()
