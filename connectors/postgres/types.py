"""PostgreSQL types -> columns, Arrow types, and the SQL that prints and compares a column's values.

Integers, numerics, money, doubles, dates, timestamps and booleans keep their kind; everything else is the
text that PostgreSQL prints (bytea as hex without ``\\x``). A ``real`` becomes the double of its own shortest
text, so that 0.1 stays 0.1. A numeric whose declaration does not say how wide it is (no precision, or one
beyond 38 digits) gets its scale from the data, under the snapshot (``measure``).
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from psycopg2 import sql

from connectors.arrow_types import MAX_PRECISION as MAX_DIGITS
from connectors.arrow_types import OF_KIND
from recipe import Column, Kind

BOOL, BYTEA, INT8, INT2, INT4, TEXT, OID = 16, 17, 20, 21, 23, 25, 26
FLOAT4, FLOAT8, MONEY, VARCHAR = 700, 701, 790, 1043
DATE, TIMESTAMP, TIMESTAMPTZ, NUMERIC = 1082, 1114, 1184, 1700

_KINDS = {
    BOOL: Kind.BOOLEAN,
    INT2: Kind.INTEGER,
    INT4: Kind.INTEGER,
    INT8: Kind.INTEGER,
    OID: Kind.INTEGER,
    FLOAT4: Kind.DOUBLE,
    FLOAT8: Kind.DOUBLE,
    NUMERIC: Kind.DECIMAL,
    MONEY: Kind.DECIMAL,
    DATE: Kind.DATE,
    TIMESTAMP: Kind.TIMESTAMP,
    TIMESTAMPTZ: Kind.TIMESTAMPTZ,
}


@dataclass(frozen=True)
class PgColumn:
    """A column as the catalogue knows it. ``type_oid`` and ``modifier`` are those of a domain's base type.

    ``byte_equal`` is true where two texts are equal only when their bytes are (every collation but the rare
    nondeterministic ones).
    """

    name: str
    native: str
    type_oid: int
    modifier: int
    nullable: bool
    byte_equal: bool = True
    money_scale: int = 2

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self.type_oid, Kind.TEXT)

    @property
    def identifier(self) -> sql.Composable:
        return sql.Identifier(self.name)

    @property
    def declared(self) -> tuple[int, int] | None:
        """Precision and scale of a decimal, when the type alone tells them and Arrow can hold them."""
        if self.type_oid == MONEY:
            return 19, self.money_scale
        if self.type_oid != NUMERIC or self.modifier < 0:
            return None
        packed = self.modifier - 4
        precision, scale = (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
        if scale < 0:  # numeric(3,-2): whole hundreds of up to five digits
            precision, scale = precision - scale, 0
        precision = max(precision, scale)  # numeric(2,4): thousandths only
        return (precision, scale) if precision <= MAX_DIGITS else None

    @property
    def is_measured(self) -> bool:
        """Whether only the data tells the scale."""
        return self.kind is Kind.DECIMAL and self.declared is None

    def column(self, scales: dict[str, int] | None = None) -> Column:
        """The column for people and the compiler; a measured numeric has scale None until it is known."""
        if self.kind is not Kind.DECIMAL:
            return Column(self.name, self.kind, self.native, self.nullable)
        precision, scale = self.declared or (MAX_DIGITS, (scales or {}).get(self.name))
        return Column(self.name, self.kind, self.native, self.nullable, precision, scale)

    def arrow_type(self, scales: dict[str, int]) -> pa.DataType:
        """The type of the column in ``read``."""
        if self.kind is not Kind.DECIMAL:
            return OF_KIND[self.kind]
        precision, scale = self.declared or (MAX_DIGITS, scales[self.name])
        return pa.decimal128(precision, scale)

    def printed(self) -> sql.Composable:
        """The select expression whose COPY output is the value."""
        if self.type_oid == BYTEA:
            return sql.SQL("pg_catalog.encode({}, 'hex')").format(self.identifier)
        if self.type_oid == MONEY:
            return sql.SQL("{}::numeric").format(self.identifier)
        return self.identifier

    def compared(self) -> sql.Composable:
        """The expression to compare: equal to what ``printed`` prints, in the type of a filter's operands."""
        if self.type_oid == FLOAT4:
            return sql.SQL("({}::text)::float8").format(self.identifier)
        if self.kind is not Kind.TEXT or self.type_oid == BYTEA:
            return self.printed()
        if self.type_oid in (TEXT, VARCHAR):
            return sql.SQL("{}::text").format(self.identifier)
        # A cast to text drops the blanks of char(n) and adds a mask to inet; concat prints like COPY, but
        # NULL as ''.
        form = "CASE WHEN {0} IS DISTINCT FROM NULL THEN pg_catalog.concat({0}) END"
        return sql.SQL(form).format(self.identifier)


def arrow_schema(columns: tuple[PgColumn, ...], scales: dict[str, int]) -> pa.Schema:
    """The Arrow schema of ``read``; every field is nullable, as COPY streams carry no promise."""
    return pa.schema([pa.field(c.name, c.arrow_type(scales)) for c in columns])


__all__ = ["BYTEA", "MAX_DIGITS", "TEXT", "VARCHAR", "PgColumn", "arrow_schema"]
