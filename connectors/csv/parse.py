"""Blocks of whole CSV records -> Arrow batches of text."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv as pacsv

from connectors.csv import problems
from connectors.csv.blocks import Block
from connectors.csv.layout import Layout, ascii_compatible
from connectors.csv.quotes import State, as_array, last_record_end, scan
from connectors.csv.records import records
from connectors.csv.stream import CsvStream
from connectors.errors import ConnectorError

_CLOSE_LOOK = 1 << 16  # blocks up to this size are read record by record when one of them is ragged


@dataclass(frozen=True)
class Parsed:
    """A batch and which of its rows were ragged: a boolean each, None where none was."""

    batch: pa.RecordBatch
    ragged: pa.BooleanArray | None = None


class BlockParser:
    """Turns blocks of one file into batches; an empty field, quoted or not, is NULL."""

    def __init__(self, stream: CsvStream, layout: Layout, keep_ragged: bool) -> None:
        self._stream = stream
        self._layout = layout
        self._keep = keep_ragged
        self._width = len(layout.names)
        self._mark = layout.delimiter.encode()
        self.schema = text_schema(layout.names)

    def parse(self, block: Block) -> list[Parsed]:
        """The block's rows in order. Raises SourceDataError."""
        data = self._as_utf8(block)
        try:
            return [Parsed(self._fast(data, block.quoted))]
        except pa.ArrowInvalid as error:
            problem = self._problem(block, bytes(data))
            if problem is not None:
                raise problem from error
        return self._keep_ragged(bytes(data), block.quoted)

    def _as_utf8(self, block: Block) -> bytes | memoryview:
        encoding = ascii_compatible(self._layout.encoding)
        if encoding == "utf-8":
            return block.data  # Arrow checks it
        try:
            return str(block.data, encoding).encode()
        except UnicodeDecodeError as error:
            raise self._not_text(block, error) from error

    def _fast(self, data: bytes | memoryview, quoted: bool) -> pa.RecordBatch:
        if data[0] in b"\r\n" and not bytes(data).strip(b"\r\n"):
            return _empty(self.schema)  # Arrow takes blank lines alone for a missing file
        if data[:3] == codecs.BOM_UTF8:
            data = codecs.BOM_UTF8 + bytes(data)  # Arrow drops one from the start of what it is given, here a cell's
        table = pacsv.read_csv(
            pa.BufferReader(pa.py_buffer(data)),
            read_options=pacsv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self.schema.names),
            parse_options=pacsv.ParseOptions(delimiter=self._layout.delimiter, newlines_in_values=quoted),
            convert_options=pacsv.ConvertOptions(column_types=self.schema, strings_can_be_null=True, null_values=[""]),
        )
        batches = table.combine_chunks().to_batches()
        return batches[0] if batches else _empty(self.schema)

    def _problem(self, block: Block, data: bytes) -> ConnectorError | None:
        """What Arrow refused, with its line; None when it is raggedness that the format allows."""
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return self._not_text(block, error)
        shown = self._stream.file.shown
        for record in records(data, self._mark):
            if len(record.fields) != self._width:
                if self._keep:
                    return None
                line = self._stream.line_at(block.offset + self._raw_length(data[: record.start]))
                return problems.ragged(shown, line, self._width, len(record.fields))
        return problems.not_parsed(shown, self._stream.line_at(block.offset))

    def _raw_length(self, data: bytes) -> int:
        """The length of UTF-8 bytes in the stream's own encoding."""
        return len(data.decode().encode(ascii_compatible(self._layout.encoding)))

    def _not_text(self, block: Block, error: UnicodeDecodeError) -> ConnectorError:
        place = block.offset + error.start
        return problems.not_text(self._stream.file.shown, self._stream.line_at(place), place, self._layout.encoding)

    def _keep_ragged(self, data: bytes, quoted: bool) -> list[Parsed]:
        """Halve the data until only the ragged neighbourhood is read record by record."""
        if len(data) > _CLOSE_LOOK:
            half = data[: len(data) // 2]
            quotes = scan(as_array(half), State(), ord(self._mark)).quotes
            cut = last_record_end(half, len(half), quotes)
            if cut:
                return self._keep_half(data[:cut], quoted) + self._keep_half(data[cut:], quoted)
        return [self._close_look(data)]

    def _keep_half(self, data: bytes, quoted: bool) -> list[Parsed]:
        try:
            return [Parsed(self._fast(data, quoted))]
        except pa.ArrowInvalid:
            return self._keep_ragged(data, quoted)

    def _close_look(self, data: bytes) -> Parsed:
        rows = [record.fields for record in records(data, self._mark)]
        ragged = pa.array([len(row) != self._width for row in rows], pa.bool_())
        padding = (b"",) * self._width
        cells = zip(*((row + padding)[: self._width] for row in rows), strict=True)
        arrays = [pa.array([cell.decode() or None for cell in column], pa.string()) for column in cells]
        return Parsed(pa.RecordBatch.from_arrays(arrays, schema=self.schema), ragged)


def text_schema(names: tuple[str, ...]) -> pa.Schema:
    """Every column as text."""
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
