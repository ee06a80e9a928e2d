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

from connectors.arrow_filters import BatchFilter
from connectors.arrow_types import Mapping, map_field
from connectors.base import Access, Capabilities, Connector, Preview, Snapshot, Split
from connectors.errors import SourceDataError
from connectors.local_files import StoredFile, file_of
from connectors.previews import cell_rows
from recipe import FilterCondition, ParquetSource, Schema

_BATCH_ROWS = 1 << 16


@dataclass(frozen=True)
class ParquetConnector(Connector):
    """One Parquet file."""

    capabilities: ClassVar[Capabilities] = Capabilities(in_place_parquet=True, splits=True, exact_count=True)

    file: StoredFile

    @classmethod
    def from_source(cls, source: ParquetSource, access: Access) -> ParquetConnector:
        return cls(file_of(source, access))

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
        with self._opened() as file:
            rows = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        borders = _borders(rows, max(desired, 1))
        return [
            Split(index, {"first": first, "after": after}) for index, (first, after) in enumerate(pairwise(borders))
        ]

    def read(
        self, snapshot: Snapshot, split: Split, filters: Sequence[FilterCondition] = ()
    ) -> Iterator[pa.RecordBatch]:
        self.file.check(snapshot)
        with self._opened() as file:
            mappings = self._map(file)
            schema = _arrow_schema(mappings)
            keep = BatchFilter.of(filters, tuple(m.column for m in mappings), None)
            groups = list(range(split.payload["first"], split.payload["after"]))
            for batch in file.iter_batches(_BATCH_ROWS, row_groups=groups, use_threads=False) if groups else ():
                cells = [m.apply(cells) for m, cells in zip(mappings, batch.columns, strict=True)]
                kept = keep(pa.RecordBatch.from_arrays(cells, schema=schema))
                if kept.num_rows:
                    yield kept

    def count(self, filters: Sequence[FilterCondition] = ()) -> int:
        if filters:
            return sum(batch.num_rows for batch in self._all(filters))
        with self._opened() as file:
            return int(file.metadata.num_rows)

    def preview(self, limit: int, filters: Sequence[FilterCondition] = ()) -> Preview:
        rows: list[list[str | None]] = []
        for batch in self._all(filters):
            if len(rows) >= limit:
                break
            rows += cell_rows(batch.slice(0, limit - len(rows)))
        return Preview(self.schema(), rows, self.count(filters))

    def estimated_rows(self) -> int:
        return self.count()

    def estimated_bytes(self) -> int:
        return int(self.file.identity()["size"])

    def in_place_path(self) -> str | None:
        """The path when every column is of a type that the engine reads to the same values without
        conversion."""
        plain = all(mapping.plain for mapping in self._mappings())
        return self.file.local_path if plain else None

    def content_hash(self) -> str:
        """SHA-256 of the file, as hex; reads it once."""
        return self.file.sha256()

    def _all(self, filters: Sequence[FilterCondition]) -> Iterator[pa.RecordBatch]:
        with self.open_snapshot() as snapshot:
            for split in self.plan_splits(snapshot, 1):
                yield from self.read(snapshot, split, filters)

    def _mappings(self) -> list[Mapping]:
        with self._opened() as file:
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
    def _opened(self) -> Iterator[pq.ParquetFile]:
        with self.file.open() as raw:
            try:
                with pq.ParquetFile(raw) as file:
                    yield file
            except (pa.ArrowException, OSError) as error:
                raise SourceDataError(
                    f"{self.file.shown} is not a readable Parquet file.",
                    hint="It may be cut off, damaged, encrypted or of another format; write it again.",
                ) from error


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
