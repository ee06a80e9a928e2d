"""Evidence as one file for people: CSV, a workbook, or a single Parquet file. Written aside and renamed when whole."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.errors import EvidenceError, PipelineError
from pipelines.evidence.cells import neutral
from pipelines.evidence.reader import Evidence, text_columns
from pipelines.evidence.workbook import write_set_workbook, write_whole_workbook
from pipelines.parts import ROW_GROUP_ROWS

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
    if format_name not in FORMATS:
        raise EvidenceError(
            f"There is no format {format_name!r}.",
            code="evidence.unknown_format",
            hint=f"Use {', '.join(FORMATS)}.",
        )
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


def _write_csv(evidence: Evidence, set_name: str, path: Path, raw: bool) -> None:
    names = pa.array(evidence.schema(set_name).names, pa.string())
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow((names if raw else neutral(names)).to_pylist())
        for batch in evidence.batches(set_name):
            safe = batch if raw else _neutral_batch(batch)
            writer.writerows(zip(*text_columns(safe), strict=True))


def _neutral_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [neutral(c) if pa.types.is_string(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _write_parquet(evidence: Evidence, set_name: str, path: Path) -> None:
    parts = evidence.parts(set_name)
    if len(parts) == 1:
        shutil.copyfile(parts[0].path, path)
        return
    schema = evidence.schema(set_name)
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        held: list[pa.RecordBatch] = []
        for batch in evidence.batches(set_name):
            held.append(batch)
            if sum(b.num_rows for b in held) >= ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held, schema))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))
