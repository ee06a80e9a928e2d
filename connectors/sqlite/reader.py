"""The connector for tables and views of SQLite database files, read-only.

Rows come in the order of their row numbers, those of a table WITHOUT ROWID by its key, those of a view as SQLite gives
them, in one go. Filters are evaluated here: SQLite compares by storage class, and its LIKE ignores capitals.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from sys import getsizeof
from typing import Any, ClassVar

import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.errors import SourceDataError
from connectors.previews import first_of
from connectors.sqlite import catalog
from connectors.sqlite.catalog import Table
from connectors.sqlite.session import DatabaseFile, State, stop_after, transaction
from connectors.sqlite.types import SqliteColumn, Unfit
from recipe import FilterCondition, Schema, SqliteAddress, format_cell, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]
_BATCH_ROWS = 8_192
_BATCH_BYTES = 16 << 20  # as Python holds the rows
_LEAST_BYTES_OF_A_ROW = 4  # in the file
_VIEW_SECONDS = 60.0  # for a count or preview: a view may have no end, a table has one
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class SqliteConnector(Connector):
    """One table or view of one file."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True, exact_count=True)

    file: DatabaseFile
    table: str
    uri: str

    @classmethod
    def from_source(cls, source: Any, access: Access) -> SqliteConnector:
        address = address_of(source, SqliteAddress)
        file = DatabaseFile(os.path.abspath(os.path.join(access.base_dir or "", address.path)), access.roots)
        file.check_allowed()
        return cls(file, address.table, source.uri)

    @property
    def masked_uri(self) -> str:
        return mask_uri(self.uri)

    def schema(self) -> Schema:
        with transaction(self.file) as (connection, _):
            return tuple(one.column for one in self._found(connection).columns)

    def arrow_schema(self) -> pa.Schema:
        with transaction(self.file) as (connection, _):
            return _arrow_schema(self._found(connection).columns)

    def _found(self, connection: Any) -> Table:
        return catalog.find_table(connection, self.file.shown, self.table)

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        """The file's state now; every split and the end compare it.

        Between splits nobody is kept from writing. While one is read, a commit has to wait in every journal mode but
        WAL.
        """
        with transaction(self.file) as (connection, state):
            kind = self._found(connection).kind
        identity = {**self.file.identity(), "table": self.table, "kind": kind}
        yield Snapshot(identity, {"state": state})
        with transaction(self.file, state):
            pass

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Ranges of row numbers, equally wide; one split for what has none."""
        with transaction(self.file, snapshot.live["state"]) as (connection, _):
            table = self._found(connection)
            if table.rowid is None or desired < 2:
                return [Split(0, {})]
            ends = _ends(connection, table)
        if ends is None:
            return [Split(0, {})]
        first, last = ends
        count = max(min(desired, last + 1 - first), 1)
        borders = [first + (last + 1 - first) * i // count for i in range(count + 1)]
        return [Split(i, {"first": low, "last": high - 1}) for i, (low, high) in enumerate(pairwise(borders))]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        yield from self._read(snapshot.live["state"], split.payload, filters, columns)

    def _read(
        self,
        state: State | None,
        ends: dict[str, Any],
        filters: Filters,
        columns: Sequence[str] | None,
        seconds: float | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows between two row numbers, all for none; those of a view for so many ``seconds``."""
        with transaction(self.file, state) as (connection, _):
            table = self._found(connection)
            passing = BatchFilter.of(filters, tuple(one.column for one in table.columns))
            needed = None if columns is None else {*columns, *(f.column for f in filters)}
            # Which rows come first may depend on the columns that are asked for, where nothing orders them.
            fetched = _kept(table.columns, needed) if table.order else table.columns
            where = f" WHERE {table.rowid} BETWEEN ? AND ?" if ends else ""
            if seconds is not None and table.kind == "view":
                stop_after(connection, seconds)
            cursor = connection.execute(table.select(fetched, where), [ends["first"], ends["last"]] if ends else [])
            for rows in _portions(cursor):
                yield narrowed(passing(self._batch(fetched, rows)), columns)

    def _batch(self, columns: tuple[SqliteColumn, ...], rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
        if not columns:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
        cells = [self._cells(one, values) for one, values in zip(columns, zip(*rows, strict=True), strict=True)]
        return pa.RecordBatch.from_arrays(cells, schema=_arrow_schema(columns))

    def _cells(self, one: SqliteColumn, values: Sequence[Any]) -> pa.Array:
        try:
            return one.cells(values)
        except Unfit as misfit:
            shown = (format_cell(misfit.value) or "")[:_LONGEST_SHOWN]
            raise SourceDataError(
                f"Column {one.name!r} of {self.table!r} in {self.file.shown} is declared {one.column.native} and holds"
                f" {shown!r}, which has no exact form in it.",
                code="source.unrepresentable_value",
                hint="Correct the value, or read a view that casts the column to TEXT.",
            ) from None

    def count(self, filters: Filters = ()) -> int:
        return self._counted(None, filters)

    def _counted(self, state: State | None, filters: Filters) -> int:
        if filters:
            named = tuple({f.column: None for f in filters})
            return sum(batch.num_rows for batch in self._read(state, {}, filters, named, _VIEW_SECONDS))
        with transaction(self.file, state) as (connection, _):
            if self._found(connection).kind == "view":
                stop_after(connection, _VIEW_SECONDS)
            asked = f"SELECT count(*) FROM {catalog.quoted(self.table)}"  # noqa: S608 - the name is quoted
            return int(connection.execute(asked).fetchone()[0])

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        with self.open_snapshot() as snapshot:  # its end compares the state where not all rows were read
            state = snapshot.live["state"]
            rows = self._read(state, {}, filters, None, _VIEW_SECONDS)
            return first_of(self.schema(), rows, limit, lambda: self._counted(state, filters))

    def estimated_rows(self) -> int | None:
        """By the row numbers, which may have gaps, and no more than have room; None for what has none."""
        with transaction(self.file) as (connection, state):
            table = self._found(connection)
            if table.rowid is None:
                return None
            ends = _ends(connection, table)
        room: int = (state[0] + state[3]) // _LEAST_BYTES_OF_A_ROW
        return 0 if ends is None else min(ends[1] + 1 - ends[0], room)

    def estimated_bytes(self) -> int:
        return int(self.file.identity()["size"])

    def content_hash(self) -> str | None:
        """Of the file; None where committed rows lie beside it, in the log."""
        return None if self.file.identity()["log_size"] else self.file.content_hash()

    def listed(self, limit: int) -> Listing:
        with transaction(self.file) as (connection, _):
            found = catalog.names(connection, limit + 1)
        return Listing.of((Entry(name, kind, sibling_uri(self.masked_uri, name)) for name, kind in found), limit)

    def declared_key(self) -> tuple[str, ...]:
        """The columns of the declared primary key, in its order; empty when there is none, or NULLs may be in it."""
        with transaction(self.file) as (connection, _):
            table = self._found(connection)
        keyed = [one for one in table.columns if one.key] if table.is_keyed else []
        return tuple(one.name for one in sorted(keyed, key=lambda one: one.key))


def _portions(cursor: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """The rows in lists that do not grow with what a cell holds."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(map(getsizeof, row))
        if len(rows) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _ends(connection: Any, table: Table) -> tuple[int, int] | None:
    """The first and last row number, None without rows; asked for singly, since SQLite reads all rows for both."""
    name = catalog.quoted(table.name)
    asked = f"SELECT (SELECT min({table.rowid}) FROM {name}), (SELECT max({table.rowid}) FROM {name})"  # noqa: S608
    first, last = connection.execute(asked).fetchone()
    return None if first is None else (first, last)


def _kept(columns: tuple[SqliteColumn, ...], needed: set[str] | None) -> tuple[SqliteColumn, ...]:
    return tuple(one for one in columns if needed is None or one.name in needed)


def _arrow_schema(columns: tuple[SqliteColumn, ...]) -> pa.Schema:
    return pa.schema([pa.field(one.name, one.arrow) for one in columns])
