"""Arrow columns of any type -> the kinds of contract 1.5, value for value.

Every incoming type becomes one of int8 .. int64, decimal128, double, string, date32, timestamp[us] without
zone or in UTC, or bool. A value that does not fit stops with its column named; nothing turns into NULL.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.errors import SourceDataError
from recipe import Column, Kind, format_cell

MAX_PRECISION = 38
# What connectors that type their own columns make of each kind; a decimal's type has its digits.
OF_KIND = {
    Kind.INTEGER: pa.int64(),
    Kind.DOUBLE: pa.float64(),
    Kind.TEXT: pa.string(),
    Kind.DATE: pa.date32(),
    Kind.TIMESTAMP: pa.timestamp("us"),
    Kind.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    Kind.BOOLEAN: pa.bool_(),
}
_US, _US_UTC = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
_DAYS = (-719_162, 2_932_896)  # from 0001-01-01 to 9999-12-31, counted from 1970-01-01
_DAY_US = 86_400_000_000
Convert = Callable[[pa.Array], pa.Array]


@dataclass(frozen=True)
class Mapping:
    """How one column arrives. ``convert`` None: as it is. ``plain``: every engine reads the same from the
    file."""

    column: Column
    arrow: pa.DataType
    convert: Convert | None = None
    plain: bool = False

    def apply(self, cells: pa.Array) -> pa.Array:
        """The cells in the column's own type. Raises SourceDataError naming the column."""
        try:
            found = cells if self.convert is None else self.convert(cells)
            if pa.types.is_string(found.type):
                found.validate(full=True)  # Arrow itself does not look whether text is UTF-8
            elif pa.types.is_temporal(found.type) and not in_calendar(found):
                raise ValueError("a year outside 1 to 9999")
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise SourceDataError(
                f"Column {self.column.name!r} holds a value that cannot be represented exactly as"
                f" {self.column.kind}; its type is {self.column.native}.",
                code="source.unrepresentable_value",
                hint="Correct the value, or write the column with another type.",
            ) from error
        return found


def in_calendar(cells: pa.Array) -> bool:
    """Whether all dates (date32) or moments (timestamps in microseconds) lie in the years 1 to 9999; NULLs do."""
    is_date = pa.types.is_date32(cells.type)
    found = pc.min_max(cells.cast(pa.int32() if is_date else pa.int64()))
    first, last = found["min"].as_py(), found["max"].as_py()
    unit = 1 if is_date else _DAY_US
    return first is None or (_DAYS[0] * unit <= first and last < (_DAYS[1] + 1) * unit)


def map_field(field: pa.Field) -> Mapping:
    """The mapping for one field. Raises SourceDataError ``source.unsupported_type`` where there is none."""
    kind, native = field.type, str(field.type)
    storage = _storage(kind)
    for test, build in _RULES:
        if test(storage):
            arrow, convert, plain = build(storage)
            convert = _through_storage(kind, convert)
            column = _column(field, native, arrow)
            return Mapping(column, arrow, convert, plain and not isinstance(kind, pa.BaseExtensionType))
    raise SourceDataError(
        f"Column {field.name!r} has the type {native}, which has no exact form here.",
        code="source.unsupported_type",
        hint="Write the column as a decimal of at most 38 digits, a text, or a timestamp.",
    )


def _column(field: pa.Field, native: str, arrow: pa.DataType) -> Column:
    precision = arrow.precision if pa.types.is_decimal(arrow) else None
    scale = arrow.scale if pa.types.is_decimal(arrow) else None
    return Column(field.name, _kind(arrow), native, field.nullable, precision, scale)


def _kind(arrow: pa.DataType) -> Kind:
    for test, kind in _KINDS:
        if test(arrow):
            return kind
    raise AssertionError(f"{arrow} is no type of ours")


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pa.types.is_integer, Kind.INTEGER),
    (pa.types.is_decimal, Kind.DECIMAL),
    (pa.types.is_float64, Kind.DOUBLE),
    (pa.types.is_string, Kind.TEXT),
    (pa.types.is_date32, Kind.DATE),
    (pa.types.is_boolean, Kind.BOOLEAN),
    (lambda t: t == _US, Kind.TIMESTAMP),
    (lambda t: t == _US_UTC, Kind.TIMESTAMPTZ),
)


def _storage(kind: pa.DataType) -> pa.DataType:
    """The type below an extension or a dictionary."""
    if isinstance(kind, pa.BaseExtensionType):
        return _UUID if kind.extension_name == "arrow.uuid" else _storage(kind.storage_type)
    return _storage(kind.value_type) if pa.types.is_dictionary(kind) else kind


