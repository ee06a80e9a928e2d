"""Errors of planning, running and committing, and how they cross from a Beam worker to the driver."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import duckdb
import pyarrow as pa

from pipelines.paths import partial
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


UNKNOWN = "internal.error"
# Apart, so that what a library raised first never hides the failure that a person can mend.
_KNOWN_FILE, _UNKNOWN_FILE = "failure.json", "failure-unknown.json"
FAILURES = "failure*.json"  # both
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
    return PipelineError(f"{type(error).__name__}: {text}", code=UNKNOWN)


def _is_damage(error: Exception) -> bool:
    """Whether the engine could not decode a file: it has no class of its own for that."""
    return type(error) in (duckdb.Error, duckdb.IOException, duckdb.InvalidInputException)


@contextmanager
def recorded(folder: str) -> Iterator[None]:
    """Write the first failure inside to ``folder``, then let it pass; one with a code of its own beside one without.

    Beam hands an exception back as text of its own; the file keeps code, message and hint.
    """
    try:
        yield
    except Exception as error:
        try:
            _record(Path(folder), translate(error))
        except OSError:  # the disk is full: the error below still says it
            raise error from None
        raise


def _record(folder: Path, known: KallaError) -> None:
    path = folder / (_UNKNOWN_FILE if known.code == UNKNOWN else _KNOWN_FILE)
    if path.exists():
        return
    record = {"message": known.message, "code": known.code, "hint": known.hint, "details": known.details}
    unready = partial(path)  # whoever reads the file finds it whole
    unready.write_text(json.dumps(record), encoding="utf-8")
    unready.replace(path)


_IN_TEXT = re.compile(r"\[([a-z]+\.[a-z_]+)\] (.*?) \[hint\] (.*?) \[end\]", re.DOTALL)


def as_text(error: KallaError) -> str:
    """An error in words that a cluster's message may hold among others: where no file can tell of it."""
    return f"[{error.code}] {error.message} [hint] {error.hint} [end]"


def from_text(text: str) -> PipelineError | None:
    """The error that ``as_text`` had put there; None where there is none."""
    found = _IN_TEXT.search(text)
    return PipelineError(found[2], code=found[1], hint=found[3]) if found else None


def known_failure(folder: str) -> KallaError | None:
    """The failure with a code of its own that ``recorded`` wrote: trying the step again cannot mend it. None while
    there is none."""
    return _read(Path(folder) / _KNOWN_FILE)


def recorded_failure(folder: str, error: Exception) -> KallaError:
    """What ``recorded`` wrote, a failure with a code of its own first; else a translation of the exception the driver
    saw."""
    return known_failure(folder) or _read(Path(folder) / _UNKNOWN_FILE) or translate(error)


def _read(path: Path) -> KallaError | None:
    if not path.exists():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    return PipelineError(record["message"], code=record["code"], hint=record["hint"], details=record["details"])
