"""BigQuery's columns -> ours. NUMERIC and BIGNUMERIC stay exact; the other types go the way of every Arrow column.

A BIGNUMERIC that does not say how wide it is may have 76 digits. Its scale is the largest one in the data, as found
when the snapshot is opened, and its digits must fit 38.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from connectors.arrow_types import MAX_PRECISION, map_field
from connectors.arrow_types import Mapping as ColumnMapping
from connectors.errors import SourceChanged
from recipe import Column, Kind

_NUMERIC = ("NUMERIC", "DECIMAL")
_BIG = ("BIGNUMERIC", "BIGDECIMAL")
_NAMES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


@dataclass(frozen=True)
class Declared:
    """What a table says of a column, beside its Arrow type; ``measured`` where only the data tells its scale."""

    name: str
    native: str
    nullable: bool
    precision: int | None
    scale: int | None
    measured: bool


def declared(field: Any) -> Declared:
    """Of a field of a table's schema."""
    native = _NAMES.get(field.field_type, field.field_type)
    repeated = field.mode == "REPEATED"
    precision, scale = field.precision, field.scale or 0
    exact = not repeated and native in (*_NUMERIC, *_BIG)
    if exact and precision is None and native in _NUMERIC:
        precision, scale = MAX_PRECISION, 9
    measured = exact and (precision is None or precision > MAX_PRECISION)
    shown = f"ARRAY<{native}>" if repeated else native
    if measured:
        return Declared(field.name, shown, field.mode != "REQUIRED", None, None, True)
    if not exact:
        precision = scale = None
    return Declared(field.name, shown, field.mode != "REQUIRED", precision, scale, False)


def mappings(schema: pa.Schema, columns: Sequence[Declared], scales: Mapping[str, int]) -> tuple[ColumnMapping, ...]:
    """How each column of a session arrives. Raises SourceDataError for a type without an exact form, SourceChanged for
    a column that the table did not have when it was described."""
    known = {one.name: one for one in columns}
    for name in schema.names:
        if name not in known:
            raise SourceChanged(f"The table got a column {name!r} while it was being opened.", hint="Run again.")
    return tuple(_mapping(field, known[field.name], scales) for field in schema)


def _mapping(field: pa.Field, one: Declared, scales: Mapping[str, int]) -> ColumnMapping:
    if one.precision is None and not one.measured:
        found = map_field(pa.field(field.name, field.type, one.nullable))
        return replace(found, column=replace(found.column, native=one.native))
    target = pa.decimal128(one.precision or MAX_PRECISION, scales.get(one.name, 0) if one.measured else one.scale)
    column = Column(one.name, Kind.DECIMAL, one.native, one.nullable, target.precision, target.scale)
    return ColumnMapping(column, target, lambda cells: pc.cast(cells, target))


def places(cells: pa.Array) -> int:
    """The most decimal places that any of these decimals needs; 0 for none."""
    return max((_places(value) for value in cells.unique().to_pylist() if value is not None), default=0)


def _places(value: Decimal) -> int:
    text = format(value, "f")
    return len(text.partition(".")[2].rstrip("0"))
