"""Reading evidence: the manifest, and pages of a set without reading more of it than the page needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import EvidenceError
from pipelines.evidence.document import check_manifest
from pipelines.evidence.places import LocalPlace, PartCache, Place, place_of
from pipelines.workdir import SETS
from recipe import format_cell

_FETCHES = 4
_BATCH_ROWS = 1 << 14
# Parts do not say it of their columns.
_NEVER_EMPTY = {"_row", "_reason", "_left_row", "_right_row", "_left_partners", "_right_partners"}


@dataclass(frozen=True)
class PageColumn:
    """A column of a set and what it holds: ``text``, ``integer``, ``decimal(18,2)``, ``date``, ``rows`` ..."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class Page:
    """Some rows of a set as text cells (contract 1.5), None for an empty one.

    ``total`` counts the rows that the page was taken from, ``set_rows`` those of the whole set.
    """

    set_name: str
    columns: tuple[PageColumn, ...]
    rows: list[list[str | None]]
    total: int
    offset: int
    set_rows: int


@dataclass(frozen=True)
class PartFile:
    """A part as the manifest lists it."""

    name: str
    place: Place
    rows: int
    bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """A file of this machine with its bytes. Raises as ``Place.path``."""
        return self.place.path(self.name, self.bytes, self.sha256)

    @property
    def shown(self) -> str:
        """Where it lies, for people."""
        return f"{self.place.shown}/{self.name}"


class Evidence:
    """The committed evidence in a folder of this machine, or at an ``s3://`` or ``gs://`` address.

    ``cache`` keeps parts of evidence in a store for later readers. Raises EvidenceError ``evidence.not_found``,
    ``evidence.unreadable``, ``evidence.unsupported_format``, and ConnectorError ``storage.*``.
    """

    def __init__(self, address: str | Path, cache: PartCache | None = None) -> None:
        self.place = place_of(address, cache)
        self._text = self.place.manifest()
        self.manifest: dict[str, Any] = check_manifest(_decoded(self._text))
        self._schemas: dict[str, pa.Schema] = {}

    @cached_property
    def manifest_sha256(self) -> str:
        """SHA-256 of the manifest file. It covers all parts, since the manifest holds theirs."""
        return hashlib.sha256(self._text).hexdigest()

    @property
    def manifest_bytes(self) -> bytes:
        """The manifest file as it is."""
        return self._text

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The embedded recipe document, secrets masked, its numbers exact."""
        document: dict[str, Any] = json.loads(self._text, parse_float=Decimal)["recipe"]
        return document

    @property
    def counts(self) -> dict[str, Any]:
        """The figures of contract 1.7."""
        found: dict[str, Any] = self.manifest["counts"]
        return found

    def parts(self, set_name: str) -> list[PartFile]:
        """The set's parts in row order. Raises EvidenceError ``evidence.unknown_set``."""
        if set_name not in SETS:
            raise EvidenceError(
                f"There is no set {set_name!r}.", code="evidence.unknown_set", hint=f"Use {', '.join(SETS)}."
            )
        listed = [p for p in self.manifest["parts"] if p["path"].startswith(f"{set_name}/")]
        return [
            PartFile(p["path"], self.place, p["rows"], p["bytes"], p["sha256"])
            for p in sorted(listed, key=lambda p: str(p["path"]))
        ]

    @property
    def shown(self) -> str:
        """Where it lies, for people."""
        return self.place.shown

    def fetch(self, parts: Sequence[PartFile]) -> None:
        """Bring parts to this machine, several at a time, where they are not there yet. Raises as ``Place.path``."""
        if isinstance(self.place, LocalPlace):
            return
        with ThreadPoolExecutor(_FETCHES) as pool:
            for _ in pool.map(lambda part: part.path, parts):
                pass

    def total(self, set_name: str) -> int:
        """Rows of a set, as the manifest has it."""
        return sum(part.rows for part in self.parts(set_name))

    def schema(self, set_name: str) -> pa.Schema:
        """The set's columns; a set without rows has them too. Raises EvidenceError."""
        for part in self.parts(set_name):
            if set_name not in self._schemas:
                with open_part(part) as file:
                    self._schemas[set_name] = file.schema_arrow
            return self._schemas[set_name]
        raise EvidenceError(f"The manifest lists no part of {set_name}.", hint="Check it with kalla verify.")

    def rows(self, set_name: str, limit: int = 50, offset: int = 0) -> Page:
        """``limit`` rows after the first ``offset``; only the row groups that hold them are read."""
        schema = self.schema(set_name)
        start = max(offset, 0)
        rows: list[list[str | None]] = []
        for batch in self.batches(set_name, start, start + max(limit, 0)):
            rows += [list(row) for row in zip(*text_columns(batch), strict=True)]
        total = self.total(set_name)
        return Page(set_name, page_columns(schema), rows, total, start, total)

    def batches(self, set_name: str, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        """The rows ``start`` <= place < ``stop`` of a set in order, in batches of bounded size."""
        place = 0
        for part in self.parts(set_name):
            end = place + part.rows
            if end > start and (stop is None or place < stop):
                yield from _part_batches(part, start - place, None if stop is None else stop - place)
            place = end


def open_part(part: PartFile) -> pq.ParquetFile:
    """Raises EvidenceError ``evidence.part_missing``, ``evidence.part_unreadable``."""
    try:
        return pq.ParquetFile(part.path)
    except FileNotFoundError:
        raise EvidenceError(
            f"{part.shown} is missing.",
            code="evidence.part_missing",
            hint="Restore the file, or run the recipe again.",
        ) from None
    except (pa.ArrowException, OSError) as error:
        raise _damaged(part, error) from error


def _part_batches(part: PartFile, start: int, stop: int | None) -> Iterator[pa.RecordBatch]:
    place = 0
    with open_part(part) as file:
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if place + rows > start and (stop is None or place < stop):
                for batch in _group_batches(part, file, group):
                    first = max(start - place, 0)
                    last = batch.num_rows if stop is None else min(stop - place, batch.num_rows)
                    if first < last:
                        yield batch.slice(first, last - first)
                    place += batch.num_rows
                    if stop is not None and place >= stop:
                        return
            else:
                place += rows


def _group_batches(part: PartFile, file: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
    try:
        yield from file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group])
    except (pa.ArrowException, OSError) as error:
        raise _damaged(part, error) from error


