"""Types of MySQL and MariaDB -> kinds and Arrow types, and cells from the texts that the server prints.

Whole numbers, decimals, doubles, dates and moments keep their kind; TINYINT(1) is a whole number, since it holds more
than two values, BIT(1) is a boolean. A FLOAT becomes the double of its own shortest text, so that 0.1 stays 0.1. Binary
values are hex, everything else is text. A value without an exact form, such as the date 0000-00-00, stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from connectors.arrow_types import MAX_PRECISION as MAX_DIGITS
from connectors.arrow_types import OF_KIND, in_calendar
from recipe import Column, Kind

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")
_KINDS = {
    **dict.fromkeys(_INTEGERS, Kind.INTEGER),
    "float": Kind.DOUBLE,
    "double": Kind.DOUBLE,
    "date": Kind.DATE,
    "datetime": Kind.TIMESTAMP,
    "timestamp": Kind.TIMESTAMPTZ,  # stored in UTC, and the session's time zone is UTC
}
_BINARY = (
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
)  # fmt: skip
SHORT_TEXTS = ("char", "varchar", "tinytext", "text")
LISTED_TEXTS = ("enum", "set")


class Unfit(Exception):
    """A cell that its column cannot hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


@dataclass(frozen=True)
class MysqlColumn:
    """A column; ``base`` is its type without sizes, as the catalogue names it."""

    column: Column
    base: str

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def identifier(self) -> str:
        return quoted(self.name)

    @property
    def arrow(self) -> pa.DataType:
        if self.column.kind is not Kind.DECIMAL:
            return OF_KIND[self.column.kind]
        return pa.decimal128(self.column.precision, self.column.scale)

    @property
    def number(self) -> str:
        """The expression that compares as the number that ``printed`` prints: bits are no number by themselves, and a
        year is compared with 26 as with 2026."""
        return f"({self.identifier} + 0)" if self.base in ("bit", "year") else self.identifier

    @property
    def printed(self) -> str:
        """The expression whose text is the value: FLOAT prints six digits, DOUBLE(10,2) two behind the point."""
        if self.base in ("float", "double"):
            return f"{self.identifier} + 0e0"
        return self.number

    def cells(self, values: Sequence[bytes | None]) -> pa.Array:
        """The values in the column's type. Raises Unfit for the first that has no exact form in it."""
        try:
            return self._cells(values)
        except pa.ArrowException:
            for value in values:
                try:
                    self._cells([value])
                except pa.ArrowException:
                    raise Unfit((value or b"").decode("utf-8", "replace")) from None
            raise

    def _cells(self, values: Sequence[bytes | None]) -> pa.Array:
        if self.base in _BINARY:
            return pa.array([None if value is None else value.hex() for value in values], pa.string())
        texts = pa.array(values, pa.binary()).cast(pa.string())
        if self.base == "float":
            return texts.cast(pa.float64()).cast(pa.float32()).cast(pa.string()).cast(pa.float64())
        if self.column.kind is Kind.TIMESTAMPTZ:
            found = texts.cast(pa.timestamp("us")).cast(self.arrow)
        elif self.column.precision == MAX_DIGITS:  # may be declared wider, and Arrow makes other numbers of 40 digits
            found = texts.cast(pa.decimal256(76, self.column.scale)).cast(self.arrow)
        else:
            found = texts.cast(self.arrow)
        if self.column.kind.is_time and not in_calendar(found):
            raise pa.ArrowInvalid("a year outside 1 to 9999")
        return found


def quoted(name: str) -> str:
    """The name as an identifier of SQL, whatever the server's mode.

    >>> quoted("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def column_of(
    name: str, base: str, declared: str, nullable: bool, digits: int | None, scale: int | None
) -> MysqlColumn:
    """The column of a type; ``digits`` and ``scale`` are those of a number, or the number of bits.

    >>> column_of("total", "bigint", "bigint unsigned", True, 20, 0).column.kind.value
    'decimal'
    """
    native = base if base in LISTED_TEXTS else declared
    kind, precision, scale = _kind_of(base, declared, digits or 0, scale or 0)
    return MysqlColumn(Column(name, kind, native, nullable, precision, scale), base)


def _kind_of(base: str, declared: str, digits: int, scale: int) -> tuple[Kind, int | None, int | None]:
    if base == "decimal":
        return Kind.DECIMAL, min(digits, MAX_DIGITS), scale
    if (base == "bigint" and "unsigned" in declared) or (base == "bit" and digits == 64):
        return Kind.DECIMAL, 20, 0
    if base == "bit":
        return (Kind.BOOLEAN if digits == 1 else Kind.INTEGER), None, None
    return _KINDS.get(base, Kind.TEXT), None, None
