"""The connector for tables and views of MySQL and MariaDB, read-only.

The server lets no two connections see one state, so a source is one split, read in one transaction with a consistent
snapshot: what a run reads is the table as it was when that transaction began, a moment after ``open_snapshot``. Tables
that change meanwhile are read whole and consistent, but two tables of one database at two moments, which the second's
identity says. Engines without transactions (MyISAM, Aria) are read in one statement, which keeps writers waiting.

Rows come in the order of the primary key, those of a table without one as a scan finds them, those of a view as the
server gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.errors import SourceDataError
from connectors.mysql import catalog
from connectors.mysql.catalog import Table
from connectors.mysql.errors import ALTERED
from connectors.mysql.pushdown import where_clause
from connectors.mysql.session import Row, Session, pinned, place_text, transaction
from connectors.mysql.types import MysqlColumn, Unfit, quoted
from connectors.previews import first_of, preview_of
from recipe import FilterCondition, MysqlAddress, Schema, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]
SHOWN_SECONDS = 120.0  # for a count or preview, on the server
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class MysqlConnector(Connector):
    """One table or view of a MySQL (5.7 or newer) or MariaDB (10.2 or newer) server."""

    capabilities: ClassVar[Capabilities] = Capabilities(filter_pushdown=True)

    address: MysqlAddress
    masked: str

    @classmethod
    def from_source(cls, source: Any, access: Access) -> MysqlConnector:
        address = address_of(source, MysqlAddress)
        return cls(pinned(address, access), mask_uri(source.uri))

    @property
    def masked_uri(self) -> str:
        return self.masked

    def schema(self) -> Schema:
        with transaction(self.address) as session:
            return tuple(one.column for one in catalog.find_table(session).columns)

    def arrow_schema(self) -> pa.Schema:
        with transaction(self.address) as session:
            return _arrow_schema(catalog.find_table(session).columns)

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        """The table's definition, which the read must find again; rows are those of the transaction that reads them.

        ``beside``: where that is another table of the same server, the identity says that both have moments of their
        own.
        """
        with transaction(self.address) as session:
            table = catalog.find_table(session)
            session.run(f"SELECT 1 FROM {quoted(table.name)} LIMIT 0")  # noqa: S608 - may it be read?
            identity = _identity(session, table)
        server = [self.address.host, self.address.port]
        if beside is not None and beside.live.get("server") == server:
            identity["beside"] = "read at another moment than the other side"
        yield Snapshot(identity, {"server": server, "table": table})

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """One: connections cannot share a snapshot."""
        return [Split(0, {})]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of at most 16 Ki rows. Raises SourceChanged where the table was altered since the snapshot."""
        with transaction(self.address) as session:
            table = catalog.find_table(session)
            if table != snapshot.live["table"]:
                raise ALTERED.raised(place_text(self.address))
            yield from self._rows(session, table, filters, columns)

    def _rows(
        self,
        session: Session,
        table: Table,
        filters: Filters,
        wanted: Sequence[str] | None = None,
        limit: int | None = None,
        seconds: float | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Rows that pass; ``limit`` is for filters that the server evaluates alone."""
        clause, left = where_clause(filters, table.columns)
        passing = BatchFilter.of(left, tuple(one.column for one in table.columns))
        needed = None if wanted is None else {*wanted, *(f.column for f in left)}
        fetched = tuple(one for one in table.columns if needed is None or one.name in needed)
        query = table.select(fetched, clause) + ("" if limit is None else f" LIMIT {limit:d}")
        for rows in session.stream(query, max(len(fetched), 1), seconds):
            yield narrowed(passing(self._batch(fetched, rows)), wanted)

    def _batch(self, columns: tuple[MysqlColumn, ...], rows: list[Row]) -> pa.RecordBatch:
        if not columns:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
        cells = [self._cells(one, values) for one, values in zip(columns, zip(*rows, strict=True), strict=True)]
        return pa.RecordBatch.from_arrays(cells, schema=_arrow_schema(columns))

    def _cells(self, one: MysqlColumn, values: Sequence[bytes | None]) -> pa.Array:
        try:
            return one.cells(values)
        except Unfit as misfit:
            raise SourceDataError(
                f"Column {one.name!r} of {place_text(self.address)} is of type {one.column.native} and holds"
                f" {misfit.text[:_LONGEST_SHOWN]!r}, which has no exact form as {one.column.kind}.",
                code="source.unrepresentable_value",
                hint="Correct the value, or read a view that leaves it out or casts the column to CHAR.",
            ) from None

    def count(self, filters: Filters = ()) -> int:
        with transaction(self.address) as session:
            session.limit(SHOWN_SECONDS)
            return self._counted(session, catalog.find_table(session), filters)

    def _counted(self, session: Session, table: Table, filters: Filters) -> int:
        clause, left = where_clause(filters, table.columns)
        if left:
            named = tuple({f.column: None for f in filters})
            return sum(batch.num_rows for batch in self._rows(session, table, filters, named, None, SHOWN_SECONDS + 10))
        asked = f"SELECT count(*) FROM {quoted(table.name)} WHERE {clause}"  # noqa: S608 - quoted, typed
        ((number,),) = session.run(asked, SHOWN_SECONDS + 10)
        return int(number or 0)

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        """The first rows in the order of ``read``, and the count, in one transaction."""
        with transaction(self.address) as session:
            session.limit(SHOWN_SECONDS)
            table = catalog.find_table(session)
            columns = tuple(one.column for one in table.columns)
            patience = SHOWN_SECONDS + 10
            if where_clause(filters, table.columns)[1]:
                return preview_of(columns, self._rows(session, table, filters, None, None, patience), limit)
            rows = list(self._rows(session, table, filters, None, limit, patience))
            return first_of(columns, rows, limit, lambda: self._counted(session, table, filters))

    def estimated_rows(self) -> int | None:
        """The server's own guess; None for a view."""
        with transaction(self.address) as session:
            return catalog.sizes(session)[0]

    def estimated_bytes(self) -> int | None:
        """Size of the rows on the server's disk; None for a view."""
        with transaction(self.address) as session:
            return catalog.sizes(session)[1]

    def listed(self, limit: int) -> Listing:
        """Tables and views of the database."""
        with transaction(self.address) as session:
            found = catalog.names(session, limit + 1)
        return Listing.of((Entry(name, kind, sibling_uri(self.masked, name)) for name, kind in found), limit)

    def declared_key(self) -> tuple[str, ...]:
        """The columns of the declared primary key, in its order; empty when there is none, or one of them is
        invisible."""
        with transaction(self.address) as session:
            table = catalog.find_table(session)
        return table.key if {one.name for one in table.columns}.issuperset(table.key) else ()


def _identity(session: Session, table: Table) -> dict[str, Any]:
    ((version, database, now),) = session.run("SELECT VERSION(), DATABASE(), UTC_TIMESTAMP(6)")
    return {
        "server": "MariaDB" if session.is_mariadb else "MySQL",
        "server_version": catalog.text(version),
        "database": catalog.text(database),
        "table": table.name,
        "kind": table.kind,
        "engine": table.engine,
        "opened_at": catalog.text(now).replace(" ", "T") + "Z",
        "rows": "of the transaction that read them",
    }


def _arrow_schema(columns: tuple[MysqlColumn, ...]) -> pa.Schema:
    return pa.schema([pa.field(one.name, one.arrow) for one in columns])
