"""Filters as SQL, with exactly the meaning of contract 1.4.

``recipe.typed_conditions`` has already turned every operand into the column's own type, so what is left is to
print them: values as quoted literals, names as identifiers. Text is ordered by code point (COLLATE "C"),
which needs a UTF-8 database; elsewhere conditions on text are left to ``connectors.arrow_filters``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from psycopg2 import sql

from connectors.comparisons import COMPARISONS
from connectors.postgres.types import TEXT, VARCHAR, PgColumn
from recipe import FilterCondition, Kind, TypedCondition, TypedOp, typed_conditions

_CASTS = {
    Kind.DECIMAL: "numeric",
    Kind.DOUBLE: "float8",
    Kind.TEXT: "text",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
    Kind.BOOLEAN: "boolean",
}
_INT8 = range(-(2**63), 2**63)

# What recipe.parse_number accepts, read without ever failing: the inner CASE keeps numeric's own limits out
# of reach. A number of DECIMAL(38,10) needs no exponent of five digits unless it is zero.
_BLANKS = " \t\n\r\v\f\u00a0\u202f"
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?0*[0-9]{1,4})?$"
_ZERO = r"^[+-]?(0+(\.0*)?|\.0+)([eE][+-]?[0-9]+)?$"
_AS_NUMBER = """(SELECT CASE WHEN abs(kalla_n) < 1e28 AND kalla_n = round(kalla_n, 10) THEN kalla_n END
FROM (SELECT CASE WHEN kalla_t ~ {zero} THEN 0::numeric
                  WHEN length(kalla_t) <= 6000 AND kalla_t ~ {number} THEN kalla_t::numeric END AS kalla_n
FROM (SELECT CASE WHEN left(kalla_b, 1) = {minus} THEN '-' || substr(kalla_b, 2) ELSE kalla_b END AS kalla_t
FROM (SELECT btrim({text}, {blanks}) COLLATE "C" AS kalla_b OFFSET 0) AS kalla_0
OFFSET 0) AS kalla_1 OFFSET 0) AS kalla_2)"""


def where_clause(
    filters: Sequence[FilterCondition], columns: Sequence[PgColumn], scales: Mapping[str, int], *, utf8: bool
) -> tuple[sql.Composable, tuple[FilterCondition, ...]]:
    """A boolean expression for the filters that the server evaluates exactly, and the filters that are left.

    Raises RecipeError ``filter.unknown_column`` or ``filter.invalid_value``.
    """
    schema = tuple(c.column(dict(scales)) for c in columns)
    by_name = {c.name: c for c in columns}
    typed_conditions(filters, schema)  # so that problems are reported together, whoever evaluates
    pushed: list[sql.Composable] = []
    left: list[FilterCondition] = []
    for condition in filters:
        if utf8 or by_name[condition.column].kind is not Kind.TEXT:
            typed = typed_conditions([condition], schema)
            pushed += [condition_sql(one, by_name[one.column]) for one in typed]
        else:
            left.append(condition)
    return sql.SQL(" AND ").join(pushed) if pushed else sql.SQL("TRUE"), tuple(left)


def condition_sql(condition: TypedCondition, column: PgColumn) -> sql.Composable:
    """One condition; NULL or false for a NULL cell."""
    if condition.op is TypedOp.NEVER:
        return sql.SQL("FALSE")
    value = _value(condition, column)
    if condition.op is TypedOp.PRESENT:
        return sql.SQL("{} IS DISTINCT FROM NULL").format(value)
    kind = Kind.DECIMAL if condition.as_number else condition.kind
    operands = [_literal(operand, kind) for operand in condition.operands]
    if condition.op is TypedOp.IN:
        return sql.SQL("{} IN ({})").format(value, sql.SQL(", ").join(operands))
    if condition.op is TypedOp.LIKE:
        return sql.SQL("{} LIKE {}").format(value, operands[0])
    return sql.SQL("{} {} {}").format(value, sql.SQL(COMPARISONS[condition.op]), operands[0])


def _value(condition: TypedCondition, column: PgColumn) -> sql.Composable:
    expression = column.compared()
    if condition.as_number:
        return sql.SQL(_AS_NUMBER).format(
            text=expression,
            blanks=sql.Literal(_BLANKS),
            minus=sql.Literal("\u2212"),
            zero=sql.Literal(_ZERO),
            number=sql.Literal(_NUMBER),
        )
    if condition.kind is not Kind.TEXT or condition.op is TypedOp.PRESENT:
        return expression
    by_equality = condition.op in (TypedOp.EQ, TypedOp.NEQ, TypedOp.IN)
    if by_equality and column.byte_equal and column.type_oid in (TEXT, VARCHAR):
        return expression  # the column's own collation agrees, and its indexes can be used
    return sql.SQL('({}) COLLATE "C"').format(expression)


def _literal(operand: Any, kind: Kind) -> sql.Composable:
    """An operand as a quoted literal of the column's type, so that no notation can be misread."""
    if kind is Kind.INTEGER:
        cast = "int8" if operand in _INT8 else "numeric"
    else:
        cast = _CASTS[kind]
    return sql.SQL("{}::" + cast).format(sql.Literal(_operand_text(operand)))


def _operand_text(operand: Any) -> str:
    if isinstance(operand, bool):
        return "true" if operand else "false"
    if isinstance(operand, Decimal):
        return format(operand, "f")
    if isinstance(operand, float):
        return repr(operand)
    if isinstance(operand, (date, datetime)):
        return operand.isoformat()
    return str(operand)


__all__ = ["condition_sql", "where_clause"]
