"""A folder of an object store: the objects below one key, by their names from there. Evidence lies in such folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path

from connectors.buckets import Bucket, Listed
from connectors.errors import ConnectorError
from connectors.files import Identity
from connectors.objects import object_stream
from connectors.stores import bucket_of
from recipe import RecipeError, parse_file_uri

MOST_NAMES = 100_000
_BLOCK = 1 << 20
_SCHEMES = ("s3", "gs")


def is_object_address(text: str) -> bool:
    """Whether a text names a place in an object store rather than one on this machine."""
    scheme, mark, _ = text.partition("://")
    return bool(mark) and scheme.lower() in _SCHEMES


@dataclass(frozen=True)
class ObjectFolder:
    """``prefix`` ends with a slash. Methods raise ConnectorError as ``Bucket`` does."""

    bucket: Bucket
    prefix: str

    @classmethod
    def at(cls, uri: str) -> ObjectFolder:
        """The folder of ``s3://bucket/some/folder``, with or without a slash at the end. Raises ConnectorError
        ``storage.invalid_address``."""
        try:
            address = parse_file_uri(uri.rstrip("/"), _SCHEMES)
            if address.glob:
                raise RecipeError("A folder has no * in its name.", hint="Name one folder.")
        except RecipeError as error:
            hint = "Write s3://bucket/folder or gs://bucket/folder."
            raise ConnectorError(error.message, code="storage.invalid_address", hint=hint) from error
        parts = address.path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ConnectorError(
                "The address holds an empty name, . or ..", code="storage.invalid_address", hint="Name one folder."
            )
        return cls(bucket_of(address.scheme, address.bucket), "/".join(parts) + "/")

    @property
    def shown(self) -> str:
        """The address for people, without a slash at the end."""
        return self.bucket.shown(self.prefix).rstrip("/")

    def within(self, name: str) -> ObjectFolder:
        """The folder of this name in this one; as it is listed, not as an address would write it."""
        return replace(self, prefix=f"{self.prefix}{name}/")

    def entries(self, prefix: str = "") -> Iterator[Listed]:
        """Every object whose name begins so; ``key`` is its name from here."""
        for entry in self.bucket.listed(self.prefix + prefix):
            yield replace(entry, key=entry.key.removeprefix(self.prefix))

    def names(self) -> dict[str, int]:
        """Name and size of every object, the first ``MOST_NAMES`` of them."""
        return {entry.key: int(entry.identity["size"]) for entry in islice(self.entries(), MOST_NAMES)}

    def modified(self, name: str) -> datetime | None:
        """When an object was written; None where there is none."""
        return next((entry.modified for entry in self.entries(name) if entry.key == name), None)

    def read(self, name: str, most: int) -> bytes:
        """An object's first ``most`` bytes."""
        key = self.prefix + name
        with object_stream(self.bucket, key, self.bucket.head(key), 0, most) as stream:
            return stream.read(most)

    def identity(self, name: str) -> Identity:
        """What tells an object's present version from others."""
        return self.bucket.head(self.prefix + name)

    def download(self, name: str, path: Path, identity: Identity | None = None) -> None:
        """Write an object, in one version, to a local file; the present one unless given."""
        key = self.prefix + name
        identity = identity or self.bucket.head(key)
        with object_stream(self.bucket, key, identity, 0, identity["size"]) as stream, path.open("wb") as file:
            while block := stream.read(_BLOCK):
                file.write(block)

    def upload(self, name: str, path: Path) -> None:
        """Store a local file."""
        self.bucket.upload(self.prefix + name, path)

    def put(self, name: str, data: bytes, absent: bool = False) -> None:
        """Store a small object; ``absent`` raises ``storage.exists`` where there is one."""
        self.bucket.put(self.prefix + name, data, absent)

    def delete(self, name: str) -> None:
        """Remove an object, if it is there."""
        self.bucket.delete(self.prefix + name)
