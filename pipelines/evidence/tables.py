"""Parts as tables of the locked engine. Columns are addressed by place: a source's own names mean nothing here."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp, parse_one

from pipelines import engine
from pipelines.engine import Connection
from pipelines.errors import EvidenceError
from pipelines.evidence.reader import Evidence, PartFile, open_part
from pipelines.paths import glob_escape
from recipe import KallaError
from udfs import from_engine

PLACE_BASE = 1 << 32  # no part has as many rows
MEMORY = 256 << 20
# Columns that the engine adds by itself; one of a file's own that has such a name is hidden by its place's name.
_PLACE = f"CAST(file_index AS BIGINT) * {PLACE_BASE} + file_row_number"


def scan(paths: Sequence[str], width: int, wanted: Mapping[int, str], place: bool = False) -> exp.Select:
    """The columns at the given places of Parquet files with ``width`` columns, by new names.

    ``place`` adds a column of that name which numbers the rows over all files, rising in their order:
    ``PLACE_BASE`` times the file's index plus the row's.
    """
    listed = exp.Array(expressions=[exp.Literal.string(path) for path in paths])
    source = exp.Anonymous(this="read_parquet", expressions=[listed])
    names = [exp.to_identifier(f"c{i}") for i in range(width)]
    table = exp.Table(this=source, alias=exp.TableAlias(this=exp.to_identifier("t"), columns=names))
    selected = [exp.alias_(exp.column(f"c{i}"), name) for i, name in wanted.items()]
    if place:
        selected.append(exp.alias_(parse_one(_PLACE, dialect="duckdb"), "place"))
    return exp.select(*selected).from_(table)


@dataclass(frozen=True)
class Tables:
    """Sets of ``evidence`` that ``connection`` may read."""

    connection: Connection
    evidence: Evidence

    def scan(
        self, set_name: str, wanted: Mapping[int, str], place: bool = False, parts: Sequence[PartFile] | None = None
    ) -> exp.Select:
        """The columns at the given places of a set, or of some of its parts, by new names."""
        chosen = self.evidence.parts(set_name) if parts is None else parts
        paths = [glob_escape(part.path) for part in chosen]
        return scan(paths, len(self.evidence.schema(set_name)), wanted, place)

    def rows(self, tree: exp.Expr, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """What a statement gives, as Python values."""
        found: list[tuple[Any, ...]] = self._ask(tree, parameters).fetchall()
        return found

    def table(self, tree: exp.Expr, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """What a statement gives, as Arrow."""
        return self._ask(tree, parameters).to_arrow_table()

    def create(self, name: str, tree: exp.Expr, parameters: Mapping[str, Any] | None = None) -> None:
        """Keep what a statement gives as a table of the connection."""
        rows = self.table(tree, parameters)
        self.connection.register(name, rows)

    def _ask(self, tree: exp.Expr, parameters: Mapping[str, Any] | None) -> Any:
        return self.connection.sql(tree.sql("duckdb"), params=dict(parameters) if parameters else None)


@contextmanager
def opened(
    evidence: Evidence, sets: Sequence[str], seconds: float | None = None, memory: int = MEMORY
) -> Iterator[Tables]:
    """An engine that may read the parts of ``sets`` and nothing else, for at most ``seconds``.

    ``memory`` bounds what it holds before it spills to the temporary folder. Raises EvidenceError
    ``evidence.too_slow``, ``evidence.memory_exceeded``, ``evidence.no_space``, ``evidence.part_missing``,
    ``evidence.part_unreadable``.
    """
    parts = [part for name in sets for part in evidence.parts(name)]
    evidence.fetch(parts)
    with tempfile.TemporaryDirectory(prefix="kalla-evidence-") as scratch:
        with engine.connect(Path(scratch), memory, [str(part.path) for part in parts]) as connection:
            with _limited(connection, seconds) as late:
                try:
                    yield Tables(connection, evidence)
                except duckdb.Error as error:
                    if late.is_set():
                        raise _too_slow(seconds) from error
                    raise _known(error, parts) from error


@contextmanager
def _limited(connection: Connection, seconds: float | None) -> Iterator[threading.Event]:
    """Interrupt the connection's statement after ``seconds``; the event then is set."""
    late = threading.Event()
    if seconds is None:
        yield late
        return

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()  # it must not touch a connection that is closed


def _too_slow(seconds: float | None) -> EvidenceError:
    return EvidenceError(
        f"This takes longer than the {seconds:g} seconds it is given.",
        code="evidence.too_slow",
        hint="Narrow it down with filters, or download the set.",
    )


def _known(error: duckdb.Error, parts: Sequence[PartFile]) -> KallaError:
    """The error a person reads for what the engine raised: a damaged part is named."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return EvidenceError(
            "This needs more memory than it is given.",
            code="evidence.memory_exceeded",
            hint="Narrow it down with filters, or download the set.",
        )
    if any(mark in str(error) for mark in ("No space left on device", "Disk quota exceeded", "temp_directory_size")):
        return EvidenceError(
            "The disk for temporary files is full.", code="evidence.no_space", hint="Free space, then try again."
        )
    if (known := from_engine(error)) is not None:
        return known
    for part in parts:
        try:
            with open_part(part):
                pass
        except EvidenceError as found:
            return found
    reason = (str(error).splitlines() or ["no reason given"])[0][:200]
    return EvidenceError(
        f"The evidence cannot be read: {reason}.",
        code="evidence.part_unreadable",
        hint="Check the folder with kalla verify.",
    )
