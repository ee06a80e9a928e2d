"""Errors of planning, running and committing, and how they cross from a Beam worker to the driver."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa

from recipe import KallaError
from udfs import from_engine


class PipelineError(KallaError):
    """A run could not be planned, executed or committed."""

    default_code: ClassVar[str] = "run.failed"


class OutputRefused(PipelineError):
    """The output folder cannot take this run's evidence."""

    default_code = "run.output_exists"


class EvidenceError(PipelineError):
    """Evidence cannot be read or does not hold what its manifest says."""

    default_code = "evidence.unreadable"


_FAILURE_FILE = "failure.json"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_SPACE = ("No space left on device", "Disk quota exceeded", "File too large", "max_temp_directory_size")


def translate(error: Exception) -> KallaError:
    """The error a person reads for what a library raised. Unknown errors keep their class name and text."""
    text = str(error)
    if isinstance(error, KallaError):
        return error
    if (isinstance(error, OSError) and error.errno in FULL) or any(mark in text for mark in _NO_SPACE):
        return PipelineError(
            "The disk is full.",
            code="run.disk_full",
            hint="Free space where evidence and scratch data are written, or name other folders: --output, --staging.",
        )
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError | pa.ArrowMemoryError):
        return PipelineError(
            "The run needs more memory than it was given.",
            code="run.memory_exceeded",
            hint="Give runs more: --memory-limit, or KALLA_MEMORY_LIMIT.",
        )
    if isinstance(error, duckdb.Error) and (known := from_engine(error)) is not None:
        return known
    if isinstance(error, PermissionError):
        return PipelineError(
            f"No permission: {error.filename}", code="run.output_denied", hint="Choose a folder you may write to."
        )
    if isinstance(error, pa.ArrowInvalid) or (isinstance(error, OSError) and error.errno is None) or _is_damage(error):
        return PipelineError(
            f"A Parquet file of this run is damaged: {text.splitlines()[0]}",
            code="source.unreadable",
            hint="Check the source file; if it is sound, run again.",
        )
    return PipelineError(f"{type(error).__name__}: {text}", code="internal.error")


def _is_damage(error: Exception) -> bool:
    """Whether the engine could not decode a file: it has no class of its own for that."""
    return type(error) in (duckdb.Error, duckdb.IOException, duckdb.InvalidInputException)


@contextmanager
def recorded(folder: str) -> Iterator[None]:
    """Write the first failure inside to ``folder``, then let it pass.

    Beam hands an exception back as text of its own; the file keeps code, message and hint.
    """
    try:
        yield
    except Exception as error:
        path = Path(folder) / _FAILURE_FILE
        known = translate(error)
        record = {"message": known.message, "code": known.code, "hint": known.hint, "details": known.details}
        try:
            with path.open("x", encoding="utf-8") as file:
                json.dump(record, file)
        except OSError:  # another worker was first, or the disk is full: the error below still says it
            raise error from None
        raise


def recorded_failure(folder: str, error: Exception) -> KallaError:
    """What ``recorded`` wrote, else a translation of the exception the driver saw."""
    path = Path(folder) / _FAILURE_FILE
    if path.exists() and path.stat().st_size:
        record = json.loads(path.read_text(encoding="utf-8"))
        return PipelineError(record["message"], code=record["code"], hint=record["hint"], details=record["details"])
    return translate(error)