_UUID = pa.binary(16)


def _through_storage(kind: pa.DataType, convert: Convert | None) -> Convert | None:
    if isinstance(kind, pa.BaseExtensionType):
        inner = _uuid_texts if kind.extension_name == "arrow.uuid" else convert
        return lambda cells: inner(cells.storage) if inner else cells.storage
    if pa.types.is_dictionary(kind):
        return lambda cells: convert(cells.dictionary_decode()) if convert else cells.dictionary_decode()
    return convert


def _uuid_texts(cells: pa.Array) -> pa.Array:
    return _each(cells, lambda value: str(uuid.UUID(bytes=value)))


def _cast(target: pa.DataType) -> Convert:
    return lambda cells: pc.cast(cells, target)


def _each(cells: pa.Array, function: Callable[[Any], str | None]) -> pa.Array:
    return pa.array([None if v is None else function(v) for v in cells.to_pylist()], pa.string())


def _through_text(cells: pa.Array) -> pa.Array:
    """Single-precision numbers by their shortest text, so that 0.1 stays 0.1 and not 0.10000000149011612."""
    return pc.cast(pc.cast(cells, pa.string()), pa.float64())


def _half_floats(cells: pa.Array) -> pa.Array:
    return pa.array([None if v is None else float(str(v)) for v in cells.to_pylist()], pa.float64())


def _times(cells: pa.Array) -> pa.Array:
    return _each(pc.cast(cells, pa.time64("us")), format_cell)


def _maps(cells: pa.Array) -> pa.Array:
    return _each(cells, lambda pairs: format_cell(dict(pairs)))


Rule = Callable[[pa.DataType], tuple[pa.DataType, Convert | None, bool]]


def _as(target: pa.DataType, convert: Convert | None = None, plain: bool = False) -> Rule:
    return lambda _: (target, convert or _cast(target), plain)


def _same(kind: pa.DataType) -> tuple[pa.DataType, Convert | None, bool]:
    return kind, None, True


def _decimal(kind: pa.DataType) -> tuple[pa.DataType, Convert | None, bool]:
    target = pa.decimal128(kind.precision, max(kind.scale, 0))
    if kind.scale < 0:
        target = pa.decimal128(min(kind.precision - kind.scale, MAX_PRECISION), 0)
    return target, (None if kind == target else _cast(target)), kind == target


def _timestamp(kind: pa.DataType) -> tuple[pa.DataType, Convert | None, bool]:
    target = _US if kind.tz is None else _US_UTC
    # nanoseconds are plain for no engine; a cast refuses those that microseconds cannot hold
    return target, (None if kind == target else _cast(target)), kind.unit in ("us", "ms")


_RULES: tuple[tuple[Callable[[pa.DataType], bool], Rule], ...] = (
    (pa.types.is_signed_integer, _same),
    (pa.types.is_uint8, _as(pa.int16())),
    (pa.types.is_uint16, _as(pa.int32())),
    (pa.types.is_uint32, _as(pa.int64())),
    (pa.types.is_uint64, _as(pa.decimal128(20, 0))),
    (lambda t: pa.types.is_decimal(t) and t.precision <= MAX_PRECISION, _decimal),
    (pa.types.is_float64, _same),
    (pa.types.is_float32, _as(pa.float64(), _through_text)),
    (pa.types.is_float16, _as(pa.float64(), _half_floats)),
    (pa.types.is_string, _same),
    (lambda t: pa.types.is_large_string(t) or pa.types.is_string_view(t), _as(pa.string(), plain=True)),
    (lambda t: t is _UUID, _as(pa.string(), _uuid_texts)),
    (
        lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t) or pa.types.is_fixed_size_binary(t),
        _as(pa.string(), lambda cells: _each(cells, format_cell)),
    ),
    (pa.types.is_date32, _same),
    (pa.types.is_date64, _as(pa.date32())),
    (pa.types.is_timestamp, _timestamp),
    (pa.types.is_time, _as(pa.string(), _times)),
    (pa.types.is_boolean, _same),
    (pa.types.is_null, _as(pa.string())),
    (pa.types.is_map, _as(pa.string(), _maps)),
    (
        lambda t: pa.types.is_nested(t) and not pa.types.is_union(t),
        _as(pa.string(), lambda cells: _each(cells, format_cell)),
    ),
)
