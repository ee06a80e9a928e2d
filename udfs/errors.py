"""Errors of the match functions, and the translation of an engine's arithmetic error into one."""

from __future__ import annotations

import re
from typing import ClassVar

import duckdb

from recipe import KallaError

INVALID_ARGUMENT = "udf.invalid_argument"
INVALID_PATTERN = "udf.invalid_pattern"
OUT_OF_RANGE = "udf.out_of_range"

_RANGE_HINT = "Numbers may have 28 digits before and 10 after the decimal point; round or scale the column first."
_NO_ROOM = re.compile(r"DECIMAL|INT\d+|HUGEINT|out of range", re.IGNORECASE)
_RAISED = re.compile(r"\[(udf\.[a-z_]+)\] ([^\"\n]+)")


class UdfError(KallaError):
    """A match function got arguments that it cannot work with."""

    default_code: ClassVar[str] = INVALID_ARGUMENT


def from_engine(error: BaseException) -> UdfError | None:
    """The UdfError behind an error that DuckDB raised while it evaluated a lowered tree.

    None for an error that has nothing to do with the values of match functions; the caller then keeps its
    own.
    """
    raised = _RAISED.search(str(error))
    if raised is not None:
        return UdfError(raised.group(2).strip(), code=raised.group(1), hint=_RANGE_HINT)
    too_large = isinstance(error, duckdb.ConversionException) and _NO_ROOM.search(str(error)) is not None
    if too_large or isinstance(error, duckdb.OutOfRangeException):
        return UdfError(
            "A calculation in match_sql gave a number that does not fit 38 digits.",
            code=OUT_OF_RANGE,
            hint=_RANGE_HINT,
        )
    return None
