"""The CSV connector: every cell is text as written, an empty one NULL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from connectors.addresses import address_of
from connectors.arrow_filters import BatchFilter
from connectors.base import Access, Capabilities, Connector, Listing, Preview, Snapshot, Split, narrowed
from connectors.csv.blocks import record_blocks, record_borders
from connectors.csv.layout import Layout, read_layout, sample_width, sniff
from connectors.csv.parse import BlockParser, Parsed, text_schema
from connectors.files import StoredFile
from connectors.local_files import LocalFile
from connectors.many import over
from connectors.previews import files_of, preview_of
from recipe import (
    Column,
    CsvFormat,
    CsvSource,
    CsvUploadSource,
    FileAddress,
    FilterCondition,
    Kind,
    Ragged,
    S3Source,
    Schema,
)

_BATCH_ROWS = 1 << 16
_COUNTERS = 2  # threads that count a file
_LEAST_RANGE = 8 << 20  # bytes that are worth a thread
_RAGGED = b"kalla.ragged_rows"  # metadata of a batch: a bit for each row


@dataclass(frozen=True)
class CsvConnector(Connector):
    """One CSV file. ``format`` None, or its members left None, are found from the file's beginning."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True)

    file: StoredFile
    format: CsvFormat | None = None

    @classmethod
    def from_source(cls, source: CsvSource | CsvUploadSource | S3Source, access: Access) -> Connector:
        return over(address_of(source, FileAddress), access, lambda file: cls(file, source.format))

    @property
    def masked_uri(self) -> str:
        return self.file.shown

    def schema(self) -> Schema:
        return _schema(self._layout().names)

    def arrow_schema(self) -> pa.Schema:
        return text_schema(self._layout().names)

    def open_snapshot(self, beside: Snapshot | None = None) -> AbstractContextManager[Snapshot]:
        return self.file.held()

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        file = self.file.at(snapshot)
        layout = read_layout(file, self.format)
        stream = layout.stream(file)
        borders: list[int | None] = [layout.data_start]
        if desired > 1 and stream.splittable:
            size = int(snapshot.identity["size"])
            step = (size - layout.data_start) / desired
            targets = [layout.data_start + int(step * part) for part in range(1, desired)]
            found = record_borders(stream, layout.delimiter, layout.data_start, targets)
            borders += [place for place in found if place < size]
        ranges = zip(borders, [*borders[1:], None], strict=True)
        return [
            Split(index, {"start": start, "end": end, "layout": layout.as_payload()})
            for index, (start, end) in enumerate(ranges)
        ]

    def read(
        self,
        snapshot: Snapshot,
        split: Split,
        filters: Sequence[FilterCondition] = (),
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        layout = Layout.from_payload(split.payload["layout"])
        stream = layout.stream(self.file.at(snapshot))
        keep = BatchFilter.of(filters, _schema(layout.names), self.format)
        parser = BlockParser(stream, layout, self.keeps_ragged)
        for block in record_blocks(stream, layout.delimiter, split.payload["start"], split.payload["end"]):
            for parsed in parser.parse(block):
                rows, ragged = _kept(parsed, keep)
                yield from _batches(narrowed(rows, columns), ragged)

    def count(self, filters: Sequence[FilterCondition] = ()) -> int:
        return self.preview(0, filters).total_rows

    def preview(self, limit: int, filters: Sequence[FilterCondition] = ()) -> Preview:
        """Counting reads all of the file: ranges of a long one beside each other, where looking for their border takes
        no request to a store."""
        columns = self.schema()
        with self.open_snapshot() as snapshot:
            ranges = int(snapshot.identity["size"]) // _LEAST_RANGE if self.file.local_path is not None else 1
            splits = self.plan_splits(snapshot, max(1, min(_COUNTERS, ranges)))

            def counted(split: Split) -> Preview:
                return preview_of(columns, self.read(snapshot, split, filters), limit)

            if len(splits) == 1:
                return counted(splits[0])
            with ThreadPoolExecutor(_COUNTERS) as pool:
                parts = list(pool.map(counted, splits))
        rows = [row for part in parts for row in part.rows]
        return Preview(columns, rows[:limit], sum(part.total_rows for part in parts))

    def estimated_rows(self) -> int | None:
        """The rows that the file would have if all were as long as those of the sample; None for a packed
        file."""
        file = self.file.pinned()
        layout = read_layout(file, self.format)
        rows, taken = sample_width(file, self.format)
        if layout.gzip:
            return None
        return round((file.identity()["size"] - layout.data_start) * rows / taken) if taken else 0

    def estimated_bytes(self) -> int:
        return int(self.file.identity()["size"])

    def listed(self, limit: int) -> Listing:
        return files_of(self.file.neighbours(), limit)

    def content_hash(self) -> str | None:
        """SHA-256 of a local file, as hex; reads it once."""
        return self.file.content_hash()

    def _layout(self) -> Layout:
        return read_layout(self.file, self.format)

    @property
    def keeps_ragged(self) -> bool:
        return self.format is not None and self.format.ragged is Ragged.KEEP


def _schema(names: Sequence[str]) -> Schema:
    return tuple(Column(name, Kind.TEXT, native="text") for name in names)


def _kept(parsed: Parsed, keep: BatchFilter) -> tuple[pa.RecordBatch, np.ndarray | None]:
    """The rows that pass, and which of them were ragged; None for none."""
    if parsed.ragged is None:
        return keep(parsed.batch), None
    columns, names = parsed.batch.columns, parsed.batch.schema.names
    found = keep(pa.RecordBatch.from_arrays([*columns, parsed.ragged], [*names, ""]))
    return found.select(range(len(names))), found.column(len(names)).to_numpy(zero_copy_only=False)


def _batches(rows: pa.RecordBatch, ragged: np.ndarray | None) -> Iterator[pa.RecordBatch]:
    """Slices of bounded length, each with the marks of its rows."""
    for start in range(0, rows.num_rows, _BATCH_ROWS):
        part = rows.slice(start, _BATCH_ROWS)
        if ragged is not None:
            bits = np.packbits(ragged[start : start + _BATCH_ROWS])
            part = part.replace_schema_metadata({_RAGGED: bits.tobytes()})
        yield part


def ragged_rows(batch: pa.RecordBatch) -> np.ndarray:
    """For each row of a batch that a source gave, whether it had too few or too many cells (format.ragged "keep")."""
    metadata: dict[bytes, bytes] = batch.schema.metadata or {}
    if _RAGGED not in metadata:
        return np.zeros(batch.num_rows, bool)
    return np.unpackbits(np.frombuffer(metadata[_RAGGED], np.uint8), count=batch.num_rows).astype(bool)


def sniff_format(path: str | os.PathLike[str] | StoredFile) -> CsvFormat:
    """The whole format of a CSV file, from its beginning; see docs/connectors.md for the rules.

    Raises ConnectorError.
    """
    return sniff(path if isinstance(path, StoredFile) else LocalFile(os.path.abspath(os.fspath(path))))
