"""Evidence as one file for people: CSV, a workbook, or a single Parquet file. Written aside and renamed when whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.errors import EvidenceError, PipelineError
from pipelines.evidence.cells import neutral
from pipelines.evidence.reader import Evidence, text_array
from pipelines.evidence.workbook import write_set_workbook, write_whole_workbook
from pipelines.parts import ROW_GROUP_ROWS

_MARK = b"\xef\xbb\xbf"  # tells spreadsheets that a CSV is UTF-8
FORMATS = ("csv", "xlsx", "parquet")


def export(
    folder: str | Path,
    set_name: str,
    format_name: str,
    target: str | Path,
    raw: bool = False,
    overwrite: bool = False,
) -> int:
    """Write one set to ``target``; returns its rows.

    ``csv`` is UTF-8 with a byte-order mark, and a text that a spreadsheet would run as a formula gets a leading
    apostrophe unless ``raw``. Raises EvidenceError ``evidence.unknown_format``, ``evidence.target_exists``,
    ``evidence.too_many_rows``, ``evidence.cell_too_long`` and those of ``Evidence``.
    """
    evidence = Evidence(folder)
    total = evidence.total(set_name)
    check_format(format_name)
    with _written(Path(target), overwrite) as partial:
        if format_name == "csv":
            _write_csv(evidence, set_name, partial, raw)
        elif format_name == "xlsx":
            write_set_workbook(evidence, set_name, partial)
        else:
            _write_parquet(evidence, set_name, partial)
    return total


def export_workbook(folder: str | Path, target: str | Path, overwrite: bool = False) -> int:
    """Write a workbook with a summary and all three sets; returns the rows of the sets. Raises as ``export``."""
    evidence = Evidence(folder)
    with _written(Path(target), overwrite) as partial:
        return write_whole_workbook(evidence, partial)


@contextlib.contextmanager
def _written(target: Path, overwrite: bool) -> Iterator[Path]:
    """A new file's path; it becomes ``target`` when the block ends well."""
    target = target.absolute()
    if target.is_dir() or (target.exists() and not overwrite):
        raise EvidenceError(
            f"{target} already exists.",
            code="evidence.target_exists",
            hint="Choose another file, or use --overwrite.",
        )
    if not target.parent.is_dir():
        raise EvidenceError(
            f"There is no folder {target.parent}.",
            code="evidence.no_folder",
            hint="Make it first, or name another file.",
        )
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name[:100]}.", dir=target.parent) as scratch:
            partial = Path(scratch) / "export"
            yield partial
            os.replace(partial, target)
    except PermissionError as error:
        raise PipelineError(
            f"No permission to write into {target.parent}.",
            code="evidence.denied",
            hint="Choose another folder.",
        ) from error


def check_format(format_name: str) -> None:
    """Raises EvidenceError ``evidence.unknown_format``."""
    if format_name not in FORMATS:
        raise EvidenceError(
            f"There is no format {format_name!r}.",
            code="evidence.unknown_format",
            hint=f"Use {', '.join(FORMATS)}.",
        )


def _write_csv(evidence: Evidence, set_name: str, path: Path, raw: bool) -> None:
    with path.open("wb") as file:
        file.writelines(csv_blocks(evidence, set_name, raw))


def csv_blocks(evidence: Evidence, set_name: str, raw: bool = False) -> Iterator[bytes]:
    """A set as CSV in UTF-8 with a byte-order mark, block by block; unless ``raw`` safe for a spreadsheet."""
    names = pa.array(evidence.schema(set_name).names, pa.string())
    header = _csv_cells(names, raw).to_pylist()
    yield _MARK + ",".join(header).encode() + b"\r\n"
    for batch in evidence.batches(set_name):
        lines = pc.binary_join_element_wise(*(_csv_cells(c, raw) for c in batch.columns), ",")
        yield "".join(f"{line}\r\n" for line in lines.to_pylist()).encode()


def _csv_cells(column: pa.Array, raw: bool) -> pa.Array:
    """The cells of a column as they stand in a CSV: in quotes where a delimiter, a quote or a new line is in them."""
    texts = text_array(column)
    if pa.types.is_string(column.type) and not raw:
        texts = neutral(texts)
    texts = pc.fill_null(texts, "")
    special = pc.match_substring_regex(texts, '[",\r\n]')
    if not pc.any(special).as_py():
        return texts
    quote = pa.scalar('"')
    doubled = pc.replace_substring(texts, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise(quote, doubled, quote, ""), texts)


def _write_parquet(evidence: Evidence, set_name: str, path: Path) -> None:
    parts = evidence.parts(set_name)
    if len(parts) == 1:
        shutil.copyfile(parts[0].path, path)
        return
    with pq.ParquetWriter(path, evidence.schema(set_name), compression="zstd", compression_level=1) as writer:
        for table in row_group_tables(evidence, set_name):
            writer.write_table(table)


def row_group_tables(evidence: Evidence, set_name: str) -> Iterator[pa.Table]:
    """The rows of a set in tables of a row group's size."""
    schema = evidence.schema(set_name)
    held: list[pa.RecordBatch] = []
    for batch in evidence.batches(set_name):
        held.append(batch)
        if sum(b.num_rows for b in held) >= ROW_GROUP_ROWS:
            yield pa.Table.from_batches(held, schema)
            held = []
    if held:
        yield pa.Table.from_batches(held, schema)
