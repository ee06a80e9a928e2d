"""From pairs to evidence, in two passes that decode each side once and never hold more than a few slices.

1. ``route_right`` reads a chunk of right rows, writes those without a pair to ``unmatched_right`` and files the
others by the
   left slice that needs them (a right row may be needed by several).
2. ``assemble_left`` reads a slice of left rows, writes those without a pair to ``unmatched_left``, picks up the right
rows
   filed for it and writes ``matched``.

The result depends on the pairs alone, not on how they were found: every strategy leaves the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import engine
from pipelines.errors import PipelineError
from pipelines.exchange import Exchange
from pipelines.keys import KeyRun, key_run
from pipelines.layout import Layout, PairColumn
from pipelines.matching import EXCLUDED, KEY_NULL, NULL_KEY, PREDICATE, REASONS, UNPARSEABLE, UNPARSED
from pipelines.parts import Part, write_part
from pipelines.paths import partial
from pipelines.relation import Relation, RowReader
from pipelines.shards import PAIRS_BY_LEFT, PAIRS_BY_RIGHT, nearest_file
from pipelines.slices import PairFile
from pipelines.totals import Totals, read_totals
from recipe import LEFT, RIGHT

_CORES = os.cpu_count() or 1
_CHUNK_MEMORY = 256 << 20  # for each worker
_REASONS = tuple(REASONS)
_CODE = {reason: code for code, reason in enumerate(_REASONS)}


class Chunk(NamedTuple):
    """Rows ``start`` <= position < ``stop`` (0-based) of one side; ``number`` names what is written for them."""

    number: int
    start: int
    stop: int


@dataclass
class Written:
    """What one chunk left behind."""

    parts: list[Part] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    matched: Totals = field(default_factory=Totals)
    unmatched: Totals = field(default_factory=Totals)
    rows: int = 0
    unmatched_rows: int = 0
    pairs: int = 0
    keys: KeyRun | None = None


class Assembler:
    """Writes evidence chunk by chunk. One per thread: it holds open files and a small engine of its own."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._exchange = layout.exchange
        self._pairs: dict[str, PairFile] = {}
        self._nearest: dict[str, _NearestFile] = {}
        self._connection: engine.Connection | None = None
        self._held = contextlib.ExitStack()

    def close(self) -> None:
        for pairs in self._pairs.values():
            pairs.close()
        for nearest in self._nearest.values():
            nearest.close()
        self._held.close()

    def route_right(self, chunk: Chunk) -> Written:
        """Pass 1 for one chunk of the right side."""
        table = self._read(self._layout.right, chunk)
        right_rows, left_rows = self._pair_file(RIGHT).read(chunk.start, chunk.stop)
        position = right_rows - (chunk.start + 1)
        partners = np.bincount(position, minlength=table.num_rows)
        written = self._unmatched(RIGHT, chunk, table, partners == 0)
        if self._layout.pairs:
            slices = np.searchsorted(self._layout.slice_stops, left_rows - 1, side="right")
            self._file_rows(chunk, table, position, slices, partners)
        return written

    def assemble_left(self, chunk: Chunk) -> Written:
        """Pass 2 for one slice of the left side."""
        table = self._read(self._layout.left, chunk)
        left_rows, right_rows = self._pair_file(LEFT).read(chunk.start, chunk.stop)
        position = left_rows - (chunk.start + 1)
        partners = np.bincount(position, minlength=table.num_rows)
        written = self._unmatched(LEFT, chunk, table, partners == 0)
        written.pairs = len(left_rows)
        if self._layout.pairs and len(left_rows):
            filed = self._filed_rows(chunk.number)
            found = np.searchsorted(filed.rows, right_rows)
            if not np.array_equal(filed.rows[np.minimum(found, len(filed.rows) - 1)], right_rows):
                raise PipelineError("A matched right row was not filed for its slice.", code="internal.error")
            batches = (
                self._matched(table, filed, left_rows[i:j], right_rows[i:j], position[i:j], found[i:j], partners)
                for i, j in _steps(len(left_rows), self._layout.slice_rows)
            )
            schema, few = self._layout.matched_schema, self._layout.matched_few
            written.parts.append(write_part(self._exchange.evidence, "matched", chunk.number, batches, schema, few))
        return written

    # -- unmatched rows ------------------------------------------------------------------------------------------------

    def _unmatched(self, side: str, chunk: Chunk, table: pa.Table, alone: np.ndarray) -> Written:
        written = Written(rows=table.num_rows, unmatched_rows=int(alone.sum()))
        written.keys = key_run(chunk.number, table.column(self._layout.facts(side).key_place))
        written.matched, written.unmatched = self._totals(side, table, alone)
        if not written.unmatched_rows:
            return written
        place = np.flatnonzero(alone)
        rows = table if written.unmatched_rows == table.num_rows else table.take(pa.array(place))
        code, failed, nearest, gap = self._reasons(side, chunk, rows, place)
        counts = np.bincount(code, minlength=len(_REASONS)).tolist()
        written.reasons.update({r: n for r, n in zip(_REASONS, counts, strict=True) if n})
        reason = pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), pa.array(_REASONS, pa.string()))
        columns = [pa.array(place + (chunk.start + 1)), reason, failed, nearest, gap]
        schema = self._layout.unmatched_schema(side)
        source = rows.columns[: len(self._relation(side).columns)]
        out = pa.Table.from_arrays([*columns, *source], names=schema.names)
        set_name = "unmatched_left" if side == LEFT else "unmatched_right"
        few = self._layout.unmatched_few(side)
        written.parts.append(write_part(self._exchange.evidence, set_name, chunk.number, [out], schema, few))
        return written

    def _reasons(
        self, side: str, chunk: Chunk, rows: pa.Table, place: np.ndarray
    ) -> tuple[np.ndarray, pa.Array, pa.Array, pa.Array]:
        """The reason as an index of ``_REASONS``, then failed, nearest and gap (text with NULLs), a row each."""
        facts = self._layout.facts(side)
        near = self._nearest_file(side).read(chunk.start, chunk.stop)
        own = self._own_reasons(side, rows)
        at = np.searchsorted(near.rows, place + (chunk.start + 1))
        at_safe = np.minimum(at, max(0, len(near.rows) - 1))
        has_candidate = np.zeros(len(place), bool)
        if len(near.rows):
            has_candidate = near.rows[at_safe] == place + (chunk.start + 1)
        reason = np.where(has_candidate, _CODE[PREDICATE], _CODE[facts.without_candidate])
        reason[own >= 0] = _CODE[EXCLUDED]
        reason[own == KEY_NULL] = _CODE[NULL_KEY]
        reason[own == UNPARSED] = _CODE[UNPARSEABLE]
        predicate = (reason == _CODE[PREDICATE]) & has_candidate
        text = np.full(len(place), -1)
        text[predicate] = near.failed[at_safe[predicate]]
        text[own >= 0] = own[own >= 0] + facts.first_own_text
        return (
            reason,
            pa.DictionaryArray.from_arrays(
                pa.array(text, pa.int32(), mask=text < 0), pa.array(facts.texts, pa.string())
            ),
            _take_or_null(near.nearest, np.where(predicate, at_safe, -1)),
            _take_or_null(near.gap, np.where(predicate, at_safe, -1)),
        )

    def _own_reasons(self, side: str, rows: pa.Table) -> np.ndarray:
        """What is wrong with each row by itself (see ``own_reason_tree``); a number no condition has for nothing."""
        sql = self._layout.facts(side).own_reason_sql
        nothing = np.full(rows.num_rows, -9)
        if sql is None:
            return nothing
        found = self._ask(sql, **{side: self._named(side, rows)}).column(0)
        return pc.fill_null(found, -9).to_numpy()

    def _totals(self, side: str, table: pa.Table, alone: np.ndarray) -> tuple[Totals, Totals]:
        facts = self._layout.facts(side)
        both = (Totals(), Totals())
        if facts.totals_sql is None:
            return both
        marked = self._named(side, table).append_column("alone", pa.array(alone))
        for row in self._ask(facts.totals_sql, **{side: marked}).to_pylist():
            values = list(row.values())
            both[1 if values[0] else 0].add(read_totals(values[1:], facts.number_names))
        return both

    # -- matched rows --------------------------------------------------------------------------------------------------

    def _file_rows(
        self, chunk: Chunk, table: pa.Table, position: np.ndarray, slices: np.ndarray, partners: np.ndarray
    ) -> None:
        """One Arrow file a chunk, with one record batch for each left slice, so that a slice reads just its own."""
        combined = np.unique(slices * table.num_rows + position)
        slices, position = np.divmod(combined, table.num_rows) if table.num_rows else (combined, combined)
        wanted = table.select([c.source for c in self._layout.right_columns]).take(pa.array(position))
        wanted = wanted.rename_columns([f"c{i}" for i in range(wanted.num_columns)])
        wanted = wanted.append_column("row", pa.array(position + (chunk.start + 1)))
        wanted = wanted.append_column("partners", pa.array(partners[position])).combine_chunks()
        starts = np.searchsorted(slices, np.arange(len(self._layout.slice_stops) + 1))
        path = self._routed(chunk.number)
        written = partial(path)
        whole = wanted.to_batches()[0] if wanted.num_rows else pa.RecordBatch.from_pylist([], wanted.schema)
        with pa.OSFile(str(written), "wb") as sink, pa.ipc.new_file(sink, wanted.schema) as writer:
            for start, stop in pairwise(starts):
                writer.write_batch(whole.slice(start, stop - start))
        written.replace(path)

    def _filed_rows(self, slice_number: int) -> _Filed:
        batches = []
        paths = [self._routed(number) for number in range(self._layout.right_chunks)]
        self._exchange.bring(*(path.name for path in paths))
        for path in paths:
            with pa.OSFile(str(path), "rb") as source, pa.ipc.open_file(source) as file:
                batches.append(file.get_batch(slice_number))
        table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
        return _Filed(table, table["row"].to_numpy(), table["partners"].to_numpy())

    def _matched(
        self, left: pa.Table, filed: _Filed, left_rows: np.ndarray, right_rows: np.ndarray,
        left_at: np.ndarray, right_at: np.ndarray, partners: np.ndarray,
    ) -> pa.Table:  # fmt: skip
        layout = self._layout
        own = left.select([c.source for c in layout.left_columns]).take(pa.array(left_at))
        theirs = filed.table.select(range(len(layout.right_columns))).take(pa.array(right_at))
        sides = {LEFT: own, RIGHT: theirs}
        computed = self._computed(own, theirs)
        columns = [
            pa.array(left_rows),
            pa.array(right_rows),
            pa.array(partners[left_at]),
            pa.array(filed.partners[right_at]),
        ]
        for output in layout.outputs:
            taken = sides[output.side].column(output.place) if output.side else computed.column(output.place)
            columns.append(taken)
        return pa.Table.from_arrays(columns, names=layout.matched_schema.names)

    def _computed(self, left: pa.Table, right: pa.Table) -> pa.Table:
        """Output columns that are expressions, over aligned rows of both sides."""
        if self._layout.computed_sql is None:
            return left
        return self._ask(
            self._layout.computed_sql,
            l=_renamed(left, self._layout.left_columns),
            r=_renamed(right, self._layout.right_columns),
        )

    # -- files ---------------------------------------------------------------------------------------------------------

    def _read(self, relation: Relation, chunk: Chunk) -> pa.Table:
        return _reader(self._layout, relation).read(chunk.start, chunk.stop)

    def _relation(self, side: str) -> Relation:
        return self._layout.left if side == LEFT else self._layout.right

    def _named(self, side: str, table: pa.Table) -> pa.Table:
        """Rows of a side under the engine's names."""
        return table.rename_columns(self._relation(side).names)

    def _pair_file(self, side: str) -> PairFile:
        if side not in self._pairs:
            name, first = (PAIRS_BY_LEFT, "lr") if side == LEFT else (PAIRS_BY_RIGHT, "rr")
            self._exchange.bring(name)
            self._pairs[side] = PairFile(self._exchange.scratch / name, first)
        return self._pairs[side]

    def _nearest_file(self, side: str) -> _NearestFile:
        if side not in self._nearest:
            path = None
            if self._layout.pairs:
                path = self._exchange.scratch / nearest_file(side)
                self._exchange.bring(path.name)
            self._nearest[side] = _NearestFile(path, self._layout.facts(side).units)
        return self._nearest[side]

    def _routed(self, number: int) -> Path:
        return self._exchange.scratch / f"routed-{number:05d}.arrow"

    def _ask(self, sql: str, **tables: pa.Table) -> pa.Table:
        if self._connection is None:
            connection = engine.connect(self._exchange.scratch, _CHUNK_MEMORY * _CORES, threads=1, ordered=True)
            self._connection = self._held.enter_context(connection)
        for name, table in tables.items():
            self._connection.register(name, table)
        return self._connection.sql(sql).to_arrow_table()


