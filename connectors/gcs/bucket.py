"""A bucket over google-cloud-storage. Versions are told apart by generation."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from connectors import buckets
from connectors.buckets import Body, Bucket, Interrupted, Listed
from connectors.errors import ConnectorError
from connectors.files import Identity
from connectors.gcs.errors import translated
from connectors.google import driver, staying

_TIMEOUT = (5, 30)  # seconds to connect, seconds between bytes
_RETRY_SECONDS = 15
_CHUNK = 8 << 20  # fetched and held at once
_PART = 16 << 20
_PLACES = ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT")
_LOCAL = threading.local()  # the client's HTTP session belongs to one thread


def _client() -> Any:
    places = (os.getpid(), *(os.environ.get(name) for name in _PLACES))
    if getattr(_LOCAL, "places", None) != places:
        _LOCAL.client, _LOCAL.places = staying(driver("google.cloud.storage", "gcs").Client()), places
    return _LOCAL.client


def _retry() -> Any:
    return driver("google.cloud.storage.retry", "gcs").DEFAULT_RETRY.with_timeout(_RETRY_SECONDS)


@dataclass(frozen=True)
class GcsBucket(Bucket):
    """See ``Bucket``. Credentials are Google's application default ones."""

    name: str
    scheme: ClassVar[str] = "gs"

    def head(self, key: str) -> Identity:
        with self._translated(key):
            found = self._blob(key)
            found.reload(timeout=_TIMEOUT, retry=_retry())
            return _identity(found)

    def body(self, key: str, identity: Identity, start: int, stop: int) -> Body:
        return _GcsBody(self, key, identity, start, stop)

    def chunk(self, key: str, identity: Identity, start: int, stop: int) -> bytes:
        """The bytes of a range at once. Raises as ``Bucket.body``."""
        try:
            with self._translated(key):
                blob = _client().bucket(self.name).blob(key, generation=int(identity["generation"]))
                data: bytes = blob.download_as_bytes(
                    start=start,
                    end=stop - 1,
                    raw_download=True,  # as stored: a gzip object is not unpacked on the way
                    if_generation_match=int(identity["generation"]),
                    timeout=_TIMEOUT,
                    checksum=None,  # ranges have none
                    retry=None,
                )
        except ConnectorError as error:
            if error.code == "storage.unreachable":
                raise Interrupted(error.message) from error
            if error.code == "storage.not_found":  # this generation of it
                raise buckets.object_changed(self.shown(key)) from error
            raise
        if len(data) != stop - start:
            raise Interrupted("the connection ended early")
        return data

    def listed(self, prefix: str) -> Iterator[Listed]:
        with self._translated(""):
            for found in _client().list_blobs(self.name, prefix=prefix, timeout=_TIMEOUT, retry=_retry()):
                yield Listed(found.name, _identity(found), found.updated)

    def put(self, key: str, data: bytes, absent: bool = False) -> None:
        try:
            self._send(key, io.BytesIO(data), len(data), 0 if absent else None)
        except ConnectorError as error:
            if absent and error.code == "storage.changed":
                raise buckets.object_exists(self.shown(key)) from error
            raise

    def upload(self, key: str, path: Path) -> None:
        with path.open("rb") as file:
            self._send(key, file, path.stat().st_size)

    def receive(self, key: str, read: Callable[[int], bytes]) -> None:
        self._send(key, _Given(read), None)

    def _send(self, key: str, file: Any, size: int | None, generation: int | None = None) -> None:
        with self._translated(key):
            blob = _client().bucket(self.name).blob(key, chunk_size=_PART)
            match = {} if generation is None else {"if_generation_match": generation}
            blob.upload_from_file(file, size=size, timeout=_TIMEOUT, retry=_retry(), checksum="crc32c", **match)

    def delete(self, key: str) -> None:
        try:
            with self._translated(key):
                self._blob(key).delete(timeout=_TIMEOUT, retry=_retry())
        except ConnectorError as error:
            if error.code != "storage.not_found":
                raise

    def make(self) -> bool:
        if self._is_there():
            return False
        with self._translated(""):
            _client().create_bucket(self.name, timeout=_TIMEOUT, retry=_retry())
        return True

    def allow_browsers(self) -> None:
        with self._translated(""):
            bucket = _client().bucket(self.name)
            bucket.cors = [{"origin": ["*"], "method": ["PUT"], "responseHeader": ["*"], "maxAgeSeconds": 3600}]
            bucket.patch(timeout=_TIMEOUT, retry=_retry())

    def upload_link(self, key: str, seconds: int) -> str | None:
        """None for credentials without a private key."""
        driver("google.auth", "gcs")
        from google.auth.credentials import Signing

        with self._translated(key):
            if not isinstance(_client()._credentials, Signing):
                return None
            link: str = self._blob(key).generate_signed_url(seconds, method="PUT", version="v4", scheme="https")
        return link

    def _blob(self, key: str) -> Any:
        return _client().bucket(self.name).blob(key)

    def _translated(self, key: str) -> AbstractContextManager[None]:
        driver("google.cloud.storage", "gcs")
        return translated(self.name, key, self._is_there)

    def _is_there(self) -> bool:
        driver("google.cloud.storage", "gcs")
        with translated(self.name, "", lambda: False):
            found: bool = _client().bucket(self.name).exists(timeout=_TIMEOUT, retry=_retry())
        return found


def _identity(blob: Any) -> Identity:
    return {"size": int(blob.size), "generation": str(blob.generation)}


class _GcsBody:
    """A range in chunks, each a request of its own: the client gives whole answers only."""

    def __init__(self, bucket: GcsBucket, key: str, identity: Identity, start: int, stop: int) -> None:
        self._bucket, self._key, self._identity = bucket, key, identity
        self._at, self._stop = start, stop
        self._held = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        if not self._held and self._at < self._stop:
            end = min(self._at + _CHUNK, self._stop)
            self._held = memoryview(self._bucket.chunk(self._key, self._identity, self._at, end))
            self._at = end
        data = bytes(self._held[:size])
        self._held = self._held[size:]
        return data

    def close(self) -> None:
        self._held = memoryview(b"")


class _Given:
    """A file that can only be read on. The client asks where it stands, for its own count."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._at = read, 0

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size > 0 and (data := self._read(min(size, 1 << 20))):
            parts.append(data)
            size -= len(data)
        data = b"".join(parts)
        self._at += len(data)
        return data
