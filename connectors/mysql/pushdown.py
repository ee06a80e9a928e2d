"""Filters as SQL, where the server gives them exactly the meaning of contract 1.4; the others are left to Arrow.

Whole numbers, decimals, dates and moments are compared with literals of their own type; texts as the bytes of their
UTF-8, since collations take ``a`` for ``A`` and leave out trailing blanks. A date of zeros counts as the server counts
it: before every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.comparisons import COMPARISONS
from connectors.mysql.types import LISTED_TEXTS, SHORT_TEXTS, MysqlColumn
from recipe import FilterCondition, Kind, TypedCondition, TypedOp, typed_conditions

_INT8 = range(-(2**63), 2**63)


def where_clause(
    filters: Sequence[FilterCondition], columns: Sequence[MysqlColumn]
) -> tuple[str, tuple[FilterCondition, ...]]:
    """An expression for the filters that the server evaluates exactly, and the filters that are left.

    Raises RecipeError ``filter.unknown_column`` or ``filter.invalid_value``.
    """
    schema = tuple(one.column for one in columns)
    by_name = {one.name: one for one in columns}
    typed_conditions(filters, schema)  # so that problems are reported together, whoever evaluates
    pushed: list[str] = []
    left: list[FilterCondition] = []
    for condition in filters:
        column = by_name[condition.column]
        found = [condition_sql(typed, column) for typed in typed_conditions([condition], schema)]
        pushed += [sql for sql in found if sql is not None]
        if None in found:
            left.append(condition)
    return " AND ".join(pushed) or "TRUE", tuple(left)


def condition_sql(condition: TypedCondition, column: MysqlColumn) -> str | None:
    """One condition, not true for a NULL cell; None where only Arrow decides it exactly."""
    if condition.op is TypedOp.NEVER:
        return "FALSE"
    if condition.as_number or condition.op is TypedOp.LIKE:
        return None
    if condition.op is TypedOp.PRESENT:
        return f"({column.identifier} <=> NULL) = 0"  # IS NULL also finds dates of zeros
    if condition.kind is Kind.TEXT:
        return _text_sql(condition, column)
    operands = [_literal(operand, condition.kind) for operand in condition.operands]
    return None if None in operands else _compared(column.number, condition.op, operands)


def _compared(value: str, op: TypedOp, operands: Sequence[str | None]) -> str:
    if op is TypedOp.IN:
        return f"{value} IN ({', '.join(map(str, operands))})"
    return f"{value} {COMPARISONS[op]} {operands[0]}"


def _literal(operand: Any, kind: Kind) -> str | None:
    """An operand of the column's type; None for doubles, and for what no integer of the server holds."""
    if kind is Kind.INTEGER:
        return str(operand) if operand in _INT8 else None
    if kind is Kind.BOOLEAN:
        return str(int(operand))
    if kind is Kind.DECIMAL:
        return format(operand, "f")
    if kind is Kind.DATE:
        return f"DATE'{operand.isoformat()}'"
    if isinstance(operand, datetime):
        return f"TIMESTAMP'{operand.replace(tzinfo=None).isoformat(' ', 'microseconds')}'"
    return None


def _text_sql(condition: TypedCondition, column: MysqlColumn) -> str | None:
    if column.base not in (*SHORT_TEXTS, *LISTED_TEXTS):
        return None  # longer ones may be cut where they are converted; binary ones and times are printed here
    # A plain x'37' is a number too, and MySQL 8.0 finds nothing that is equal to it twice.
    exact = f"CAST(CONVERT({column.identifier} USING utf8mb4) AS BINARY)"
    operands = [f"_binary x'{operand.encode('utf-8', 'surrogatepass').hex()}'" for operand in condition.operands]
    return _compared(exact, condition.op, operands)


__all__ = ["condition_sql", "where_clause"]
