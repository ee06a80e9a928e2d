"""The connector for indexes, aliases, data streams and patterns of Elasticsearch and OpenSearch.

All splits of a run read one point in time. Documents come in the order of their sequence numbers, which the index gave
them when they were written, those of several shards side by side. A split is a range of these numbers, and so is a
page: the products' own slices put documents into another order for another number of slices. ``_source`` is always
fetched whole, since a server that cuts it down writes its numbers anew, and not digit for digit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import filter_batch
from connectors.base import Access, Capabilities, Connector, Entry, Listing, Preview, Snapshot, Split, narrowed
from connectors.elasticsearch.cells import batch_of
from connectors.elasticsearch.client import Client, client, index_path
from connectors.elasticsearch.errors import AnswerTooLarge, missing
from connectors.elasticsearch.fields import Fields, arrow_schema, fields_of
from connectors.elasticsearch.place import Place, place_of
from connectors.elasticsearch.product import close_pit, open_pit, recognised, resolved, search
from connectors.elasticsearch.pushdown import queries
from connectors.errors import ConnectorError
from connectors.previews import cell_rows
from recipe import ElasticsearchAddress, FilterCondition, Schema, mask_uri, sibling_uri

Filters = Sequence[FilterCondition]
_ORDER = "_seq_no"
_FIRST_PAGE, _LARGEST_PAGE = 32, 10_000  # documents; an index gives no more than the latter at once
_PAGE_BYTES = 8 * 1024 * 1024
_DATE_FORMAT = "strict_date_optional_time_nanos"


class ElasticsearchConnector(Connector):
    """One index expression of a server (Elasticsearch 7.10 or OpenSearch 2.4 and newer), read-only."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True, filter_pushdown=True, exact_count=True)

    def __init__(self, place: Place, masked_uri: str) -> None:
        self._place = place
        self._masked_uri = masked_uri
        self._mappings: Mapping[str, Any] | None = None  # as the last snapshot found them

    @classmethod
    def from_source(cls, source: Any, access: Access) -> ElasticsearchConnector:
        address = address_of(source, ElasticsearchAddress)
        return cls(place_of(address, access), mask_uri(source.uri))

    def __repr__(self) -> str:
        return f"ElasticsearchConnector({self._masked_uri!r})"

    @property
    def masked_uri(self) -> str:
        return self._masked_uri

    def schema(self) -> Schema:
        """Of the mapping under the last snapshot that this connector opened, else of now."""
        return tuple(one.column for one in self._fields())

    def arrow_schema(self) -> pa.Schema:
        return arrow_schema(self._fields())

    def _fields(self) -> Fields:
        if self._mappings is not None:
            return fields_of(self._place, self._mappings)
        with client(self._place) as server:
            return fields_of(self._place, self._mapping(server))

    def _mapping(self, server: Client) -> dict[str, Any]:
        """For each index its ``mappings`` and those ``settings`` that say how it maps."""
        recognised(server, self._place)
        found, _ = server.call("GET", index_path(self._place, "_mapping"), allow_no_indices="false")
        if not found:
            raise missing(self._place)
        settings, _ = server.call(
            "GET", index_path(self._place, "_settings/index.mapping.*"), allow_no_indices="false", flat_settings="true"
        )
        return {index: {**body, **settings.get(index, {})} for index, body in found.items()}

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        """A point in time, given back at the end. ``beside`` is ignored: each index has its own."""
        with client(self._place) as server:
            found = recognised(server, self._place)
            pit = open_pit(server, self._place, found.product)
            try:
                # Afterwards, so that it has every field of the documents that are seen.
                mappings = self._mapping(server)
                fields_of(self._place, mappings)
                live = {"pit": pit, "mappings": mappings, **self._extent(server, pit)}
                identity = {
                    "product": found.product.name,
                    "version": found.version,
                    "cluster": found.cluster,
                    "index": self._place.index,
                    "indexes": len(mappings),
                    "documents": live["documents"],
                    "max_seq_no": live["last"],
                }
                self._mappings = mappings
                yield Snapshot(identity, live)
            finally:
                # What has been read is whole by now, and a point in time that stays behind ends by itself.
                with contextlib.suppress(ConnectorError):
                    close_pit(server, found.product, pit)

    def _extent(self, server: Client, pit: str) -> dict[str, Any]:
        """How many documents there are, over which sequence numbers (-1 for none), in how many shards."""
        ends = {"first": {"min": {"field": _ORDER}}, "last": {"max": {"field": _ORDER}}}
        answer, _ = search(server, self._place, pit, {"size": 0, "track_total_hits": True, "aggs": ends})
        values = {name: answer.get("aggregations", {}).get(name, {}).get("value") for name in ends}
        return {
            "documents": int(answer["hits"]["total"]["value"]),
            "shards": int(answer["_shards"]["total"]),
            **{name: -1 if value is None else int(float(value)) for name, value in values.items()},
        }

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Ranges of sequence numbers, equally wide."""
        first, stop = snapshot.live["first"], snapshot.live["last"] + 1
        count = max(min(desired, stop - first), 1)
        ends = [first + (stop - first) * i // count for i in range(count + 1)]
        return [Split(i, {"start": ends[i], "stop": ends[i + 1]}) for i in range(count)]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Filters = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """A batch for each page of about 8 MiB, of at most 10,000 rows."""
        return self._read(snapshot, split, filters, columns)

    def _read(
        self,
        snapshot: Snapshot,
        split: Split,
        filters: Filters,
        columns: Sequence[str] | None,
        first_page: int | None = None,
    ) -> Iterator[pa.RecordBatch]:
        fields = fields_of(self._place, snapshot.live["mappings"])
        asked = queries(filters, fields)
        if columns is not None:
            needed = {*columns, *(f.column for f in filters)}
            fields = tuple(one for one in fields if one.name in needed)
        schema = tuple(one.column for one in fields)
        for hits in self._pages(snapshot, split, asked, fields, first_page):
            batch = batch_of(self._place, fields, hits)
            yield narrowed(filter_batch(batch, filters, schema) if filters else batch, columns)

    def _pages(
        self, snapshot: Snapshot, split: Split, asked: Sequence[Any], fields: Fields, first_page: int | None
    ) -> Iterator[list[dict[str, Any]]]:
        start, stop = split.payload["start"], split.payload["stop"]
        # One document of each shard may have the same number: a page must hold more of them than that.
        least = snapshot.live["shards"] + 1
        size = max(first_page or _FIRST_PAGE, least)
        body: dict[str, Any] = {"sort": [{_ORDER: "asc"}], "track_total_hits": False}
        body["docvalue_fields"] = [{"field": f.name, "format": _DATE_FORMAT} for f in fields if f.is_time]
        with client(self._place) as server:
            while start < stop:
                numbers = {"range": {_ORDER: {"gte": start, "lt": stop}}}
                query = {"bool": {"filter": [numbers, *asked]}}
                asking = {**body, "size": size, "query": query}
                try:
                    answer, received = search(server, self._place, snapshot.live["pit"], asking)
                except AnswerTooLarge:
                    if size <= least:
                        raise
                    size = max(size // 2, least)
                    continue
                start, hits = _cut_at_a_number(answer["hits"]["hits"], size, stop)
                if hits:
                    _check_documents(self._place, hits)
                    yield hits
                    fitting = int(len(hits) * _PAGE_BYTES / max(received, 1))
                    size = max(min(fitting, 4 * size, _LARGEST_PAGE), least)
                elif start < stop:  # a page full of one number, of which there may be more
                    size = least = self._larger(size)

    def _larger(self, size: int) -> int:
        """The next size of a page that was too small for one number; indexes that were shrunk have documents with equal
        ones in a shard. Raises ConnectorError."""
        if size >= _LARGEST_PAGE:
            raise ConnectorError(
                f"The index {self._place.shown} has {size:,} documents or more with one sequence number.",
                hint="Copy it into a new index (_reindex), which numbers its documents anew, and name that one.",
            )
        return min(2 * size, _LARGEST_PAGE)

    def count(self, filters: Filters = ()) -> int:
        with self.open_snapshot() as snapshot:
            if not filters:
                return int(snapshot.identity["documents"])
            (split,) = self.plan_splits(snapshot, 1)
            return sum(batch.num_rows for batch in self.read(snapshot, split, filters, ()))

    def preview(self, limit: int, filters: Filters = ()) -> Preview:
        with self.open_snapshot() as snapshot:
            (split,) = self.plan_splits(snapshot, 1)
            rows: list[list[str | None]] = []
            total = 0
            for batch in self._read(snapshot, split, filters, None, max(limit, 1)):
                rows += cell_rows(batch.slice(0, limit - len(rows)))
                total += batch.num_rows
                if not filters and len(rows) >= limit:
                    break
            return Preview(self.schema(), rows, total if filters else snapshot.identity["documents"])

    def listed(self, limit: int) -> Listing:
        """Indexes, aliases and data streams without those that begin with a dot."""
        with client(self._place) as server:
            recognised(server, self._place)
            found, _ = server.call("GET", "/_resolve/index/*", expand_wildcards="open")
        shown = (one for one in resolved(self._place, found) if not one[0].startswith("."))
        return Listing.of((Entry(name, kind, sibling_uri(self._masked_uri, name)) for name, kind in shown), limit)

    def estimated_rows(self) -> int | None:
        """Exact: the index knows it."""
        return self.count()

    def declared_key(self) -> tuple[str, ...]:
        """The column of the documents' ids, where the address names one and there is one index: two indexes may use one
        id."""
        fields = self._fields()
        with client(self._place) as server:
            alone = len(self._mapping(server)) == 1
        return (fields[0].name,) if self._place.id_column is not None and alone else ()


def _cut_at_a_number(hits: list[dict[str, Any]], size: int, stop: int) -> tuple[int, list[dict[str, Any]]]:
    """Where the next page starts, and the hits before that. Of a full page the last number is left to the next one,
    which has all documents with that number; a page that is not full was the last."""
    if len(hits) < size:
        return stop, hits
    last = int(hits[-1]["sort"][0])
    return last, [hit for hit in hits if int(hit["sort"][0]) < last]


def _check_documents(place: Place, hits: Sequence[Mapping[str, Any]]) -> None:
    if any("_source" not in hit for hit in hits):
        raise ConnectorError(
            f"The index {place.shown} gives no documents (_source is missing).",
            hint="Name an index that keeps them, and a user that may read all fields.",
        )
