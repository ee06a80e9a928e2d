"""The connector for PostgreSQL tables, views, materialised views, partitioned and foreign tables.

All splits of a run read one exported snapshot, which ``open_snapshot`` holds open. A lock that goes with it
keeps TRUNCATE and VACUUM FULL from moving rows while they are read; ordinary readers and writers are not held
up. A database cannot be put back into an old state: a replay reads it as it is then, and compares counts and
hashes.

Rows come relation by relation in the order of their oids, inside a relation in physical order; those of views
and foreign tables in the order in which the server gives them, read in one go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from connectors.addresses import address_of
from connectors.arrow_filters import filter_batch
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.errors import ConnectorError
from connectors.postgres import catalog
from connectors.postgres.cells import printed_cell
from connectors.postgres.copy import copy_batches
from connectors.postgres.pushdown import where_clause
from connectors.postgres.session import adopt, keep_order, pinned, place_text, transaction
from connectors.postgres.splits import Part, parts_of, plan
from connectors.postgres.types import arrow_schema
from connectors.previews import preview_of
from recipe import FilterCondition, PostgresAddress, Schema, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]


class PostgresConnector(Connector):
    """One table or view of a PostgreSQL server (12 or newer), read-only."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True, filter_pushdown=True)

    def __init__(self, address: PostgresAddress, masked_uri: str) -> None:
        self._address = address
        self._masked_uri = masked_uri
        self._where = place_text(address)
        self._scales: dict[str, int] | None = None  # of measured numerics, as the last snapshot found them

    @classmethod
    def from_source(cls, source: Any, access: Access) -> PostgresConnector:
        address = address_of(source, PostgresAddress)
        return cls(pinned(address, access), mask_uri(source.uri))

    def __repr__(self) -> str:
        return f"PostgresConnector({self._masked_uri!r})"

    @property
    def masked_uri(self) -> str:
        return self._masked_uri

    def schema(self) -> Schema:
        """From the catalogue alone; a numeric without a declared scale has None until a snapshot tells."""
        with transaction(self._address) as cursor:
            return self._columns(catalog.find_table(cursor, self._address))

    def _columns(self, table: catalog.Table) -> Schema:
        return tuple(c.column(self._scales) for c in table.columns)

    def arrow_schema(self) -> pa.Schema:
        """The types of ``read`` under the last snapshot that this connector opened, else those of now."""
        with transaction(self._address) as cursor:
            table = catalog.find_table(cursor, self._address)
            return arrow_schema(table.columns, self._known_scales(cursor, table))

    def _known_scales(self, cursor: Any, table: catalog.Table) -> dict[str, int]:
        known = self._scales
        if known is None or not known.keys() >= {c.name for c in table.columns if c.is_measured}:
            return catalog.measure(cursor, table, self._where)
        return known

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        """Hold one state of the database open for all splits.

        ``beside``: an open snapshot of another table. In the same database its state is taken over, so that
        both sides of a run see one moment; otherwise it is ignored.
        """
        with transaction(self._address) as cursor:
            if beside is not None and beside.live.get("database") == self._database():
                adopt(cursor, beside.live["snapshot"], self._where)
            table = catalog.find_table(cursor, self._address)
            # Locks the table and all its partitions until the end, so that nothing can rewrite or drop them.
            cursor.execute(sql.SQL("SELECT 1 FROM {} LIMIT 0").format(table.identifier))
            _, secured = catalog.storage_units(cursor, table, self._where)
            scales = catalog.measure(cursor, table, self._where)
            live = {
                "snapshot": self._export(cursor),
                "database": self._database(),
                "schema": table.schema,
                "table": table.name,
                "scales": scales,
            }
            self._scales = scales
            yield Snapshot(self._identity(cursor, table, secured), live)

    def _database(self) -> list[Any]:
        return [self._address.host, self._address.port, self._address.database]

    def _export(self, cursor: Any) -> str:
        try:
            cursor.execute("SELECT pg_catalog.pg_export_snapshot()")
        except psycopg2.Error as error:
            if error.pgcode is None or error.pgcode[:2] not in ("0A", "25", "42", "55"):
                raise
            raise ConnectorError(
                f"The source {self._where} is on a server that cannot share a snapshot between connections.",
                hint="Name the PostgreSQL server itself instead of a pooler or a compatible product.",
            ) from None
        exported: str = cursor.fetchone()[0]
        return exported

    def _identity(self, cursor: Any, table: catalog.Table, secured: bool) -> dict[str, Any]:
        function = "pg_current_snapshot" if table.server_version >= 130000 else "txid_current_snapshot"
        asked = "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database(), {}()::text"
        cursor.execute(sql.SQL(asked).format(sql.Identifier("pg_catalog", function)))
        version, database, seen = cursor.fetchone()
        return {
            "server_version": version,
            "database": database,
            "table": table.text,
            "kind": catalog.RELATION_KINDS[table.relkind],
            "snapshot": seen,
            "row_security": secured,
        }

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Block ranges over all partitions; one split for what has no blocks (views, foreign tables)."""
        with transaction(self._address, snapshot.live["snapshot"]) as cursor:
            table = catalog.find_table(cursor, self._pinned(snapshot))
            units, _ = catalog.storage_units(cursor, table, self._where)
            return plan(units, desired)

    def _pinned(self, snapshot: Snapshot) -> PostgresAddress:
        """The table that the snapshot found, whatever the search path finds by now."""
        return replace(self._address, table_schema=snapshot.live["schema"], table=snapshot.live["table"])

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches of about 1 MiB of text and at most 64 Ki rows."""
        with transaction(self._address, snapshot.live["snapshot"]) as cursor:
            table = catalog.find_table(cursor, self._pinned(snapshot))
            yield from self._rows(cursor, table, snapshot.live["scales"], parts_of(split), filters, columns)

    def _rows(
        self,
        cursor: Any,
        table: catalog.Table,
        scales: dict[str, int],
        parts: list[Part],
        filters: Filters,
        wanted: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        clause, left = where_clause(filters, table.columns, scales, utf8=_is_utf8(cursor))
        if wanted is not None:
            needed = {*wanted, *(f.column for f in left)}
            table = replace(table, columns=tuple(c for c in table.columns if c.name in needed))
        schema = arrow_schema(table.columns, scales)
        columns = tuple(c.column(scales) for c in table.columns)
        keep_order(cursor, physical=table.is_stored)
        for part in parts:
            with closing(copy_batches(cursor, _select(table, part, clause), schema, self._where)) as batches:
                for batch in batches:
                    yield narrowed(filter_batch(batch, left, columns) if left else batch, wanted)

    def count(self, filters: Filters = ()) -> int:
        with transaction(self._address) as cursor:
            table = catalog.find_table(cursor, self._address)
            clause, left = where_clause(filters, table.columns, {}, utf8=_is_utf8(cursor))
            if left:
                return sum(batch.num_rows for batch in self._everything(cursor, table, filters))
            return _count(cursor, table, clause)

    def _everything(self, cursor: Any, table: catalog.Table, filters: Filters) -> Iterator[pa.RecordBatch]:
        parts = self._parts(cursor, table)
        yield from self._rows(cursor, table, self._known_scales(cursor, table), parts, filters)

    def _parts(self, cursor: Any, table: catalog.Table) -> list[Part]:
        units, _ = catalog.storage_units(cursor, table, self._where)
        return [part for split in plan(units, 1) for part in parts_of(split)]

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        """The first rows in the order of ``read``; a value that ``read`` refuses is shown as printed."""
        with transaction(self._address) as cursor:
            table = catalog.find_table(cursor, self._address)
            columns = self._columns(table)
            clause, left = where_clause(filters, table.columns, {}, utf8=_is_utf8(cursor))
            if left:
                return preview_of(columns, self._everything(cursor, table, filters), limit)
            total = _count(cursor, table, clause)
            return Preview(columns, self._first_rows(cursor, table, clause, limit), total)

    def _first_rows(
        self, cursor: Any, table: catalog.Table, clause: sql.Composable, limit: int
    ) -> list[list[str | None]]:
        texts = pa.schema([pa.field(c.name, pa.string()) for c in table.columns])
        kinds = [c.kind for c in table.columns]
        rows: list[list[str | None]] = []
        keep_order(cursor, physical=table.is_stored)
        for part in self._parts(cursor, table):
            if len(rows) >= limit:
                break
            rest = sql.SQL("{} LIMIT {}").format(_select(table, part, clause), sql.Literal(limit - len(rows)))
            for batch in copy_batches(cursor, rest, texts, self._where):
                cells = [column.to_pylist() for column in batch.columns]
                rows += [
                    [printed_cell(t, k) for t, k in zip(row, kinds, strict=True)] for row in zip(*cells, strict=True)
                ]
        return rows

    def estimated_rows(self) -> int | None:
        """The planner's guess, which follows the size of the table even where it was never analysed."""
        with transaction(self._address) as cursor:
            table = catalog.find_table(cursor, self._address)
            cursor.execute(sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 FROM {}").format(table.identifier))
            return int(cursor.fetchone()[0][0]["Plan"]["Plan Rows"])

    def estimated_bytes(self) -> int | None:
        """Size of the table and its partitions on the server's disk; None for views and foreign tables."""
        with transaction(self._address) as cursor:
            return catalog.stored_bytes(cursor, catalog.find_table(cursor, self._address))

    def listed(self, limit: int) -> Listing:
        """Tables and views outside the system's own schemas."""
        with transaction(self._address) as cursor:
            found = catalog.names(cursor, limit + 1)
        return Listing.of((Entry(name, kind, sibling_uri(self._masked_uri, name)) for name, kind in found), limit)

    def declared_key(self) -> tuple[str, ...]:
        """The columns of the declared primary key, in its order; empty when there is none."""
        with transaction(self._address) as cursor:
            return catalog.primary_key(cursor, catalog.find_table(cursor, self._address))


def _select(table: catalog.Table, part: Part, clause: sql.Composable) -> sql.Composable:
    columns = sql.SQL(", ").join(c.printed() for c in table.columns)
    form = sql.SQL("SELECT {} FROM {} WHERE {} AND {}")
    return form.format(columns, part.source(), part.condition(), clause)


def _count(cursor: Any, table: catalog.Table, clause: sql.Composable) -> int:
    cursor.execute(sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table.identifier, clause))
    return int(cursor.fetchone()[0])


def _is_utf8(cursor: Any) -> bool:
    return bool(cursor.connection.get_parameter_status("server_encoding") == "UTF8")
