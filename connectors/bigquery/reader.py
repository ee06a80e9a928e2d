"""The connector for tables of BigQuery, over the Storage Read API.

A table has no order of its own. A run opens one session at one snapshot time; rows come stream by stream in the order
that the session gives them, and splits are groups of neighbouring streams. Filters are applied here: a session that
filters would hand its rows out over other streams.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.bigquery.clients import described, messages, open_session, read_client, table_client, tables
from connectors.bigquery.columns import declared, mappings, places
from connectors.bigquery.errors import translated
from connectors.errors import ConnectorError
from connectors.previews import cell_rows
from recipe import BigQueryAddress, FilterCondition, Schema, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]
MOST_STREAMS = 64
_BATCH_ROWS = 1 << 16
_PARAMETERS = ("billing",)


class BigQueryConnector(Connector):
    """One table, read-only; credentials are Google's application default ones."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True, exact_count=True)

    def __init__(self, address: BigQueryAddress, masked_uri: str) -> None:
        self._masked_uri = masked_uri
        self._shown = f"{address.project}.{address.dataset}.{address.table}"
        self._dataset = f"{address.project}.{address.dataset}"
        self._path = f"projects/{address.project}/datasets/{address.dataset}/tables/{address.table}"
        self._payer = dict(address.params).get("billing") or address.project
        self._live: Mapping[str, Any] | None = None  # of the last snapshot

    @classmethod
    def from_source(cls, source: Any, access: Access) -> BigQueryConnector:
        address = address_of(source, BigQueryAddress)
        for name, _ in address.params:
            if name not in _PARAMETERS:
                raise _invalid(f"The address has a parameter {name!r}.", "Parameters are table and billing.")
        if not address.table.replace("_", "").replace("-", "").isalnum():
            raise _invalid("The table's name has characters that no table has.", "Write its name alone.")
        return cls(address, mask_uri(source.uri))

    def __repr__(self) -> str:
        return f"BigQueryConnector({self._masked_uri!r})"

    @property
    def masked_uri(self) -> str:
        return self._masked_uri

    def schema(self) -> Schema:
        return tuple(one.column for one in self._mapped(self._known()))

    def arrow_schema(self) -> pa.Schema:
        return pa.schema([pa.field(one.column.name, one.arrow) for one in self._mapped(self._known())])

    def _known(self) -> Mapping[str, Any]:
        """The columns under the last snapshot that this connector opened, else of now."""
        if self._live is None:
            with self.open_snapshot():
                pass
        assert self._live is not None
        return self._live

    def _mapped(self, live: Mapping[str, Any]) -> tuple[Any, ...]:
        return mappings(_arrow(live["schema"]), live["columns"], live["scales"])

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        """A moment of the table. ``beside``: the open snapshot of another table of BigQuery, whose moment is taken
        over, so that both sides of a run see one."""
        shared = None if beside is None else beside.live.get("bigquery_moment")
        with translated(self._shown):
            table = self._table()
            moment = shared or datetime.now(UTC)
            columns = [declared(field) for field in table.schema]
            with read_client() as client:
                session = open_session(client, self._payer, self._path, moment, MOST_STREAMS, [])
                scales = self._scales(client, moment, [one.name for one in columns if one.measured])
        live = {
            "bigquery_moment": moment,
            "streams": [stream.name for stream in session.streams],
            "schema": session.arrow_schema.serialized_schema,
            "columns": columns,
            "scales": scales,
        }
        self._live = live
        self._mapped(live)  # says so now when a type cannot be read
        identity = {
            "project": table.project,
            "table": self._shown,
            "kind": str(table.table_type).lower(),
            "snapshot_time": moment.isoformat(),
        }
        yield Snapshot(identity, live)

    def _table(self) -> Any:
        with table_client(self._payer) as client:
            table = described(client, self._shown)
        if table.table_type not in ("TABLE", "SNAPSHOT", "CLONE"):
            raise ConnectorError(
                f"{self._shown} is of the kind {str(table.table_type).lower().replace('_', ' ')}, which keeps no rows.",
                code="source.unsupported_type",
                hint="Name a table; write a view's rows into one first (CREATE TABLE ... AS SELECT).",
            )
        return table

    def _scales(self, client: Any, moment: datetime, names: list[str]) -> dict[str, int]:
        """The decimal places that columns need which do not declare them: one pass over these columns."""
        scales = dict.fromkeys(names, 0)
        if names:
            session = open_session(client, self._payer, self._path, moment, 1, names)
            for stream in session.streams:
                for batch in _batches(client, stream.name, _arrow(session.arrow_schema.serialized_schema)):
                    for name in names:
                        scales[name] = max(scales[name], places(batch.column(name)))
        return scales

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Groups of neighbouring streams; one without any for an empty table."""
        streams = snapshot.live["streams"]
        count = max(min(desired, len(streams)), 1)
        ends = [len(streams) * i // count for i in range(count + 1)]
        return [Split(i, {"streams": streams[ends[i] : ends[i + 1]]}) for i in range(count)]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Batches as the streams have them, of at most 64 Ki rows. All columns are fetched: see ``open_snapshot``."""
        found = self._mapped(snapshot.live)
        passing = BatchFilter.of(filters, tuple(one.column for one in found))
        needed = None if columns is None else {*columns, *(f.column for f in filters)}
        kept = [one for one in found if needed is None or one.column.name in needed]
        schema = pa.schema([pa.field(one.column.name, one.arrow) for one in kept])
        arrived = _arrow(snapshot.live["schema"])
        with translated(self._shown), read_client() as client:
            for stream in split.payload["streams"]:
                for batch in _batches(client, stream, arrived):
                    cells = [one.apply(batch.column(one.column.name)) for one in kept]
                    if cells:
                        yield narrowed(passing(pa.RecordBatch.from_arrays(cells, schema=schema)), columns)
                    else:
                        yield batch.select([])

    def count(self, filters: Filters = ()) -> int:
        """From the table's own figures, unless rows were streamed into it just now."""
        if not filters:
            with translated(self._shown):
                table = self._table()
            if table.streaming_buffer is None:
                return int(table.num_rows)
        return self.scan_count(filters)

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        rows: list[list[str | None]] = []
        total = 0
        for batch in self.scan(filters):
            rows += cell_rows(batch.slice(0, limit - len(rows)))
            total += batch.num_rows
            if not filters and len(rows) >= limit:
                break
        return Preview(self.schema(), rows, total if filters else self.count())

    def listed(self, limit: int) -> Listing:
        with translated(self._shown), table_client(self._payer) as client:
            found = [(one.table_id, str(one.table_type).lower()) for one in tables(client, self._dataset, limit + 1)]
        entries = (Entry(name, kind, sibling_uri(self._masked_uri, name)) for name, kind in found)
        return Listing.of(entries, limit)

    def estimated_rows(self) -> int | None:
        with translated(self._shown):
            return int(self._table().num_rows)

    def estimated_bytes(self) -> int | None:
        with translated(self._shown):
            return int(self._table().num_bytes)


def _arrow(serialized: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(serialized))


def _batches(client: Any, stream: str, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for message in messages(client, stream):
        data = message.arrow_record_batch.serialized_record_batch
        batch = pa.ipc.read_record_batch(pa.py_buffer(data), schema)
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            yield batch.slice(start, _BATCH_ROWS)


def _invalid(message: str, hint: str) -> ConnectorError:
    return ConnectorError(message, code="source.invalid_uri", hint=hint)
