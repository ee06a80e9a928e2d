"""Partitioned reads: each split of a source becomes one Parquet file of the run's scratch folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from connectors import Connector, Snapshot, Split, ragged_rows
from pipelines import engine
from pipelines.exchange import Exchange
from pipelines.parts import ROW_GROUP_ROWS
from pipelines.paths import partial
from pipelines.relation import RAGGED, DataFile, Relation, group_rows, localise
from pipelines.slices import repetitive
from recipe import FilterCondition, MatchPlan
from udfs import lower

_CORES = os.cpu_count() or 1
_MEMORY = 256 << 20  # for each worker


@dataclass(frozen=True)
class Readings:
    """Texts of one side that match_sql reads as numbers or dates: the plan's trees as SQL text, which name them, and
    the statement that reads them from a table called as the side; None for none."""

    texts: tuple[str, ...]
    sql: str | None

    @classmethod
    def of(cls, plan: MatchPlan, side: str, columns: Sequence[str]) -> Readings:
        found = {parse.parsed.sql(): parse.parsed for parse in plan.parses if parse.side == side}
        trees = [exp.alias_(lower(localise(t, side, columns)), f"p{i}") for i, t in enumerate(found.values())]
        return cls(tuple(found), exp.select(*trees).from_(side).sql("duckdb") if trees else None)


@dataclass(frozen=True)
class StageTask:
    """Read one split of one side. Connectors are picklable: a task can go to any worker."""

    side: str
    alias: str
    connector: Connector
    snapshot: Snapshot
    split: Split
    filters: tuple[FilterCondition, ...]
    readings: Readings
    exchange: Exchange


@dataclass(frozen=True)
class Staged:
    """A split that was read, and the file that its rows lie in."""

    side: str
    index: int
    file: DataFile
    ragged: bool = False  # whether a column says which rows were ragged


def stage_split(task: StageTask) -> Staged:
    """Read a split into its file. A repeated call replaces the file."""
    path = task.exchange.scratch / f"staged-{task.side}-{task.split.index:05d}.parquet"
    written = partial(path)
    schema = task.connector.arrow_schema()
    with contextlib.ExitStack() as stack:
        complete = _reader(stack, task)
        batches = task.connector.read(task.snapshot, task.split, task.filters)
        if task.connector.keeps_ragged:
            schema, batches = schema.append(pa.field(RAGGED, pa.bool_())), map(_marked, batches)
        tables = map(complete, grouped(batches, schema, ROW_GROUP_ROWS))
        first = next(tables, None)
        if first is None:
            first = complete(schema.empty_table())
        # Scratch data is read back once or twice: cheap compression, no statistics.
        options = {"compression": "lz4", "use_dictionary": repetitive(first), "write_statistics": False}
        writer = stack.enter_context(pq.ParquetWriter(written, first.schema, **options))
        for table in chain([first], tables):
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
    groups = group_rows(written)
    os.replace(written, path)
    file = DataFile(path.name, groups, task.exchange)
    return Staged(task.side, task.split.index, file, task.connector.keeps_ragged)


def _marked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the mark of each row behind its columns."""
    ragged = ragged_rows(batch)
    return batch.replace_schema_metadata(None).append_column(RAGGED, pa.array(ragged))


def _reader(stack: contextlib.ExitStack, task: StageTask) -> Callable[[pa.Table], pa.Table]:
    """What makes rows of the source rows of a staged file: columns by number, for names of a source are data, then the
    marks where there are any, and the readings behind them."""
    marks = [RAGGED] if task.connector.keeps_ragged else []

    def numbered(table: pa.Table) -> pa.Table:
        return table.rename_columns([*(f"c{i}" for i in range(table.num_columns - len(marks))), *marks])

    sql = task.readings.sql
    if sql is None:
        return numbered
    connection = stack.enter_context(engine.connect(task.exchange.scratch, _MEMORY * _CORES, threads=1, ordered=True))

    def read(table: pa.Table) -> pa.Table:
        table = numbered(table)
        connection.register(task.side, table)
        found = connection.sql(sql).to_arrow_table()
        return pa.table([*table.columns, *found.columns], names=[*table.column_names, *found.column_names])

    return read


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


def staged_relation(side: str, columns: Sequence[str], readings: Readings, staged: Iterable[Staged]) -> Relation:
    """The side's rows in split order, whatever order the workers finished in."""
    mine = sorted((s for s in staged if s.side == side), key=lambda s: s.index)
    files = tuple(s.file for s in mine)
    return Relation(side, files, tuple(columns), readings.texts, ragged=any(s.ragged for s in mine))
