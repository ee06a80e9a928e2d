"""One side of a run as the engine sees it: Parquet files in row order.

Columns are called ``c0, c1, ...`` in every statement, so that no column name of a source, however it is spelt, can
mean anything to the engine; ``rid`` is the row id, 1-based over the whole side. Texts that match_sql reads as numbers
or dates are read once, when the side is staged, into further columns ``p0, p1, ...``. Where rows of the wrong width are
kept, ``ragged`` marks them: what stands in their cells may belong elsewhere, so no statement that matches sees them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from pipelines.exchange import Exchange
from pipelines.paths import glob_escape

ROW, RAGGED = "rid", "ragged"
_NUMBER = "file_row"
_ENGINE_COLUMNS = {"file_row_number", "file_index", "filename"}  # what the engine adds to a file it reads
_MOST_GROUP_ROWS, _MOST_GROUP_BYTES = 2 << 20, 128 << 20


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a side: ``groups`` are the rows of its row groups. Where a run has staged it, ``name`` is that
    of a scratch file; else it is a path."""

    name: str
    groups: tuple[int, ...]
    exchange: Exchange | None = None

    @classmethod
    def at(cls, path: str) -> DataFile:
        """A file that lies here."""
        return cls(path, group_rows(path))

    @property
    def rows(self) -> int:
        return sum(self.groups)

    @property
    def path(self) -> str:
        """Where it lies for this process, once it was brought."""
        return self.name if self.exchange is None else str(self.exchange.scratch / self.name)

    def bring(self) -> None:
        """Have it here."""
        if self.exchange is not None:
            self.exchange.bring(self.name)


@dataclass(frozen=True)
class Relation:
    """``files`` in row order; ``columns`` are the source's names, in file order, and ``readings`` what stands in the
    columns behind them (see ``localise``); row ids begin after ``before`` rows."""

    side: str
    files: tuple[DataFile, ...]
    columns: tuple[str, ...]
    readings: tuple[str, ...] = ()
    before: int = 0
    ragged: bool = False

    @cached_property
    def rows(self) -> int:
        return sum(f.rows for f in self.files)

    def each_file(self) -> Iterator[Relation]:
        """Every file as a relation of its own, with its rows' ids unchanged."""
        before = self.before
        for file in self.files:
            yield replace(self, files=(file,), before=before)
            before += file.rows

    def bring(self) -> None:
        """Have all files here."""
        staged: dict[Exchange, list[str]] = {}
        for file in self.files:
            if file.exchange is not None:
                staged.setdefault(file.exchange, []).append(file.name)
        for exchange, names in staged.items():
            exchange.bring(*names)

    @property
    def names(self) -> list[str]:
        """The files' columns as the engine calls them."""
        marks = [RAGGED] if self.ragged else []
        return [*(f"c{i}" for i in range(len(self.columns))), *marks, *(f"p{i}" for i in range(len(self.readings)))]

    def scan(self) -> exp.Select:
        """``SELECT rid, c0, c1 ..., p0 ...`` over the rows that can match; the engine reads only the columns that are
        used."""
        rows = self.scan_all()
        return rows.where(exp.Not(this=exp.column(RAGGED))) if self.ragged else rows

    def scan_all(self) -> exp.Select:
        """The same over every row."""
        names = self.names
        source = exp.Anonymous(
            this="read_parquet",
            expressions=[
                exp.Array(expressions=[exp.Literal.string(glob_escape(f.path)) for f in self.files]),
                exp.EQ(this=exp.column("file_row_number"), expression=exp.true()),
            ],
        )
        table = exp.Table(
            this=source,
            alias=exp.TableAlias(
                this=exp.to_identifier("t"), columns=[exp.to_identifier(n) for n in [*names, _NUMBER]]
            ),
        )
        return exp.select(exp.alias_(self._row_id(), ROW), *names).from_(table)

    def _row_id(self) -> exp.Expr:
        number = exp.column(_NUMBER)
        if len(self.files) == 1:
            return exp.Add(this=number, expression=exp.Literal.number(self.before + 1))
        starts, at = [], self.before + 1
        for file in self.files:
            starts.append(exp.Literal.number(at))
            at += file.rows
        start = exp.Anonymous(
            this="list_extract",
            expressions=[
                exp.Array(expressions=starts),
                exp.Add(this=exp.cast(exp.column("file_index"), "bigint"), expression=exp.Literal.number(1)),
            ],
        )
        return exp.Add(this=number, expression=start)

    def localise(self, tree: exp.Expr) -> exp.Expr:
        return localise(tree, self.side, self.columns, self.readings)


