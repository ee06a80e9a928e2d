"""A CSV's bytes as the parser wants them: decompressed, and ASCII-compatible.

Offsets count in this stream. For a plain file in UTF-8 or a single-byte encoding they are offsets of the file
itself, so that ranges can be read apart; a gzip or UTF-16 file can only be read from its beginning.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, cast

from connectors.csv import problems
from connectors.csv.records import line_ends
from connectors.errors import ConnectorError
from connectors.files import Reader, StoredFile

_SKIP_BLOCK = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class CsvStream:
    """The bytes of one file under one reading of it."""

    file: StoredFile
    gzip: bool
    encoding: str

    @property
    def splittable(self) -> bool:
        return not self.gzip and self.encoding != "utf-16"

    @contextmanager
    def open_at(self, offset: int, end: int | None = None) -> Iterator[Reader]:
        """A reader that begins at ``offset``; nothing from ``end`` on will be asked for. Raises ConnectorError, also
        while it is read."""
        start, stop = (offset, end) if self.splittable else (0, None)
        with self.file.stream(start, stop) as raw, _translated(self.file.shown):
            if self.splittable:
                yield raw
                return
            parts: _Parts = gzip.GzipFile(fileobj=cast(Any, raw)) if self.gzip else raw
            if self.encoding == "utf-16":
                parts = _Utf16Reader(parts, self.file.shown)
            reader = _Whole(parts)
            _skip(reader, offset)
            yield reader

    def line_at(self, offset: int) -> int:
        """The 1-based physical line of a place; reads everything before it, so for errors only."""
        line, after_cr = 1, False
        with self.open_at(0) as reader:
            while offset > 0 and (data := reader.read(min(_SKIP_BLOCK, offset))):
                line += line_ends(data) - (after_cr and data.startswith(b"\n"))
                after_cr = data.endswith(b"\r")
                offset -= len(data)
        return line


@contextmanager
def _translated(shown: str) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise problems.bad_gzip(shown) from error
    except OSError as error:
        raise ConnectorError(
            f"{shown} could not be read: {error.strerror or 'input failed'}.",
            hint="Check the disk and try again.",
        ) from error


class _Parts(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Whole:
    """Gives exactly the bytes asked for, as a plain file does, however small the parts that arrive."""

    def __init__(self, inner: _Parts) -> None:
        self._inner = inner
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while have < size and (part := self._inner.read(size - have)):
            parts.append(part)
            have += len(part)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]

    def readinto(self, room: memoryview, /) -> int:
        data = self.read(len(room))
        room[: len(data)] = data
        return len(data)


class _Utf16Reader:
    """UTF-16 in, UTF-8 out. Without a mark the byte order is little-endian, the common one."""

    def __init__(self, inner: _Parts, shown: str) -> None:
        self._inner = inner
        self._shown = shown
        self._decoder: codecs.IncrementalDecoder | None = None
        self._consumed = 0
        self._lines = 1
        self._begun = False

    def read(self, size: int, /) -> bytes:
        while True:
            raw = self._inner.read(size)
            text = self._decode(raw)
            if text or not raw:
                return text

    def _decode(self, raw: bytes) -> bytes:
        if self._decoder is None:
            big = raw.startswith(codecs.BOM_UTF16_BE)
            self._decoder = codecs.getincrementaldecoder("utf-16-be" if big else "utf-16-le")()
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].decode(error.encoding, "replace").encode()
            line = self._lines + line_ends(before)
            place = self._consumed - pending + error.start
            raise problems.not_text(self._shown, line, place, "utf-16") from error
        if text and not self._begun:
            self._begun = True
            text = text.removeprefix("\ufeff")
        self._consumed += len(raw)
        encoded = text.encode()
        self._lines += line_ends(encoded)
        return encoded


def _skip(reader: Reader, count: int) -> None:
    while count > 0 and (data := reader.read(min(_SKIP_BLOCK, count))):
        count -= len(data)
