"""The beginning of a CSV: encoding, delimiter and header."""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from connectors.csv import problems
from connectors.csv.records import MalformedRecord, Record, line_ends, records
from connectors.csv.sniff import MAX_RECORDS, sample_records, sniff_delimiter, sniff_values
from connectors.csv.stream import GZIP_MAGIC, CsvStream
from connectors.local_files import StoredFile
from recipe import CsvFormat

SAMPLE = 1 << 16
MAX_HEADER = 1 << 24
_SINGLE_BYTE = "windows-1252"  # what programs of Windows write that do not write UTF-8


@dataclass(frozen=True)
class Layout:
    """How to read one file. ``data_start`` is where its records begin, after the header, in the stream."""

    gzip: bool
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    data_start: int

    def stream(self, file: StoredFile) -> CsvStream:
        return CsvStream(file, self.gzip, self.encoding)

    def as_payload(self) -> dict[str, Any]:
        """Plain values, for a split."""
        return asdict(self) | {"names": list(self.names)}

    @classmethod
    def from_payload(cls, payload: dict[str, Any]) -> Layout:
        return cls(**(payload | {"names": tuple(payload["names"])}))


@dataclass(frozen=True)
class _Head:
    """The first bytes of the stream; ``complete`` when they are the whole of it."""

    stream: CsvStream
    data: bytes
    complete: bool
    mark: int  # length of a byte-order mark still in front


def read_layout(file: StoredFile, given: CsvFormat | None) -> Layout:
    """Look at the file's beginning; what ``given`` leaves open is found there. Raises ConnectorError."""
    layout, _ = _layout_and_head(file, given or CsvFormat())
    return layout


def sniff(file: StoredFile) -> CsvFormat:
    """Every member of the format, from the file's first ``SAMPLE`` bytes (more for a longer header)."""
    layout, head = _layout_and_head(file, CsvFormat())
    body = head.data[layout.data_start :]
    return sniff_values(_cells(body, layout, head.complete), layout.delimiter, layout.encoding)


def sample_width(file: StoredFile, given: CsvFormat | None) -> tuple[int, int]:
    """(records, bytes they take) in the sample after the header; for estimates."""
    layout, head = _layout_and_head(file, given or CsvFormat())
    found = sample_records(head.data[layout.data_start :], layout.delimiter, head.complete)
    return len(found), found[-1].end if found else 0


def _layout_and_head(file: StoredFile, given: CsvFormat) -> tuple[Layout, _Head]:
    size = SAMPLE
    while True:
        head = _read_head(file, given, size)
        body = head.data[head.mark :]
        delimiter = given.delimiter or sniff_delimiter(body, head.complete)
        header = _first_record(head, delimiter)
        if header is not None:
            break
        if size >= MAX_HEADER:
            raise problems.too_long(file.shown, 1, MAX_HEADER)
        size *= 4
    line = line_ends(head.data[: header.start]) + 1
    names = _names(header, head, line)
    stream = head.stream
    return Layout(stream.gzip, stream.encoding, delimiter, names, header.end), head


def _read_head(file: StoredFile, given: CsvFormat, size: int) -> _Head:
    raw = _raw_head(file, size)
    packed = raw.startswith(GZIP_MAGIC)
    if not packed and file.shown.lower().endswith(".gz"):
        raise problems.empty(file.shown) if not raw else problems.bad_gzip(file.shown)
    start = _inflated(raw) if packed else raw
    encoding = given.encoding or ("utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8")
    stream = CsvStream(file, packed, encoding)
    with stream.open_at(0) as reader:
        data = reader.read(size)
        complete = not reader.read(1)
    if b"\0" in data:
        place = data.index(b"\0")
        raise problems.nul(file.shown, line_ends(data[:place]) + 1, place)
    if not given.encoding and encoding == "utf-8" and not _is_utf8(data, complete):
        return _read_head(file, given.model_copy(update={"encoding": _SINGLE_BYTE}), size)
    mark = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) and encoding != "utf-16" else 0
    return _Head(stream, data, complete, mark)


def _is_utf8(data: bytes, complete: bool) -> bool:
    """Whether a sample is UTF-8; a letter that its end cuts does not count."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data, final=complete)
    except UnicodeDecodeError:
        return False
    return True


def _raw_head(file: StoredFile, size: int) -> bytes:
    with file.open() as raw:
        return bytes(raw.read(size))


def _inflated(raw: bytes) -> bytes:
    """The first few bytes inside a gzip file, for its byte-order mark; b"" when they cannot be had."""
    try:
        return zlib.decompressobj(wbits=31).decompress(raw, 4)
    except zlib.error:
        return b""  # reading the stream reports the damage


def _first_record(head: _Head, delimiter: str) -> Record | None:
    """The header; None when the sample is too short to hold it. Raises ConnectorError."""
    try:
        first = next(records(head.data, delimiter.encode(), head.mark), None)
    except MalformedRecord as error:
        if error.unclosed and not head.complete:
            return None
        line = line_ends(head.data[: error.offset]) + 1
        raise (problems.unclosed if error.unclosed else problems.text_after_quote)(
            head.stream.file.shown, line
        ) from error
    if first is None and head.complete:
        raise problems.empty(head.stream.file.shown)
    if first is None or (first.end == len(head.data) and not head.complete):
        return None
    return first


def _names(header: Record, head: _Head, line: int) -> tuple[str, ...]:
    """Column names without outer blanks; a blank one becomes column_<n>. Raises ConnectorError for a repeated
    name."""
    shown, encoding = head.stream.file.shown, ascii_compatible(head.stream.encoding)
    names: dict[str, None] = {}
    for place, field in enumerate(header.fields, start=1):
        try:
            name = field.decode(encoding).strip() or f"column_{place}"
        except UnicodeDecodeError as error:
            raise problems.not_text(shown, line, header.start, encoding) from error
        if name in names:
            raise problems.repeated_header(shown, line, name)
        names[name] = None
    return tuple(names)


def ascii_compatible(encoding: str) -> str:
    """The encoding of the stream's bytes: UTF-16 has already become UTF-8 there."""
    return "utf-8" if encoding == "utf-16" else encoding


def _cells(body: bytes, layout: Layout, complete: bool) -> Iterator[str]:
    encoding = ascii_compatible(layout.encoding)
    for record in sample_records(body, layout.delimiter, complete)[:MAX_RECORDS]:
        for field in record.fields:
            if len(field) <= 64:  # no number or date is longer
                yield field.decode(encoding, "replace")
