"""Partitioned reads: each split of a source becomes one Parquet file of the run's scratch folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors import Connector, Snapshot, Split
from pipelines.parts import ROW_GROUP_ROWS
from pipelines.relation import DataFile, Relation
from recipe import FilterCondition


@dataclass(frozen=True)
class StageTask:
    """Read one split of one side. Connectors are picklable: a task can go to any worker."""

    side: str
    alias: str
    connector: Connector
    snapshot: Snapshot
    split: Split
    filters: tuple[FilterCondition, ...]
    folder: str


@dataclass(frozen=True)
class Staged:
    """A split that was read: where its rows lie and how many there are."""

    side: str
    index: int
    path: str
    rows: int


def stage_split(task: StageTask) -> Staged:
    """Read a split into its file. A repeated call replaces the file."""
    path = Path(task.folder) / f"staged-{task.side}-{task.split.index:05d}.parquet"
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    schema = task.connector.arrow_schema()
    # Names of a source are data: files of our own number their columns.
    named = pa.schema([pa.field(f"c{i}", field.type) for i, field in enumerate(schema)])
    rows = 0
    # Scratch data is read back once or twice: cheap compression, no dictionaries, no statistics.
    with pq.ParquetWriter(partial, named, compression="lz4", use_dictionary=False, write_statistics=False) as writer:
        batches = task.connector.read(task.snapshot, task.split, task.filters)
        for table in grouped(batches, schema, ROW_GROUP_ROWS):
            writer.write_table(table.rename_columns(named.names), row_group_size=ROW_GROUP_ROWS)
            rows += table.num_rows
    os.replace(partial, path)
    return Staged(task.side, task.split.index, str(path), rows)


def grouped(batches: Iterable[pa.RecordBatch], schema: pa.Schema, most: int) -> Iterator[pa.Table]:
    """Batches put together into tables of at least ``most`` rows, but for the last."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        if rows >= most:
            yield pa.Table.from_batches(held, schema)
            held, rows = [], 0
    if held:
        yield pa.Table.from_batches(held, schema)


def staged_relation(side: str, columns: Sequence[str], staged: Iterable[Staged]) -> Relation:
    """The side's rows in split order, whatever order the workers finished in."""
    mine = sorted((s for s in staged if s.side == side), key=lambda s: s.index)
    return Relation(side, tuple(DataFile(s.path, s.rows) for s in mine), tuple(columns))
