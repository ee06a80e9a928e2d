"""The one contract of every source: what the pipeline, the chat and the CLI ask of a connector.

A connector is made from a recipe's source, is picklable (it holds configuration, never a connection), and
speaks Arrow. Rows have a fixed order that does not depend on how many splits are read: concatenating the
splits in order gives the same rows for any number of splits. A row's id is its 1-based place in that order
among the rows that pass the filters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar

import pyarrow as pa

from connectors.errors import ConnectorError
from recipe import FilterCondition, Schema


@dataclass(frozen=True)
class Capabilities:
    """What a connector can do, as data; code branches on these, never on a connector's name."""

    in_place_parquet: bool = False  # the engine may read the file itself, without staging a copy
    splits: bool = False  # one source can be read in several parts at once
    filter_pushdown: bool = False  # the source evaluates filters itself
    exact_count: bool = False  # count() without filters is cheap


@dataclass(frozen=True)
class Split:
    """A part of a source that one worker reads. ``payload`` is the connector's own (byte range, block range
    ...)."""

    index: int
    payload: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The state of a source that a run reads, as recorded in the manifest; no secrets.

    ``identity`` is what a replay compares: size, mtime and SHA-256 for a file, the snapshot and table for a
    database. ``live`` is what splits need to read that state (an exported snapshot id); it is never written
    to evidence.
    """

    identity: dict[str, Any]
    live: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """The first rows. Cells are text or None, as contract 1.5 prints them; ``total_rows`` counts the whole
    source under the same filters."""

    columns: Schema
    rows: list[list[str | None]]
    total_rows: int


@dataclass(frozen=True)
class Entry:
    """Something that a source of the same type could name: a table, an index, a file. ``uri`` is its whole address,
    secrets as ``***``."""

    name: str
    kind: str
    uri: str


@dataclass(frozen=True)
class Listing:
    """Entries by name; ``complete`` is False where there are more."""

    entries: tuple[Entry, ...]
    complete: bool

    @classmethod
    def of(cls, entries: Iterable[Entry], limit: int) -> Listing:
        """The first ``limit`` entries."""
        found = tuple(islice(entries, limit + 1))
        return cls(found[:limit], len(found) <= limit)


@dataclass(frozen=True)
class Access:
    """What the calling process lets sources reach.

    ``base_dir`` is what relative paths count from. ``roots`` are the folders below which local files must lie
    once links are resolved; None sets no limit, as at a person's own terminal. ``hosts`` are the numeric addresses
    that were checked for each host: a connector calls these and asks no resolver again, which could say something
    else by then. A host that is not named there cannot be found; None leaves it to the driver.
    """

    base_dir: str | None = None
    roots: tuple[str, ...] | None = None
    hosts: Mapping[str, tuple[str, ...]] | None = None


class Connector(ABC):
    """One source, read-only."""

    capabilities: ClassVar[Capabilities]

    @classmethod
    @abstractmethod
    def from_source(cls, source: Any, access: Access) -> Connector:
        """The connector for one source of a recipe. Opens nothing; raises ConnectorError when the source's
        address is malformed or outside what ``access`` allows."""

    @property
    @abstractmethod
    def masked_uri(self) -> str:
        """The source's address with every secret as ``***``; for manifests, messages and logs."""

    @abstractmethod
    def schema(self) -> Schema:
        """The columns in source order, names exact. Raises ConnectorError."""

    @abstractmethod
    def open_snapshot(self, beside: Snapshot | None = None) -> AbstractContextManager[Snapshot]:
        """Fix the state to read, until the context ends. On a normal end the context checks that the state
        held (file size and mtime) and raises SourceChanged when it did not.

        ``beside`` is the open snapshot of a run's other side: tables of one database are read at one moment. Connectors
        without such moments ignore it.
        """

    @abstractmethod
    def plan_splits(self, snapshot: Snapshot, desired: int) -> list[Split]:
        """At least one split, at most about ``desired``, in row order."""

    @abstractmethod
    def read(
        self,
        snapshot: Snapshot,
        split: Split,
        filters: Sequence[FilterCondition] = (),
        columns: Sequence[str] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The split's rows that pass the filters, in order, as batches of bounded size (about 64 Ki rows)
        whose schema is ``arrow_schema()``, or that of ``columns`` in their order: others are then neither fetched nor
        converted where the source can leave them out. Bounded memory. Raises ConnectorError."""

    @abstractmethod
    def arrow_schema(self) -> pa.Schema:
        """Arrow types of ``read``, fields in the order of ``schema()``."""

    @abstractmethod
    def count(self, filters: Sequence[FilterCondition] = ()) -> int:
        """Rows that pass the filters, counted in the source."""

    @abstractmethod
    def preview(self, limit: int, filters: Sequence[FilterCondition] = ()) -> Preview:
        """The first ``limit`` rows that pass the filters."""

    def scan(
        self, filters: Sequence[FilterCondition] = (), columns: Sequence[str] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """All rows as ``read`` gives them, under a snapshot of their own. Raises ConnectorError."""
        with self.open_snapshot() as snapshot:
            for split in self.plan_splits(snapshot, 1):
                yield from self.read(snapshot, split, filters, columns)

    def scan_count(self, filters: Sequence[FilterCondition]) -> int:
        """Rows that pass, counted by reading the columns that the filters name. Raises ConnectorError."""
        named = tuple({f.column: None for f in filters})
        return sum(batch.num_rows for batch in self.scan(filters, named))

    def listed(self, limit: int) -> Listing:
        """What lies in the same place: the tables of the database, the indexes of the server, the files of the folder.
        The source itself need not exist. Raises ConnectorError."""
        raise ConnectorError(
            "What lies beside a source of this type cannot be listed.",
            code="source.unsupported_operation",
            hint="Name the source itself.",
        )

    def declared_key(self) -> tuple[str, ...]:
        """The columns of the declared primary key, in its order; empty where none is declared. Raises
        ConnectorError."""
        return ()

    def estimated_rows(self) -> int | None:
        """A cheap guess for the planner and progress bars; None when there is none."""
        return None

    def estimated_bytes(self) -> int | None:
        """Size of the source as stored; None when unknown."""
        return None

    def content_hash(self) -> str | None:
        """SHA-256 of the source as stored, in hex; None where there is no such thing as its bytes."""
        return None

    @property
    def keeps_ragged(self) -> bool:
        """Whether a row of the wrong width is kept, and marked (see ``ragged_rows``), instead of stopping the run."""
        return False

    def in_place_path(self) -> str | None:
        """The local Parquet file that holds exactly these rows, when the engine may read it itself."""
        return None


def narrowed(batch: pa.RecordBatch, columns: Sequence[str] | None) -> pa.RecordBatch:
    """The batch with these columns alone, in this order; all of them for None."""
    return batch if columns is None else batch.select(list(columns))
