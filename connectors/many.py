"""Several objects of one store as one source: ``s3://bucket/ledger/2026-*.csv``, one after the other by their keys.

All have the same columns. The snapshot is the listing: what comes, goes or changes while it is read is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, cast

import pyarrow as pa

from connectors.base import Access, Capabilities, Connector, Listing, Preview, Snapshot, Split
from connectors.buckets import Bucket
from connectors.errors import ConnectorError, SourceDataError, SourceNotFound
from connectors.files import StoredFile, changed
from connectors.objects import ObjectFile, as_source, neighbours
from connectors.previews import files_of, first_of
from connectors.stores import bucket_of, file_at
from recipe import ANY, ANY_BELOW, FileAddress, FilterCondition, Schema

MOST_OBJECTS = 10_000
_PLANNERS = 8


class FileConnector(Protocol):
    """A connector of one file, as data: another file in its place gives another connector."""

    file: StoredFile


def over(address: FileAddress, access: Access, make: Callable[[StoredFile], Connector]) -> Connector:
    """The connector that ``make`` gives for the address's file, or one over all files that its pattern names.

    Raises ConnectorError for a forbidden path.
    """
    if not address.glob:
        return make(file_at(address, access))
    bucket = bucket_of(address.scheme, address.bucket)
    return ManyFiles(bucket, address.glob, cast(Any, make(ObjectFile(bucket, address.path))))


@dataclass(frozen=True)
class ManyFiles(Connector):
    """``pattern`` is literal text and wildcards in turn, see ``FileAddress.glob``; ``template`` reads one file."""

    capabilities: ClassVar[Capabilities] = Capabilities(splits=True)

    bucket: Bucket
    pattern: tuple[str, ...]
    template: Any

    @classmethod
    def from_source(cls, source: Any, access: Access) -> Connector:
        raise TypeError("the connector of a format makes it, by over()")

    @property
    def masked_uri(self) -> str:
        return str(self.template.masked_uri)

    def schema(self) -> Schema:
        found: Schema = self._first().schema()
        return found

    def arrow_schema(self) -> pa.Schema:
        return self._first().arrow_schema()

    @contextmanager
    def open_snapshot(self, beside: Snapshot | None = None) -> Iterator[Snapshot]:
        found = self._listed()
        yield Snapshot(_identity(found), {"objects": found})
        if _identity(self._listed()) != _identity(found):
            raise changed(self.masked_uri)

    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """Every file in as many parts as its share of the bytes asks for; neighbours are put together."""
        objects = snapshot.live["objects"]
        expected = self._one(*objects[0]).arrow_schema()
        share = max(snapshot.identity["size"], 1) / max(desired, 1)

        def planned(entry: tuple[str, dict[str, Any]]) -> list[tuple[float, dict[str, Any]]]:
            key, identity = entry
            one = self._one(key, identity)
            self._check_columns(key, expected, one.arrow_schema())
            parts = one.plan_splits(Snapshot(identity), max(round(identity["size"] / share), 1))
            made = [{"key": key, "identity": identity, "index": p.index, "payload": p.payload} for p in parts]
            return [(identity["size"] / len(made), part) for part in made]

        with ThreadPoolExecutor(_PLANNERS) as pool:
            parts = [part for found in pool.map(planned, objects) for part in found]
        return [Split(index, {"parts": group}) for index, group in enumerate(_groups(parts, share))]

    def read(
        self,
        snapshot: Snapshot,
        split: Split,
        filters: Sequence[FilterCondition] = (),
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        for part in split.payload["parts"]:
            one = self._one(part["key"], part["identity"])
            yield from one.read(Snapshot(part["identity"]), Split(part["index"], part["payload"]), filters, columns)

    def count(self, filters: Sequence[FilterCondition] = ()) -> int:
        if filters:
            return self.scan_count(filters)
        return sum(self._one(*entry).count() for entry in self._listed())

    def preview(self, limit: int, filters: Sequence[FilterCondition] = ()) -> Preview:
        return first_of(self.schema(), self.scan(filters), limit, lambda: self.count(filters))

    def estimated_bytes(self) -> int:
        return sum(identity["size"] for _, identity in self._listed())

    def listed(self, limit: int) -> Listing:
        return files_of(neighbours(self.bucket, self.pattern[0]), limit)

    @property
    def keeps_ragged(self) -> bool:
        return bool(self.template.keeps_ragged)

    def _listed(self) -> list[tuple[str, dict[str, Any]]]:
        """Key and identity of every object that the pattern names, by key. Raises ConnectorError."""
        fits = re.compile("".join(_EXPRESSION.get(part, re.escape(part)) for part in self.pattern), re.DOTALL)
        with as_source():
            found = [
                (entry.key, entry.identity)
                for entry in self.bucket.listed(self.pattern[0])
                if fits.fullmatch(entry.key) and not entry.key.endswith("/")
            ]
        if not found:
            raise SourceNotFound(
                f"No object fits {self.masked_uri}.", hint="Check the bucket and the pattern; * stops at a slash."
            )
        if len(found) > MOST_OBJECTS:
            raise ConnectorError(
                f"{len(found):,} objects fit {self.masked_uri}.",
                code="source.too_many_files",
                hint=f"A source may have up to {MOST_OBJECTS:,} files; narrow the pattern.",
            )
        return sorted(found, key=lambda entry: entry[0].encode())

    def _first(self) -> Any:
        return self._one(*self._listed()[0])

    def _one(self, key: str, identity: dict[str, Any]) -> Any:
        """The connector of one file in the listed state."""
        return replace(self.template, file=ObjectFile(self.bucket, key, identity))

    def _check_columns(self, key: str, expected: pa.Schema, found: pa.Schema) -> None:
        if found.equals(expected):
            return
        names = [f"{f.name} ({f.type})" for f in found if f not in list(expected)] or ["their order"]
        raise SourceDataError(
            f"{self.bucket.shown(key)} has other columns than the first file of the source: {', '.join(names[:5])}.",
            code="source.columns_differ",
            hint="All files of one source need the same columns; write them alike, or narrow the pattern.",
        )


_EXPRESSION = {ANY: "[^/]*", ANY_BELOW: ".*"}


def _identity(objects: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    text = json.dumps(objects, sort_keys=True).encode()
    return {
        "files": len(objects),
        "size": sum(identity["size"] for _, identity in objects),
        "listing_sha256": hashlib.sha256(text).hexdigest(),
    }


def _groups(parts: Sequence[tuple[float, dict[str, Any]]], share: float) -> Iterator[list[dict[str, Any]]]:
    held: list[dict[str, Any]] = []
    weight = 0.0
    for size, part in parts:
        if held and weight + size / 2 > share:
            yield held
            held, weight = [], 0.0
        held.append(part)
        weight += size
    yield held
