"""Declared types of SQLite -> kinds and Arrow types, and cells of any storage class -> the column's own type.

SQLite lets every cell hold anything. A column's kind follows from what it was declared as; a cell that does not fit
stops with its column named. What was declared as nothing that is known here is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.arrow_types import MAX_PRECISION as MAX_DIGITS
from connectors.arrow_types import OF_KIND, in_calendar
from recipe import Column, Kind, format_cell

REAL_DIGITS = 15  # that SQLite keeps of a decimal which it stores in binary
_DECIMAL = re.compile(r"(?:DECIMAL|NUMERIC)[A-Z _]*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_BLANKS = " \t\n\r\v\f\u00a0\u202f"  # those that ``recipe.parse_number`` allows around a number
_TIMES = {
    "DATE": Kind.DATE,
    "DATETIME": Kind.TIMESTAMP,
    "TIMESTAMP": Kind.TIMESTAMP,
    "TIMESTAMP WITHOUT TIME ZONE": Kind.TIMESTAMP,
    "TIMESTAMPTZ": Kind.TIMESTAMPTZ,
    "DATETIME WITH TIME ZONE": Kind.TIMESTAMPTZ,
    "TIMESTAMP WITH TIME ZONE": Kind.TIMESTAMPTZ,
}


@dataclass(frozen=True)
class SqliteColumn:
    """A column, and its place in the declared primary key (0: none)."""

    column: Column
    key: int = 0

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def arrow(self) -> pa.DataType:
        if self.column.kind is not Kind.DECIMAL:
            return OF_KIND[self.column.kind]
        return pa.decimal128(self.column.precision, self.column.scale)

    def cells(self, values: Sequence[Any]) -> pa.Array:
        """The values in the column's type. Raises Unfit for the first that has no exact form in it."""
        try:
            return _CONVERT[self.column.kind](values, self.arrow)
        except (pa.ArrowException, OverflowError, _Misfit):
            for value in values:
                try:
                    _CONVERT[self.column.kind]([value], self.arrow)
                except (pa.ArrowException, OverflowError, _Misfit):
                    raise Unfit(value) from None
            raise


class Unfit(Exception):
    """A cell that its column cannot hold."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class _Misfit(Exception):
    """Some value of a list."""


def column_of(name: str, declared: str, nullable: bool, key: int) -> SqliteColumn:
    """The column that a declared type makes.

    >>> column_of("amount", "decimal(18, 2)", True, 0).column.scale
    2
    """
    kind, precision, scale = _kind_of(" ".join(declared.upper().split()))
    return SqliteColumn(Column(name, kind, declared.lower() or "any", nullable, precision, scale), key)


def _kind_of(declared: str) -> tuple[Kind, int | None, int | None]:
    if found := _DECIMAL.fullmatch(declared):
        precision, scale = int(found[1]), int(found[2] or 0)
        if 1 <= precision <= MAX_DIGITS and scale <= precision:
            return Kind.DECIMAL, precision, scale
        return Kind.TEXT, None, None
    if declared in _TIMES:
        return _TIMES[declared], None, None
    if declared in ("BOOL", "BOOLEAN"):
        return Kind.BOOLEAN, None, None
    # SQLite's own rules of affinity, in its order
    if "INT" in declared:
        return Kind.INTEGER, None, None
    if any(word in declared for word in ("CHAR", "CLOB", "TEXT", "BLOB")):
        return Kind.TEXT, None, None
    if any(word in declared for word in ("REAL", "FLOA", "DOUB")):
        return Kind.DOUBLE, None, None
    return Kind.TEXT, None, None


def _integers(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    return pa.array(_only(values, int), arrow)


def _booleans(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    if any(value not in (0, 1) for value in _only(values, int) if value is not None):
        raise _Misfit
    return pa.array([None if value is None else value == 1 for value in values], arrow)


def _doubles(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    return pa.array(_only(values, float, int), arrow)  # Arrow refuses integers that a double cannot hold


def _texts(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    return pa.array([value if type(value) is str else format_cell(value) for value in values], arrow)


def _times(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    found = pa.array(_only(values, str), pa.string()).cast(arrow)
    if not in_calendar(found):
        raise _Misfit
    return found


def _decimals(values: Sequence[Any], arrow: pa.DataType) -> pa.Array:
    step = Decimal(1).scaleb(-arrow.scale)
    return pa.array([_decimal(value, step) for value in values], arrow)


def _decimal(value: Any, step: Decimal) -> Decimal | None:
    """A number exactly as stored; one that SQLite holds in binary by its shortest text, if that is short enough to be
    what was put in, and no other multiple of ``step`` would be held alike."""
    if value is None or isinstance(value, int):
        return None if value is None else Decimal(value)
    if isinstance(value, float):
        found = Decimal(repr(value))
        if not found.is_finite() or len(found.normalize().as_tuple().digits) > REAL_DIGITS:
            raise _Misfit
        if Decimal(math.ulp(value)) >= step:
            raise _Misfit
        return found
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip(_BLANKS)):
        return Decimal(value.strip(_BLANKS))
    raise _Misfit


def _only(values: Sequence[Any], *kinds: type) -> Sequence[Any]:
    if not {type(value) for value in values} <= {*kinds, type(None)}:
        raise _Misfit
    return values


_CONVERT: dict[Kind, Callable[[Sequence[Any], pa.DataType], pa.Array]] = {
    Kind.INTEGER: _integers,
    Kind.BOOLEAN: _booleans,
    Kind.DOUBLE: _doubles,
    Kind.TEXT: _texts,
    Kind.DATE: _times,
    Kind.TIMESTAMP: _times,
    Kind.TIMESTAMPTZ: _times,
    Kind.DECIMAL: _decimals,
}
