"""The columns of a set: what they hold, and how their texts are read as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlglot import exp

from pipelines.errors import EvidenceError
from pipelines.evidence.cells import NumberTexts
from pipelines.evidence.reader import Evidence, is_ids, type_name
from pipelines.layout import REASON_FIELDS, ROW_FIELDS
from pipelines.matching import lenient
from recipe import Column, Kind, nearest_names
from udfs import lower

SIDES = ("left", "right")
PLAIN = NumberTexts(".", "")
_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Kind], ...] = (
    (pa.types.is_integer, Kind.INTEGER),
    (pa.types.is_decimal, Kind.DECIMAL),
    (pa.types.is_floating, Kind.DOUBLE),
    (pa.types.is_boolean, Kind.BOOLEAN),
    (pa.types.is_date, Kind.DATE),
    (lambda kind: pa.types.is_timestamp(kind) and kind.tz is None, Kind.TIMESTAMP),
    (pa.types.is_timestamp, Kind.TIMESTAMPTZ),
)


@dataclass(frozen=True)
class SetColumn:
    """One column of a set, at ``place`` in its parts.

    ``type`` and ``kind`` are those of one value: a list's (``is_list``) are its elements'. ``texts`` says how a text
    is read as a number; ``is_amount`` is True where the run itself read it so.
    """

    place: int
    name: str
    type: pa.DataType
    kind: Kind
    is_list: bool
    nullable: bool
    texts: NumberTexts
    is_amount: bool

    @property
    def is_number(self) -> bool:
        """Whether people take its cells for numbers."""
        return not self.is_list and (self.kind.is_number or self.is_amount)

    @property
    def is_fixed(self) -> bool:
        """Whether Kalla wrote it, rather than a source or a select list."""
        return self.name in _FIXED

    def as_column(self) -> Column:
        """The column as filters know it."""
        decimal = pa.types.is_decimal(self.type)
        return Column(
            self.name,
            self.kind,
            type_name(self.type),
            self.nullable,
            self.type.precision if decimal else None,
            self.type.scale if decimal else None,
        )


_FIXED = {field.name for field in (*ROW_FIELDS, *REASON_FIELDS)}


def kind_of(kind: pa.DataType) -> Kind:
    """What values of an Arrow type are to matching and filters."""
    return next((found for test, found in _KINDS if test(kind)), Kind.TEXT)


def set_columns(evidence: Evidence, set_name: str) -> tuple[SetColumn, ...]:
    """All columns of a set in order. Raises EvidenceError ``evidence.unknown_set`` and those of the parts."""
    formats = _Formats.of(evidence, set_name)
    return tuple(_column(i, field, formats) for i, field in enumerate(evidence.schema(set_name)))


def _column(place: int, field: pa.Field, formats: _Formats) -> SetColumn:
    is_list = is_ids(field.type)
    kind = field.type.value_type if is_list else field.type
    amount = None if is_list or kind_of(kind) is not Kind.TEXT else _only(formats.amounts.get(field.name))
    texts = amount or _only(formats.all.get(field.name)) or PLAIN
    return SetColumn(place, field.name, kind, kind_of(kind), is_list, field.nullable, texts, amount is not None)


def find_column(columns: tuple[SetColumn, ...], name: str) -> SetColumn:
    """The column of that name. Raises EvidenceError ``evidence.unknown_column``."""
    for column in columns:
        if column.name == name:
            return column
    close = nearest_names(name, [c.name for c in columns])
    raise EvidenceError(
        f"There is no column {name[:80]!r}.",
        code="evidence.unknown_column",
        hint=f"Did you mean {' or '.join(map(repr, close))}?" if close else "Look at the columns of the set.",
    )


def source_places(evidence: Evidence, side: str) -> dict[str, int]:
    """Where each column of a side's source stands in its unmatched set: after the fixed ones, whatever it is called
    there."""
    names = [c["name"] for c in evidence.manifest["sources"][side]["columns"]]
    fixed = len(evidence.schema(f"unmatched_{side}")) - len(names)
    return {name: fixed + i for i, name in enumerate(names)} if fixed >= 0 else {}


def matched_place(evidence: Evidence, side: str, column: str) -> int | None:
    """Where a column of a side's source stands in the matched set; None when it was not selected."""
    for place, output in enumerate(evidence.manifest["outputs"], len(ROW_FIELDS)):
        if (output["side"], output["column"]) == (side, column):
            return place
    return None


def number_format(recipe: dict[str, Any], side: str) -> tuple[str, str]:
    """Decimal mark and thousands mark of a side's texts, by the recipe."""
    form = recipe["sources"][side].get("format") or {}
    return str(form.get("decimal", ".")), str(form.get("thousands", ""))


def control_number(recipe: dict[str, Any], side: str, kind: Kind, cell: exp.Expr) -> exp.Expr:
    """The exact number in a cell of a side's source as control totals take it; NULL where there is none."""
    if kind is Kind.TEXT:
        texts = [exp.Literal.string(text) for text in number_format(recipe, side)]
        return lower(exp.Anonymous(this="KALLA_NUMBER", expressions=[cell, *texts]))
    if kind is Kind.DOUBLE:
        return lower(lenient(exp.Anonymous(this="KALLA_EXACT", expressions=[cell])))
    return cell


def number_texts(evidence: Evidence, set_name: str, name: str) -> NumberTexts | None:
    """How a text column is read as a number: only one that the run itself read so, which has a control total."""
    return _only(_Formats.of(evidence, set_name).amounts.get(name))


@dataclass(frozen=True)
class _Formats:
    """The number formats of the sides that a set's column of a name can come from.

    ``amounts`` has only the columns with control totals.
    """

    all: dict[str, set[NumberTexts]]
    amounts: dict[str, set[NumberTexts]]

    @classmethod
    def of(cls, evidence: Evidence, set_name: str) -> _Formats:
        found = cls({}, {})
        for side in SIDES:
            texts = NumberTexts(*number_format(evidence.recipe, side))
            totals = evidence.manifest["control_totals"][side]
            for source, names in _names(evidence, set_name, side).items():
                for name in names:
                    found.all.setdefault(name, set()).add(texts)
                    if source in totals:
                        found.amounts.setdefault(name, set()).add(texts)
        return found


def _names(evidence: Evidence, set_name: str, side: str) -> dict[str, tuple[str, ...]]:
    """For each column of a side's source the names it may have in a set."""
    if set_name == "matched":
        held: dict[str, tuple[str, ...]] = {}
        for output in evidence.manifest["outputs"]:
            if output["side"] == side and output["column"] is not None:
                held[output["column"]] = (*held.get(output["column"], ()), output["name"])
        return held
    if set_name != f"unmatched_{side}":
        return {}
    schema = evidence.schema(set_name)
    places = source_places(evidence, side).items()
    return {name: tuple({schema.field(place).name, name} - _FIXED) for name, place in places}


def _only(found: set[NumberTexts] | None) -> NumberTexts | None:
    return next(iter(found)) if found is not None and len(found) == 1 else None
