"""A folder of an object store: the objects below one key, by their names from there. Evidence lies in such folders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from connectors.buckets import Bucket
from connectors.errors import ConnectorError
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

    def names(self) -> dict[str, int]:
        """Name and size of every object, the first ``MOST_NAMES`` of them."""
        listed = islice(self.bucket.listed(self.prefix), MOST_NAMES)
        return {entry.key.removeprefix(self.prefix): int(entry.identity["size"]) for entry in listed}

    def modified(self, name: str) -> datetime | None:
        """When an object was written; None where there is none."""
        for entry in self.bucket.listed(self.prefix + name):
            if entry.key == self.prefix + name:
                return entry.modified
        return None

    def read(self, name: str, most: int) -> bytes:
        """An object's first ``most`` bytes."""
        key = self.prefix + name
        with object_stream(self.bucket, key, self.bucket.head(key), 0, most) as stream:
            return stream.read(most)

    def download(self, name: str, path: Path) -> None:
        """Write an object, in one version, to a local file."""
        key = self.prefix + name
        identity = self.bucket.head(key)
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
