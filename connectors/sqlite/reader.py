"""The connector for tables and views of SQLite database files, read-only.

Rows come in the order of their row numbers, those of a table WITHOUT ROWID by its key, those of a view as SQLite gives
them, in one go. Filters are evaluated here: SQLite compares by storage class, and its LIKE ignores capitals.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.errors import SourceDataError
from connectors.local_files import LocalFile
from connectors.previews import first_of
from connectors.sqlite import catalog
from connectors.sqlite.catalog import Table
from connectors.sqlite.session import has_log, transaction
from connectors.sqlite.types import SqliteColumn, Unfit
from recipe import FilterCondition, Schema, SqliteAddress, format_cell, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]
_BATCH_ROWS = 8_192
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class SqliteConnector(Connector):
    """One table or view of one file."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True, exact_count=True)

    file: LocalFile
    table: str
    uri: str

    @classmethod
    def from_source(cls, source: Any, access: Access) -> SqliteConnector:
        address = address_of(source, SqliteAddress)
        file = LocalFile(os.path.abspath(os.path.join(access.base_dir or "", address.path)), access.roots)
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
        """The file's state now; every split and the end compare it. Nobody is kept from writing."""
        with transaction(self.file) as (connection, state):
            kind = self._found(connection).kind
        identity = {**self.file.identity(), "log_size": state[3], "table": self.table, "kind": kind}
        yield Snapshot(identity, {"state": state})
        with transaction(self.file, state):
            pass

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Ranges of row numbers, equally wide; one split for what has none."""
        with transaction(self.file, snapshot.live["state"]) as (connection, _):
            table = self._found(connection)
            if table.rowid is None or desired < 2:
                return [Split(0, {})]
            ends = f"SELECT min({table.rowid}), max({table.rowid}) FROM {catalog.quoted(table.name)}"  # noqa: S608
            first, last = connection.execute(ends).fetchone()
        if first is None:
            return [Split(0, {})]
        count = max(min(desired, last + 1 - first), 1)
        borders = [first + (last + 1 - first) * i // count for i in range(count + 1)]
        return [Split(i, {"first": low, "last": high - 1}) for i, (low, high) in enumerate(pairwise(borders))]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        with transaction(self.file, snapshot.live["state"]) as (connection, _):
            table = self._found(connection)
            passing = BatchFilter.of(filters, tuple(one.column for one in table.columns))
            needed = None if columns is None else {*columns, *(f.column for f in filters)}
            # Which rows come first in a view may depend on the columns that are asked for.
            fetched = table.columns if table.kind == "view" else _kept(table.columns, needed)
            where, bounds = "", []
            if split.payload:
                where = f" WHERE {table.rowid} BETWEEN ? AND ?"
                bounds = [split.payload["first"], split.payload["last"]]
            cursor = connection.execute(table.select(fetched, where), bounds)
            while rows := cursor.fetchmany(_BATCH_ROWS):
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
        if filters:
            return self.scan_count(filters)
        with transaction(self.file) as (connection, _):
            self._found(connection)
            asked = f"SELECT count(*) FROM {catalog.quoted(self.table)}"  # noqa: S608 - the name is quoted
            return int(connection.execute(asked).fetchone()[0])

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        return first_of(self.schema(), self.scan(filters), limit, lambda: self.count(filters))

    def estimated_rows(self) -> int:
        return self.count()

    def estimated_bytes(self) -> int:
        return int(self.file.identity()["size"])

    def content_hash(self) -> str | None:
        """Of the file; None where committed rows lie beside it, in the log."""
        return None if has_log(self.file) else self.file.content_hash()

    def listed(self, limit: int) -> Listing:
        with transaction(self.file) as (connection, _):
            found = catalog.names(connection, limit + 1)
        return Listing.of((Entry(name, kind, sibling_uri(self.masked_uri, name)) for name, kind in found), limit)

    def declared_key(self) -> tuple[str, ...]:
        """The columns of the declared primary key, in its order; empty when there is none."""
        with transaction(self.file) as (connection, _):
            keyed = [one for one in self._found(connection).columns if one.key]
        return tuple(one.name for one in sorted(keyed, key=lambda one: one.key))


def _kept(columns: tuple[SqliteColumn, ...], needed: set[str] | None) -> tuple[SqliteColumn, ...]:
    return tuple(one for one in columns if needed is None or one.name in needed)


def _arrow_schema(columns: tuple[SqliteColumn, ...]) -> pa.Schema:
    return pa.schema([pa.field(one.name, one.arrow) for one in columns])