class _Filed(NamedTuple):
    table: pa.Table
    rows: np.ndarray
    partners: np.ndarray


class _Near(NamedTuple):
    rows: np.ndarray
    failed: np.ndarray
    nearest: pa.Array
    gap: pa.Array


class _NearestFile:
    """The nearest candidates of one side, by row range. Gaps get their unit here."""

    def __init__(self, path: Path | None, units: tuple[str, ...]) -> None:
        """None where there is none: a statement that runs whole names no candidates."""
        self._file = pq.ParquetFile(path) if path else None
        self._units = units
        groups = range(self._file.metadata.num_row_groups) if self._file else ()
        self._spans = [(g, s.min, s.max) for g in groups for s in [self._statistics(g)] if s is not None]

    def _statistics(self, group: int) -> pq.Statistics | None:
        assert self._file is not None, "called for an open file only"
        return self._file.metadata.row_group(group).column(0).statistics

    def read(self, start: int, stop: int) -> _Near:
        wanted = [g for g, low, high in self._spans if low <= stop and high > start]
        if not wanted or self._file is None:
            empty = np.empty(0, np.int64)
            return _Near(empty, empty, pa.array([], pa.string()), pa.array([], pa.string()))
        table = self._file.read_row_groups(wanted, use_threads=False).combine_chunks()
        rows = table["rid"].to_numpy().astype(np.int64)
        begin, end = np.searchsorted(rows, [start + 1, stop + 1])
        rows, table = rows[begin:end], table.slice(begin, end - begin)
        if len(rows) and (repeated := np.r_[False, rows[1:] == rows[:-1]]).any():
            table, rows = table.filter(pa.array(~repeated)), rows[~repeated]  # the nearest comes first
        failed = table["failed"].to_numpy().astype(np.int64)
        return _Near(rows, failed, _whole(table["nearest"]), self._with_units(failed, _whole(table["gap"])))

    def _with_units(self, failed: np.ndarray, gap: pa.Array) -> pa.Array:
        """``15.0000000000`` -> ``15.00``; ``3`` of a condition in days -> ``3 days``."""
        days = pa.array(np.array([u == "days" for u in self._units], bool)[failed]) if len(failed) else None
        # Zeros past the second decimal say nothing about money; computed scales are wider than written ones.
        numbers = pc.replace_substring_regex(gap, pattern=r"(\.\d\d\d*?)0+$", replacement=r"\1")
        if days is None or not pc.any(days).as_py():
            return numbers
        unit = pc.if_else(pc.equal(gap, "1"), " day", " days")
        return pc.if_else(days, pc.binary_join_element_wise(gap, unit, ""), numbers)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


