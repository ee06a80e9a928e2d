"""COPY ... TO STDOUT into Arrow: the server prints and sends while pyarrow parses, in bounded memory.

CSV is the form that both sides do fastest: measured on 1M rows of 10 columns, the whole way into Arrow takes
about as long as psql needs to throw the same bytes away. libpq hands over one row at a time, so blocks end
where rows do and a row of any size works. NULL is an unquoted empty field, an empty text a quoted one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from queue import Empty, Queue
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.csv as pacsv
from psycopg2 import sql

from connectors.errors import SourceDataError
from connectors.postgres.catalog import unrepresentable

BLOCK_BYTES = 1 << 20
BLOCK_ROWS = 1 << 16
_BLOCKS_AHEAD = 4
_POLL_SECONDS = 0.05

_CONVERSION = re.compile(r"In CSV column #(?P<column>\d+): (?P<reason>.*)", re.S)
_VALUE = re.compile(r"invalid value '(?P<value>.*)'|Error converting '(?P<other>.*?)' to", re.S)


class _RowBlocks:
    """The file that psycopg2 writes to, one row a call; rows leave as blocks of bytes through a queue."""

    def __init__(self) -> None:
        self.queue: Queue[bytes | None] = Queue(_BLOCKS_AHEAD)
        self._rows: list[bytes] = []
        self._size = 0

    def write(self, row: bytes) -> None:
        self._rows.append(row)
        self._size += len(row)
        if self._size >= BLOCK_BYTES or len(self._rows) >= BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            block = b"".join(self._rows)
            self._rows, self._size = [], 0
            self.queue.put(block)

    def finish(self) -> None:
        self.queue.put(None)


def copy_batches(cursor: Any, select: sql.Composable, schema: pa.Schema, where: str) -> Generator[pa.RecordBatch]:
    """The rows of a select as record batches of ``schema``.

    Raises SourceDataError for a value that the schema cannot hold, and the driver's error when the stream
    breaks: a stream that ends early never looks complete. Closing the iterator early cancels the statement.
    """
    with closing(_blocks(cursor, select)) as blocks:
        for block in blocks:
            yield _parse(block, schema, where)


def _blocks(cursor: Any, select: sql.Composable) -> Generator[bytes]:
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')").format(select).as_string(cursor)
    rows = _RowBlocks()
    with ThreadPoolExecutor(1, thread_name_prefix="kalla-copy") as pool:
        copying = pool.submit(_copy, cursor, statement, rows)
        with _stopped_at_the_end(cursor.connection, copying, rows):
            while (block := rows.queue.get()) is not None:
                yield block
            copying.result()  # raises what broke the stream


def _copy(cursor: Any, statement: str, rows: _RowBlocks) -> None:
    try:
        cursor.copy_expert(statement, rows)
        rows.flush()
    finally:
        rows.finish()


@contextmanager
def _stopped_at_the_end(connection: Any, copying: Future[None], rows: _RowBlocks) -> Iterator[None]:
    """Whatever ends the block, no thread is left copying: the statement is cancelled, its rows dropped."""
    try:
        yield
    finally:
        if not copying.done():
            with suppress(psycopg2.Error):  # the connection is lost already; then the copy ends by itself
                connection.cancel()
        while not copying.done():
            with suppress(Empty):
                rows.queue.get(timeout=_POLL_SECONDS)


def _parse(block: bytes, schema: pa.Schema, where: str) -> pa.RecordBatch:
    names = [str(i) for i in range(len(schema))]  # positions, as a column may have any name
    try:
        table = pacsv.read_csv(
            pa.BufferReader(block),
            pacsv.ReadOptions(column_names=names, block_size=len(block) + 1, use_threads=False),
            pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            pacsv.ConvertOptions(
                column_types=dict(zip(names, schema.types, strict=True)),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
    except pa.ArrowInvalid as error:
        raise _value_fault(str(error), schema, where) from None
    (batch,) = table.to_batches()
    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _value_fault(text: str, schema: pa.Schema, where: str) -> SourceDataError:
    found = _CONVERSION.search(text)
    if found is None:
        return SourceDataError(f"The source {where} sent rows that cannot be parsed: {text}", hint="Report this.")
    name = schema.names[int(found["column"])]
    if "UTF8" in found["reason"]:
        return SourceDataError(
            f"The source {where} holds text in column {name!r} that is not valid UTF-8.",
            hint="Correct the text, or the encoding that the database declares.",
        )
    value = _VALUE.search(found["reason"])
    shown = "a value" if value is None else value["value"] or value["other"] or "a value"
    return unrepresentable(where, name, shown)


__all__ = ["copy_batches"]
