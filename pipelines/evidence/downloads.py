"""A set as one file that is sent while it is made: memory stays bounded however many rows it has."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from pipelines.errors import FULL, EvidenceError
from pipelines.evidence.exports import check_format, csv_blocks, row_group_tables
from pipelines.evidence.reader import Evidence, open_part
from pipelines.evidence.workbook import write_set_workbook

MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Download:
    """A file's suffix, media type and content in blocks; ``size`` where it is known before."""

    suffix: str
    media_type: str
    chunks: Iterator[bytes]
    size: int | None = None


def stream(evidence: Evidence, set_name: str, format_name: str) -> Download:
    """One set as a file, with the same content as ``export`` gives.

    What can be checked is checked here; a part that turns out damaged later breaks the stream off with EvidenceError.
    A workbook is made whole first, in a temporary file that is gone as soon as the stream is.

    Raises EvidenceError ``evidence.unknown_set``, ``evidence.unknown_format``, ``evidence.too_many_rows``,
    ``evidence.too_many_columns``, ``evidence.cell_too_long``, ``evidence.no_space``, ``evidence.part_missing``,
    ``evidence.part_unreadable``.
    """
    parts = evidence.parts(set_name)
    check_format(format_name)
    for part in parts:
        with open_part(part):  # a missing part is said now, not in the middle of the file
            pass
    media = MEDIA_TYPES[format_name]
    if format_name == "csv":
        return Download("csv", media, csv_blocks(evidence, set_name))
    if format_name == "xlsx":
        return _held("xlsx", media, _workbook(evidence, set_name))
    if len(parts) == 1:
        return _held("parquet", media, parts[0].path.open("rb"))
    return Download("parquet", media, _parquet_chunks(evidence, set_name))


def _held(suffix: str, media: str, file: BinaryIO) -> Download:
    return Download(suffix, media, _Blocks(file), os.fstat(file.fileno()).st_size)


class _Blocks(Iterator[bytes]):
    """The blocks of an open file. Closing closes it, also when nothing was ever read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __next__(self) -> bytes:
        block = b"" if self._file.closed else self._file.read(_BLOCK)
        if not block:
            self.close()
            raise StopIteration
        return block

    def close(self) -> None:
        self._file.close()


def _workbook(evidence: Evidence, set_name: str) -> BinaryIO:
    """An open file that has no name any more: whatever happens to the stream, nothing is left."""
    try:
        with tempfile.TemporaryDirectory(prefix="kalla-download-") as scratch:
            path = Path(scratch) / "set.xlsx"
            write_set_workbook(evidence, set_name, path)
            return path.open("rb")
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise EvidenceError(
            "The disk for temporary files is full.",
            code="evidence.no_space",
            hint="Free space, or download the set as csv or parquet.",
        ) from error


def _parquet_chunks(evidence: Evidence, set_name: str) -> Iterator[bytes]:
    schema = evidence.schema(set_name)
    sent = _Sent()
    with pq.ParquetWriter(sent, schema, compression="zstd", compression_level=1) as writer:
        for table in row_group_tables(evidence, set_name):
            writer.write_table(table)
            yield sent.taken()
    yield sent.taken()


class _Sent(io.RawIOBase):
    """A file that only holds what has not been taken yet."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._held += view
        return view.nbytes

    def taken(self) -> bytes:
        found = bytes(self._held)
        self._held.clear()
        return found