_local = threading.local()
_readers: dict[tuple[Exchange, str], RowReader] = {}
_readers_lock = threading.Lock()


def _reader(layout: Layout, relation: Relation) -> RowReader:
    """This process's reader of one side of a run; those of earlier runs are let go."""
    run = layout.exchange
    with _readers_lock:
        for key in [key for key in _readers if key[0] != run]:
            del _readers[key]
        if (run, relation.side) not in _readers:
            _readers[run, relation.side] = RowReader(relation, layout.repetitive(relation.side))
        return _readers[run, relation.side]


def let_go() -> None:
    """Give back the memory that decoded rows took, once all are written: the engine may need it for the keys."""
    with _readers_lock:
        _readers.clear()
    pa.default_memory_pool().release_unused()


def assembler(layout: Layout) -> Assembler:
    """This thread's assembler for the layout's run."""
    held: tuple[Exchange, Assembler] | None = getattr(_local, "held", None)
    if held is None or held[0] != layout.exchange:
        if held is not None:
            held[1].close()
        held = (layout.exchange, Assembler(layout))
        _local.held = held
    return held[1]


def _steps(total: int, step: int) -> list[tuple[int, int]]:
    return [(i, min(i + step, total)) for i in range(0, total, step)]


def _take_or_null(values: pa.Array, index: np.ndarray) -> pa.Array:
    """``values[index]``, NULL where the index is negative."""
    return values.take(pa.array(index, mask=index < 0))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _renamed(table: pa.Table, columns: tuple[PairColumn, ...]) -> pa.Table:
    return table.rename_columns([f"c{c.source}" for c in columns])