def _damaged(part: PartFile, error: Exception) -> EvidenceError:
    reason = (str(error).splitlines() or ["it cannot be opened"])[0][:200].rstrip(".")
    return EvidenceError(
        f"{part.shown} is damaged: {reason}.",
        code="evidence.part_unreadable",
        hint="Check the folder with kalla verify.",
    )


def page_columns(schema: pa.Schema) -> tuple[PageColumn, ...]:
    """What a page says of its columns."""
    return tuple(
        PageColumn(field.name, type_name(field.type), field.nullable and field.name not in _NEVER_EMPTY)
        for field in schema
    )


def text_columns(batch: pa.RecordBatch) -> list[list[str | None]]:
    """The cells of each column as text; a list of row ids as ``1 2 3``."""
    return [_texts(column) for column in batch.columns]


def _texts(column: pa.Array) -> list[str | None]:
    texts: list[str | None] = text_array(column).to_pylist()
    return texts


def text_array(column: pa.Array) -> pa.Array:
    """The cells of a column as an array of texts (contract 1.5)."""
    kind = column.type
    if _is_plain(kind):
        return column.cast(pa.string())
    if is_ids(kind):
        texts = [None if v is None else " ".join(format_cell(e) or "" for e in v) for v in column.to_pylist()]
    else:
        texts = [format_cell(value) for value in column.to_pylist()]
    return pa.array(texts, pa.string())


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow itself writes such values as the contract does. Decimals of a greater scale get an exponent."""
    tests = (pa.types.is_string, pa.types.is_integer, pa.types.is_boolean)
    return any(test(kind) for test in tests) or (pa.types.is_decimal(kind) and bool(0 <= kind.scale <= 6))


def is_ids(kind: pa.DataType) -> bool:
    """Whether cells are lists of row ids."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "double"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
    (is_ids, "rows"),
)


def type_name(kind: pa.DataType) -> str:
    """What a column holds, in the words of the contract."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    return next((name for test, name in _TYPES if test(kind)), "text")


def _decoded(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise EvidenceError(
            "The manifest is damaged: it is not valid JSON.",
            hint="Take the folder from a backup, or run the recipe again.",
        ) from None