@dataclass(frozen=True)
class TableRows:
    """A side's rows in a table of the engine, with ``rid`` and those of ``c0, c1, ..., p0, ...`` that matching
    needs."""

    side: str
    table: str
    columns: tuple[str, ...]
    readings: tuple[str, ...]
    rows: int

    def scan(self) -> exp.Select:
        """``SELECT *``."""
        return exp.select("*").from_(self.table)

    def localise(self, tree: exp.Expr) -> exp.Expr:
        return localise(tree, self.side, self.columns, self.readings)


def localise(tree: exp.Expr, side: str, columns: Sequence[str], readings: Sequence[str] = ()) -> exp.Expr:
    """A plan's tree with each column of ``side`` called by its place among ``columns``, and each reading of a text by
    its place among ``readings``, the plan's trees as SQL text."""

    def rename(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table == side:
            return exp.column(f"c{columns.index(node.name)}", table=side)
        if readings and isinstance(node, exp.Anonymous) and (text := node.sql()) in readings:
            return exp.column(f"p{readings.index(text)}", table=side)
        return node

    return tree.transform(rename)


@dataclass(frozen=True)
class _RowGroup:
    file: DataFile
    index: int
    start: int
    rows: int


class RowReader:
    """Decoded rows of a relation by row range. Threads share it: what one decoded, its neighbour may need next."""

    _KEPT = 2

    def __init__(self, relation: Relation, repetitive: Sequence[int] = ()) -> None:
        """Columns at the places ``repetitive`` come as dictionaries: cheaper to decode, to copy and to write."""
        in_place = relation.files[0].exchange is None
        self._repetitive = [(relation.columns if in_place else relation.names)[i] for i in repetitive]
        self._groups = list(row_groups(relation))
        self._kept: OrderedDict[_RowGroup, pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> pa.Table:
        """Rows ``start`` <= position < ``stop`` (0-based), at least one, in one chunk a column."""
        tables = []
        for group in self._groups:
            if group.start >= stop or group.start + group.rows <= start:
                continue
            table = self._decoded(group, whole=group.start >= start and group.start + group.rows <= stop)
            first = max(0, start - group.start)
            tables.append(table.slice(first, min(group.rows, stop - group.start) - first))
        return pa.concat_tables(tables).unify_dictionaries().combine_chunks()

    def _decoded(self, group: _RowGroup, whole: bool) -> pa.Table:
        if whole:  # nobody else will ask for it
            return self._decode(group)
        with self._lock:
            if group not in self._kept:
                self._kept[group] = self._decode(group)
                if len(self._kept) > self._KEPT:
                    self._kept.popitem(last=False)
            return self._kept[group]

    def _decode(self, group: _RowGroup) -> pa.Table:
        group.file.bring()
        with pq.ParquetFile(group.file.path, pre_buffer=False, read_dictionary=self._repetitive) as file:
            return file.read_row_group(group.index, use_threads=False)


def usable_in_place(path: str) -> bool:
    """Whether the engine can number this file's rows and decode its row groups in bounded memory; else they are
    staged."""
    with pq.ParquetFile(path) as file:
        if _ENGINE_COLUMNS & {name.casefold() for name in file.schema_arrow.names}:
            return False
        groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    return all(g.num_rows <= _MOST_GROUP_ROWS and g.total_byte_size <= _MOST_GROUP_BYTES for g in groups)


def row_groups(relation: Relation) -> Iterator[_RowGroup]:
    """All row groups in row order with their place in the side."""
    start = 0
    for file in relation.files:
        for index, rows in enumerate(file.groups):
            if rows:
                yield _RowGroup(file, index, start, rows)
            start += rows


def group_rows(path: str | Path) -> tuple[int, ...]:
    """Rows of each row group of a Parquet file."""
    metadata = pq.read_metadata(path)
    return tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))


def chunk_bounds(ends: Sequence[int], weights: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Cut consecutive pieces into chunks of at most ``most`` weight (a heavier single piece stands alone).

    ``ends[i]`` is where piece i ends. Returns (start, stop) row ranges that cover everything in order.

    >>> chunk_bounds([10, 20, 30], [10, 10, 10], 20)
    [(0, 20), (20, 30)]
    """
    bounds, start, load, last = [], 0, 0, 0
    for end, weight in zip(ends, weights, strict=True):
        if load and load + weight > most:
            bounds.append((start, last))
            start, load = last, 0
        load += weight
        last = end
    if last > start:
        bounds.append((start, last))
    return bounds
