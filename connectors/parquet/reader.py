"""The Parquet connector: read by row groups, every type as contract 1.5 has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.arrow_types import Mapping, map_field
from connectors.base import Access, Capabilities, Connector, Listing, Preview, Snapshot, Split, narrowed
from connectors.errors import SourceDataError
from connectors.files import StoredFile
from connectors.many import over
from connectors.previews import files_of, first_of
from recipe import FileAddress, FilterCondition, ParquetSource, S3Source, Schema

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class ParquetConnector(Connector):
    """One Parquet file."""

    capabilities: ClassVar[Capabilities] = Capabilities(in_place_parquet=True, splits=True, exact_count=True)

    file: StoredFile

    @classmethod
    def from_source(cls, source: ParquetSource | S3Source, access: Access) -> Connector:
        return over(address_of(source, FileAddress), access, cls)

    @property
    def masked_uri(self) -> str:
        return self.file.shown

    def schema(self) -> Schema:
        return tuple(mapping.column for mapping in self._mappings())

    def arrow_schema(self) -> pa.Schema:
        return _arrow_schema(self._mappings())

    def open_snapshot(self, beside: Snapshot | None = None) -> AbstractContextManager[Snapshot]:
        return self.file.held()

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Runs of whole row groups with about equally many rows."""
        with self._opened(self.file.at(snapshot)) as file:
            rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        borders = _borders(rows, max(desired, 1))
        return [
            Split(index, {"first": first, "after": after}) for index, (first, after) in enumerate(pairwise(borders))
        ]

    def read(
        self,
        snapshot: Snapshot,
        split: Split,
        filters: Sequence[FilterCondition] = (),
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        with self._opened(self.file.at(snapshot)) as file:
            mappings = self._map(file)
            check = BatchFilter.of(filters, tuple(m.column for m in mappings), None)
            needed = None if columns is None else {*columns, *(f.column for f in filters)}
            wanted = [m for m in mappings if needed is None or m.column.name in needed]
            schema = _arrow_schema(wanted)
            for group in range(split.payload["first"], split.payload["after"]):
                for batch in _group_batches(file, group, None if needed is None else wanted):
                    cells = [m.apply(cells) for m, cells in zip(wanted, batch.columns, strict=True)]
                    kept = check(_batch(cells, schema, batch.num_rows))
                    if kept.num_rows:
                        yield narrowed(kept, columns)

    def count(self, filters: Sequence[FilterCondition] = ()) -> int:
        if filters:
            return self.scan_count(filters)
        with self._opened(self.file) as file:
            return int(file.metadata.num_rows)

    def preview(self, limit: int, filters: Sequence[FilterCondition] = ()) -> Preview:
        return first_of(self.schema(), self.scan(filters), limit, lambda: self.count(filters))

    def estimated_rows(self) -> int:
        return self.count()

    def estimated_bytes(self) -> int:
        return int(self.file.identity()["size"])

    def in_place_path(self) -> str | None:
        """The path when every column is of a type that the engine reads to the same values without
        conversion."""
        plain = all(mapping.plain for mapping in self._mappings())
        return self.file.local_path if plain else None

    def listed(self, limit: int) -> Listing:
        return files_of(self.file.neighbours(), limit)

    def content_hash(self) -> str | None:
        """SHA-256 of a local file, as hex; reads it once."""
        return self.file.content_hash()

    def _mappings(self) -> list[Mapping]:
        with self._opened(self.file) as file:
            return self._map(file)

    def _map(self, file: pq.ParquetFile) -> list[Mapping]:
        schema = file.schema_arrow
        repeated = [name for name, count in Counter(schema.names).items() if count > 1]
        if repeated:
            raise SourceDataError(
                f"{self.file.shown} has the column name {repeated[0]!r} more than once.",
                code="source.repeated_column",
                hint="Give each column a name of its own.",
            )
        return [map_field(field) for field in schema]

    @contextmanager
    def _opened(self, stored: StoredFile) -> Iterator[pq.ParquetFile]:
        with stored.open() as raw:
            try:
                # Where each read is a request, Arrow plans a row group's and fetches neighbours together.
                with pq.ParquetFile(raw, pre_buffer=stored.local_path is None) as file:
                    yield file
            except (pa.ArrowException, OSError) as error:
                raise SourceDataError(
                    f"{self.file.shown} is not a readable Parquet file.",
                    hint="It may be cut off, damaged, encrypted or of another format; write it again.",
                ) from error


def _group_batches(file: pq.ParquetFile, group: int, wanted: list[Mapping] | None) -> Iterator[pa.RecordBatch]:
    """The rows of one row group: with one at a time, what was fetched ahead of time is held for no longer."""
    names = None if wanted is None else [m.column.name for m in wanted]
    found = file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names, use_threads=False)
    for batch in found:
        yield batch if names is None else batch.select(names)


def _batch(cells: list[pa.Array], schema: pa.Schema, rows: int) -> pa.RecordBatch:
    if cells:
        return pa.RecordBatch.from_arrays(cells, schema=schema)
    return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))


def _arrow_schema(mappings: Sequence[Mapping]) -> pa.Schema:
    return pa.schema([pa.field(m.column.name, m.arrow) for m in mappings])


def _borders(rows: Sequence[int], parts: int) -> list[int]:
    """Row group numbers at which parts begin, and the number of groups; strictly ascending unless there are
    none."""
    total, seen, borders = sum(rows), 0, [0]
    for group, count in enumerate(rows[:-1], start=1):
        seen += count
        if seen * parts >= len(borders) * total and len(borders) < parts:
            borders.append(group)
    return [*borders, len(rows)]
