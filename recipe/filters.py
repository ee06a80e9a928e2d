"""The meaning of pre-filters (contract 1.4): checked against columns, evaluated in Python, typed for engines.

``passes`` is the definition, straight from the contract. ``typed_conditions`` gives connectors the same
meaning in terms an engine can evaluate on its own types, with operands that are exact there. In both, a NULL
cell passes no condition, and NaN counts as the greatest number, as databases order it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from enum import StrEnum
from functools import lru_cache
from typing import Any

from recipe.columns import Column, Kind, Schema, nearest_names
from recipe.errors import Problem, RecipeError
from recipe.model import FilterCondition, FilterOp, FilterScalar
from recipe.values import (
    MAX_FRACTION_DIGITS,
    MAX_INTEGER_DIGITS,
    parse_date,
    parse_exact,
    parse_number,
    parse_timestamp,
)

_DIGITS = 38  # of the widest exact number
_WIDE = Context(prec=20_000)  # wide enough for every accepted filter number, so nothing is rounded


def check_filters(filters: Sequence[FilterCondition], schema: Schema, path_prefix: str = "filters") -> list[Problem]:
    """Everything in ``filters`` that does not fit the columns, with paths such as ``filters[0].value``.

    Codes: ``filter.unknown_column``, ``filter.invalid_value``. A column of kind UNKNOWN accepts every value.
    """
    by_name = {column.name: column for column in schema}
    found: list[Problem] = []
    for index, condition in enumerate(filters):
        column = by_name.get(condition.column)
        if column is None:
            message = _unknown_column(condition.column, by_name)
            found.append(Problem(f"{path_prefix}[{index}].column", message, "filter.unknown_column"))
        elif fault := _value_fault(condition, column.kind):
            found.append(Problem(f"{path_prefix}[{index}].value", fault, "filter.invalid_value"))
    return found


def _unknown_column(name: str, known: Mapping[str, Column]) -> str:
    close = nearest_names(name, known)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
    return f"there is no column '{name}'{hint}"


def _value_fault(condition: FilterCondition, kind: Kind) -> str:
    if condition.op is FilterOp.LIKE and kind not in (Kind.TEXT, Kind.UNKNOWN):
        return f"like compares text, and column '{condition.column}' is of kind {kind}"
    for value in _values(condition):
        if _operand(kind, value) is None:
            return f"column '{condition.column}' needs {_KIND_WORDS[kind]}, and '{_shown(value)}' is not"
    return ""


def _shown(value: FilterScalar) -> str:
    return str(value)[:80]


_KIND_WORDS = {
    Kind.INTEGER: "a number such as 100.00",
    Kind.DECIMAL: "a number such as 100.00",
    Kind.DOUBLE: "a number such as 100.00",
    Kind.DATE: "a date in the form 2026-12-31",
    Kind.TIMESTAMP: "a timestamp in the form 2026-12-31T23:59:59",
    Kind.TIMESTAMPTZ: "a timestamp in the form 2026-12-31T23:59:59Z",
    Kind.BOOLEAN: "true or false, as text",
}


def _values(condition: FilterCondition) -> tuple[FilterScalar, ...]:
    value = condition.value
    return value if isinstance(value, tuple) else (value,)


def _operand(kind: Kind, value: FilterScalar) -> Any:
    """The value as the column's kind compares it; None when it is not of that kind.

    Moments are compared in UTC without a zone. A number beside a text column stays a number.
    """
    if isinstance(value, Decimal):
        return value if kind.is_number or kind in (Kind.TEXT, Kind.UNKNOWN) else None
    if kind.is_number:
        return parse_exact(value)
    if kind is Kind.DATE:
        return parse_date(value, "iso")
    if kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        return parse_timestamp(value, "iso")
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(value)
    return value


# --- the meaning ---------------------------------------------------------------------------------------


def passes(
    row: Mapping[str, object],
    filters: Sequence[FilterCondition],
    schema: Schema,
    decimal: str = ".",
    thousands: str = "",
) -> bool:
    """Whether a row satisfies all conditions; ``decimal`` and ``thousands`` say how its texts write numbers.

    The filters must have passed ``check_filters`` for this schema.
    """
    kinds = {column.name: column.kind for column in schema}
    return all(_passes_one(row[c.column], c, kinds[c.column], decimal, thousands) for c in filters)


def _passes_one(cell: object, condition: FilterCondition, kind: Kind, decimal: str, thousands: str) -> bool:
    if cell is None:
        return False
    if condition.op is FilterOp.LIKE:
        return like_matches(str(cell), str(condition.value))
    operands = [_operand(kind, value) for value in _values(condition)]
    if isinstance(operands[0], Decimal):
        number = parse_number(cell, decimal, thousands) if isinstance(cell, str) else _exact(cell)
        return number is not None and _compare(condition.op, number, operands)
    return _compare(condition.op, _comparable(cell, kind), operands)


def _exact(cell: object) -> Decimal:
    """A number cell as a decimal; a double counts as its shortest text, NaN as greater than everything."""
    number = Decimal(repr(cell)) if isinstance(cell, float) else Decimal(cell)  # type: ignore[arg-type]
    return Decimal("Infinity") if number.is_nan() else number


def _comparable(cell: object, kind: Kind) -> Any:
    if kind is Kind.DATE:
        return cell.date() if isinstance(cell, datetime) else cell
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).replace(tzinfo=None) if cell.tzinfo is not None else cell
    return cell


def _compare(op: FilterOp, cell: Any, operands: list[Any]) -> bool:
    first = operands[0]
    match op:
        case FilterOp.EQ:
            return bool(cell == first)
        case FilterOp.NEQ:
            return bool(cell != first)
        case FilterOp.GT:
            return bool(cell > first)
        case FilterOp.GTE:
            return bool(cell >= first)
        case FilterOp.LT:
            return bool(cell < first)
        case FilterOp.LTE:
            return bool(cell <= first)
        case FilterOp.BETWEEN:
            return bool(first <= cell <= operands[1])
        case _:
            return cell in operands


def like_matches(text: str, pattern: str) -> bool:
    r"""Whether the whole text fits a LIKE pattern: ``%`` any run, ``_`` one character, ``\`` takes the next
    literally.

    Case counts; newlines are characters like others; a ``\`` at the very end stands for itself.

    >>> like_matches("50% off", r"50\%%"), like_matches("ABC", "a%")
    (True, False)
    """
    return _like_pattern(pattern).fullmatch(text) is not None


@lru_cache(maxsize=256)
def _like_pattern(pattern: str) -> re.Pattern[str]:
    runs: list[str] = [""]  # what stands between the % signs
    for part in _like_parts(pattern):
        if part == "%":
            runs.append("")
        else:
            runs[-1] += "." if part == "_" else re.escape(part[-1])
    if len(runs) == 1:
        return re.compile(runs[0], re.S)
    # atomic groups: the first place of each run is final, so many % signs cannot make the search explode
    middle = "".join(f"(?>.*?{run})" for run in runs[1:-1] if run)
    return re.compile(f"{runs[0]}{middle}.*{runs[-1]}", re.S)


def _like_parts(pattern: str) -> list[str]:
    return re.findall(r"(?s)\\.|.", pattern)


def plain_like(pattern: str) -> str:
    r"""The same pattern with ``\`` only before ``% _ \``, as SQL's ``LIKE ... ESCAPE '\'`` demands
    everywhere.

    >>> plain_like("a\\b\\%\\")
    'ab\\%\\\\'
    """
    out: list[str] = []
    for part in _like_parts(pattern):
        if part in ("%", "_"):
            out.append(part)
        else:
            out.append(f"\\{part[-1]}" if part[-1] in "%_\\" else part[-1])
    return "".join(out)


# --- typed for engines ---------------------------------------------------------------------------------


class TypedOp(StrEnum):
    """What an engine evaluates. ``present`` is true for every cell that is not NULL (and parses, where read
    as a number); ``never`` is true for none."""

    EQ = "eq"
    NEQ = "neq"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    IN = "in"
    LIKE = "like"
    PRESENT = "present"
    NEVER = "never"


@dataclass(frozen=True)
class TypedCondition:
    """One comparison whose operands have the column's own type and can be bound as parameters.

    ``operands``: one for comparisons and like, several for IN, none for PRESENT and NEVER. Their types:
    ``int`` for INTEGER, ``Decimal`` for DECIMAL, ``float`` for DOUBLE, ``date``, ``datetime`` (without zone
    for TIMESTAMP, in UTC for TIMESTAMPTZ), ``bool``, ``str``. With ``as_number`` the column is text, each
    cell is read by ``parse_number`` with the source's format, operands are Decimals that fit DECIMAL(38,10),
    and a cell that is no number does not pass. LIKE patterns are in ``plain_like`` form. Text is ordered by
    code point.
    """

    column: str
    kind: Kind
    op: TypedOp
    operands: tuple[Any, ...] = ()
    as_number: bool = False


def typed_conditions(
    filters: Sequence[FilterCondition], schema: Schema, path_prefix: str = "filters"
) -> tuple[TypedCondition, ...]:
    """``filters`` as conditions joined with AND that mean exactly the same; BETWEEN becomes GTE and LTE.

    An operand that the column's type cannot hold is replaced: beside an integer column, ``< 1.5`` becomes
    ``<= 1`` and ``= 1.5`` becomes NEVER. Raises RecipeError with every problem of ``check_filters``.
    """
    problems = check_filters(filters, schema, path_prefix)
    if problems:
        raise RecipeError.from_problems(problems)
    by_name = {column.name: column for column in schema}
    return tuple(typed for c in filters for typed in _typed(c, by_name[c.column]))


def coerce_value(value: FilterScalar, column: Column) -> Any:
    """One filter value in the column's terms: Decimal, str, date, datetime or bool; None when it does not
    fit.

    A datetime is in UTC: with zone for TIMESTAMPTZ, without for TIMESTAMP.
    """
    operand = _operand(column.kind, value)
    if column.kind is Kind.TIMESTAMPTZ and isinstance(operand, datetime):
        return operand.replace(tzinfo=UTC)
    return operand


def _typed(condition: FilterCondition, column: Column) -> list[TypedCondition]:
    values = [coerce_value(value, column) for value in _values(condition)]
    if condition.op is FilterOp.LIKE:
        return [_make(column, TypedOp.LIKE, plain_like(str(values[0])))]
    if condition.op is FilterOp.BETWEEN:
        return [_single(column, TypedOp.GTE, values[0]), _single(column, TypedOp.LTE, values[1])]
    if condition.op is FilterOp.IN:
        return [_members(column, values)]
    return [_single(column, TypedOp(condition.op.value), values[0])]


def _make(column: Column, op: TypedOp, *operands: object) -> TypedCondition:
    return TypedCondition(column.name, column.kind, op, operands)


def _number(column: Column, op: TypedOp, *operands: object) -> TypedCondition:
    as_number = not column.kind.is_number
    return TypedCondition(column.name, column.kind, op, operands, as_number)


def _members(column: Column, values: list[Any]) -> TypedCondition:
    if not isinstance(values[0], Decimal):
        return _make(column, TypedOp.IN, *dict.fromkeys(values))
    floors = [_floor(value, column) for value in values]
    held = dict.fromkeys(floor for floor, exact in floors if exact)
    return _number(column, TypedOp.IN, *held) if held else _number(column, TypedOp.NEVER)


def _single(column: Column, op: TypedOp, value: Any) -> TypedCondition:
    if not isinstance(value, Decimal):
        return _make(column, op, value)
    floor, exact = _floor(value, column)
    if exact:
        return _number(column, op, floor)
    if op is TypedOp.EQ:
        return _number(column, TypedOp.NEVER)
    if op is TypedOp.NEQ:
        return _number(column, TypedOp.PRESENT)
    below = op in (TypedOp.LT, TypedOp.LTE)
    if floor is None:  # the value lies below everything that the column can hold
        return _number(column, TypedOp.NEVER if below else TypedOp.PRESENT)
    return _number(column, TypedOp.LTE if below else TypedOp.GT, floor)


def _floor(value: Decimal, column: Column) -> tuple[Any, bool]:
    """The greatest value of the column's type that is not above ``value`` (None if there is none), and
    whether it equals ``value``."""
    if column.kind is Kind.INTEGER:
        floor, exact = _decimal_floor(value, _DIGITS, 0)
        return (None if floor is None else int(floor)), exact
    if column.kind is Kind.DOUBLE:
        return _double_floor(value)
    if column.kind is not Kind.DECIMAL:
        return _decimal_floor(value, MAX_INTEGER_DIGITS + MAX_FRACTION_DIGITS, MAX_FRACTION_DIGITS)
    if column.precision is None or column.scale is None:
        return value, True
    return _decimal_floor(value, column.precision, column.scale)


def _decimal_floor(value: Decimal, precision: int, scale: int) -> tuple[Decimal | None, bool]:
    step = Decimal(1).scaleb(-scale)
    with localcontext(_WIDE):
        most = (Decimal(10) ** precision - 1) * step
        if value > most:
            return most, False
        if value < -most:
            return None, False
        floor = value.quantize(step, ROUND_FLOOR)
    return floor, floor == value


def _double_floor(value: Decimal) -> tuple[float, bool]:
    """Doubles are compared by their shortest decimal text, which grows with the double."""
    nearest = float(value)
    shortest = Decimal(repr(nearest))
    if shortest == value:
        return nearest, True
    return (math.nextafter(nearest, -math.inf) if shortest > value else nearest), False
