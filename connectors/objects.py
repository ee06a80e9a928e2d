"""Objects of a store as files: ranges of one version, fetched as they are needed and resumed where they are cut."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from connectors.base import Snapshot
from connectors.buckets import Body, Bucket, Interrupted
from connectors.errors import (
    ConnectorError,
    SourceChanged,
    SourceDenied,
    SourceNotFound,
    SourceUnreachable,
)
from connectors.files import Identity, Reader, StoredFile

ATTEMPTS = 6  # one after the other without a single byte
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 4.0
# Where nobody says how far reading will go, requests grow with what was read: a glance costs little, a scan needs few.
_FIRST_WINDOW, _LARGEST_WINDOW = 256 << 10, 64 << 20
_AS_SOURCE: dict[str, type[ConnectorError]] = {
    "storage.not_found": SourceNotFound,
    "storage.bucket_missing": SourceNotFound,
    "storage.access_denied": SourceDenied,
    "storage.unreachable": SourceUnreachable,
    "storage.changed": SourceChanged,
}


@contextmanager
def as_source() -> Iterator[None]:
    """Errors of the store inside become errors of the source that is read there."""
    try:
        yield
    except ConnectorError as error:
        kind = _AS_SOURCE.get(error.code)
        if kind is not None:
            raise kind(error.message, hint=error.hint) from error
        if error.code.startswith("storage."):
            raise ConnectorError(error.message, hint=error.hint) from error
        raise


@dataclass(frozen=True)
class ObjectFile(StoredFile):
    """An object; ``state`` is the one version that it reads, None for whatever is there now."""

    bucket: Bucket
    key: str
    state: Identity | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        return self.bucket.shown(self.key)

    def identity(self) -> Identity:
        with as_source():
            return self.bucket.head(self.key)

    def at(self, snapshot: Snapshot) -> StoredFile:
        return replace(self, state=snapshot.identity)

    def pinned(self) -> StoredFile:
        return self if self.state is not None else super().pinned()

    @contextmanager
    def stream(self, start: int = 0, stop: int | None = None) -> Iterator[Reader]:
        with as_source(), object_stream(self.bucket, self.key, self._state(), start, stop) as reader:
            yield reader

    def open(self) -> Any:
        return _Seekable(self, self._state())

    def neighbours(self) -> Iterator[tuple[str, str]]:
        yield from neighbours(self.bucket, self.key)

    def _state(self) -> Identity:
        return self.identity() if self.state is None else self.state


def neighbours(bucket: Bucket, key: str) -> Iterator[tuple[str, str]]:
    """Names and addresses of all objects below the folder that a key lies in, by key. Raises ConnectorError."""
    folder = key[: key.rfind("/") + 1]
    with as_source():
        for entry in bucket.listed(folder):
            if not entry.key.endswith("/"):
                yield entry.key.removeprefix(folder), f"{bucket.scheme}://{bucket.name}/{quote(entry.key)}"


def object_stream(
    bucket: Bucket, key: str, state: Identity, start: int = 0, stop: int | None = None
) -> AbstractContextManager[Reader]:
    """The bytes of one version of an object in order, resumed where the connection breaks off.

    Raises ConnectorError as ``Bucket`` does, also while it is read.
    """
    return _Stream(bucket, key, state, start, stop)


class _Stream:
    """The bytes of a range in order, over as many requests as it takes."""

    def __init__(self, bucket: Bucket, key: str, state: Identity, start: int, stop: int | None) -> None:
        self._bucket, self._key, self._state = bucket, key, state
        self._at = start
        self._end = int(state["size"]) if stop is None else min(stop, int(state["size"]))
        self._window = _FIRST_WINDOW if stop is None else max(self._end - start, 1)
        self._body: Body | None = None
        self._body_end = start

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self._drop()

    def read(self, size: int, /) -> bytes:
        """Exactly so many bytes, fewer at the end only."""
        parts = []
        while size > 0 and (data := self._next(size)):
            parts.append(data)
            size -= len(data)
        return b"".join(parts)

    def readinto(self, room: memoryview, /) -> int:
        data = self._next(len(room))
        room[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        """Some bytes; b"" at the end only. Raises ConnectorError once the store gives none any more."""
        if self._at >= self._end or size <= 0:
            return b""
        for attempt in range(ATTEMPTS):
            try:
                data = self._opened().read(min(size, self._body_end - self._at))
                if not data:
                    raise Interrupted("the connection ended early")
            except Interrupted as cut:
                self._drop()
                if attempt == ATTEMPTS - 1:
                    raise _cut_off(self._bucket.shown(self._key), self._at, self._end, cut) from cut
                _pause(attempt)
                continue
            self._at += len(data)
            if self._at == self._body_end:
                self._drop()
            return data
        raise AssertionError("the loop returns or raises")

    def _opened(self) -> Body:
        if self._body is None:
            stop = min(self._at + self._window, self._end)
            self._window = min(self._window * 4, max(_LARGEST_WINDOW, self._window))
            self._body = self._bucket.body(self._key, self._state, self._at, stop)
            self._body_end = stop
        return self._body

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


def _pause(attempt: int) -> None:
    longest = min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)
    time.sleep(longest * (0.5 + random.random() / 2))  # noqa: S311 - spreads repeats, protects nothing


def _cut_off(shown: str, at: int, end: int, cut: Interrupted) -> ConnectorError:
    why = str(cut).rstrip(".")
    return ConnectorError(
        f"The connection broke off {ATTEMPTS} times while {shown} was read, at byte {at:,} of {end:,}: {why}.",
        code="storage.unreachable",
        hint="Nothing of it was used. Check the network and the store, then run again.",
    )


class _Seekable(io.RawIOBase):
    """A file of which each read is one request for just the bytes that it names."""

    def __init__(self, file: ObjectFile, state: Identity) -> None:
        super().__init__()
        self._file, self._state, self._at = file, state, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: int(self._state["size"])}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        stop = int(self._state["size"]) if size is None or size < 0 else self._at + size
        file = self._file
        with as_source(), object_stream(file.bucket, file.key, self._state, self._at, stop) as stream:
            data = stream.read(stop - self._at)
        self._at += len(data)
        return data

    def readinto(self, room: Any, /) -> int:
        data = self.read(len(room))
        room[: len(data)] = data
        return len(data)
