"""Filters, search and sorting of a set as trees of the engine; every value travels as a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from sqlglot import exp, parse_one

from pipelines.evidence.columns import SetColumn
from recipe import (
    FilterCondition,
    FilterOp,
    Kind,
    Problem,
    RecipeError,
    TypedCondition,
    TypedOp,
    check_filters,
    typed_conditions,
)
from udfs import lower

_COMPARISONS: dict[TypedOp, type[exp.Binary]] = {
    TypedOp.EQ: exp.EQ,
    TypedOp.NEQ: exp.NEQ,
    TypedOp.GT: exp.GT,
    TypedOp.GTE: exp.GTE,
    TypedOp.LT: exp.LT,
    TypedOp.LTE: exp.LTE,
}
_TYPES = {
    Kind.TEXT: "text",
    Kind.DOUBLE: "double",
    Kind.BOOLEAN: "boolean",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
}
_AS_NUMBER = "decimal(38, 10)"
# Characters that the text of a value can hold: where a search holds others, no value of the kind needs a look.
_ALPHABETS = {
    Kind.INTEGER: "-0123456789",
    Kind.DECIMAL: "-.0123456789",
    Kind.DOUBLE: "+-.0123456789einfatyn",
    Kind.BOOLEAN: "truefals",
    Kind.DATE: "-0123456789",
    Kind.TIMESTAMP: "-:.0123456789t",
    Kind.TIMESTAMPTZ: "-:.0123456789tz",
}
# The texts of contract 1.5, where the engine's own differ.
_TEXTS = {
    Kind.DOUBLE: (
        "CASE WHEN isnan(cell) THEN 'NaN' WHEN isinf(cell) AND cell > 0 THEN 'Infinity' WHEN isinf(cell)"
        " THEN '-Infinity' ELSE regexp_replace(CAST(cell AS TEXT), '[.]0$', '') END"
    ),
    Kind.TIMESTAMP: (
        "strftime(cell, '%Y-%m-%dT%H:%M:%S')"
        " || CASE WHEN epoch_us(cell) % 1000000 = 0 THEN '' ELSE strftime(cell, '.%f') END"
    ),
}
_GAP_NUMBER = "TRY_CAST(split_part(cell, ' ', 1) AS DOUBLE)"
_UNSEARCHED = {"_row", "_left_row", "_right_row", "_left_partners", "_right_partners", "_reason", "_failed"}


class Parameters:
    """Values of one statement by the names that its placeholders have."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def add(self, value: Any) -> exp.Placeholder:
        name = f"p{len(self.values)}"
        self.values[name] = value
        return exp.Placeholder(this=name)


def cell_of(column: SetColumn) -> exp.Column:
    """The column as statements over a scan name it."""
    return exp.column(f"c{column.place}")


# --- filters ------------------------------------------------------------------------------------------------------


def filter_trees(
    columns: Sequence[SetColumn], filters: Sequence[FilterCondition], parameters: Parameters, path: str = "conditions"
) -> list[exp.Expr]:
    """``filters`` with the meaning of contract 1.4. A list of rows takes eq and in: any of its members may be it.

    Raises RecipeError with every problem: ``filter.unknown_column``, ``filter.unknown_op``, ``filter.invalid_value``.
    """
    by_name = {column.name: column for column in columns}
    schema = tuple(column.as_column() for column in columns)
    problems = check_filters(filters, schema, path)
    problems += [p for i, f in enumerate(filters) for p in _own_problems(f, by_name.get(f.column), f"{path}[{i}]")]
    if problems:
        first = problems[0]
        raise RecipeError(f"{first.path}: {first.message}.", code=first.code, details=problems)
    return [_filter_tree(by_name[typed.column], typed, parameters) for typed in typed_conditions(filters, schema, path)]


def _own_problems(condition: FilterCondition, column: SetColumn | None, path: str) -> list[Problem]:
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if column is None or not column.is_list:
        return []
    if condition.op not in (FilterOp.EQ, FilterOp.IN):
        message = f"column {column.name!r} holds several values a row: use eq or in"
        return [Problem(f"{path}.op", message, "filter.unknown_op")]
    if column.kind is Kind.TEXT and not isinstance(values[0], str):
        return [Problem(f"{path}.value", f"column {column.name!r} holds texts", "filter.invalid_value")]
    return []


def _filter_tree(column: SetColumn, typed: TypedCondition, parameters: Parameters) -> exp.Expr:
    if typed.op is TypedOp.NEVER:
        return exp.false()
    cell: exp.Expr = number_tree(column) if typed.as_number else cell_of(column)
    if typed.op is TypedOp.PRESENT:
        return exp.Not(this=exp.Is(this=cell, expression=exp.null()))
    kind = _AS_NUMBER if typed.as_number else _type_of(column, typed.operands)
    if column.is_list or typed.op is TypedOp.IN:
        given = exp.cast(parameters.add([_written(v) for v in typed.operands]), f"{kind}[]", dialect="duckdb")
        if column.is_list:
            return exp.Anonymous(this="list_has_any", expressions=[cell, given])
        members = exp.select(exp.Anonymous(this="unnest", expressions=[given]))
        return exp.In(this=cell, query=exp.Subquery(this=members))
    operand = exp.cast(parameters.add(_written(typed.operands[0])), kind, dialect="duckdb")
    if typed.op is TypedOp.LIKE:
        like = exp.Like(this=cell, expression=operand)
        return exp.Escape(this=like, expression=exp.Literal.string("\\"))
    return _COMPARISONS[typed.op](this=cell, expression=operand)


def _type_of(column: SetColumn, operands: Sequence[Any]) -> str:
    if column.kind is Kind.INTEGER:
        return "bigint" if all(-(1 << 63) <= v < 1 << 63 for v in operands) else "hugeint"
    if column.kind is Kind.DECIMAL:
        return f"decimal({column.type.precision}, {column.type.scale})"
    return _TYPES[column.kind]


def _written(value: Any) -> str:
    """An operand as text that the engine reads back exactly."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def number_tree(column: SetColumn) -> exp.Expr:
    """The exact number that a text cell holds; NULL where it holds none."""
    texts = [exp.Literal.string(column.texts.decimal), exp.Literal.string(column.texts.thousands)]
    return lower(exp.Anonymous(this="KALLA_NUMBER", expressions=[cell_of(column), *texts]))


# --- search -------------------------------------------------------------------------------------------------------


def search_tree(columns: Sequence[SetColumn], text: str, parameters: Parameters) -> exp.Expr:
    """TRUE where the text stands somewhere in a row, whatever the case of its letters.

    Looked at are the columns of the source or the select list, and key and gap of the nearest candidate; not row
    ids, partner counts, reasons and conditions, which filters are for.
    """
    wanted = [c for c in columns if c.name not in _UNSEARCHED and _can_hold(c, text)]
    if not wanted or has_surrogate(text):
        return exp.false()
    given = parameters.add(text)
    has_case = any(c.lower() != c or c.upper() != c for c in text)
    needle: exp.Expr = exp.Lower(this=given) if has_case else given
    found = [
        exp.Anonymous(
            this="contains", expressions=[exp.Lower(this=t) if has_case else t, needle.copy()]
        )
        for t in map(text_tree, wanted)
    ]  # fmt: skip
    return exp.or_(*found)


def has_surrogate(text: str) -> bool:
    """Whether a text has no form in UTF-8; then no cell holds it."""
    return any("\ud800" <= c <= "\udfff" for c in text)


def _can_hold(column: SetColumn, text: str) -> bool:
    alphabet = _ALPHABETS.get(column.kind)
    return alphabet is None or set(text.lower()) <= set(alphabet + (" " if column.is_list else ""))


def text_tree(column: SetColumn) -> exp.Expr:
    """The cell's text as pages show it."""
    cell: exp.Expr = cell_of(column)
    if column.is_list:
        texts = exp.cast(cell, "text[]", dialect="duckdb")
        return exp.Anonymous(this="array_to_string", expressions=[texts, exp.Literal.string(" ")])
    if column.kind is Kind.TIMESTAMPTZ:
        moment = exp.Anonymous(
            this="make_timestamp", expressions=[exp.Anonymous(this="epoch_us", expressions=[cell])]
        )  # fmt: skip
        return exp.DPipe(this=_templated(_TEXTS[Kind.TIMESTAMP], moment), expression=exp.Literal.string("Z"))
    if column.kind in _TEXTS:
        return _templated(_TEXTS[column.kind], cell)
    return cell if column.kind is Kind.TEXT else exp.cast(cell, "text")


def _templated(sql: str, cell: exp.Expr) -> exp.Expr:
    def place(node: exp.Expr) -> exp.Expr:
        return cell.copy() if isinstance(node, exp.Column) and node.name == "cell" else node

    return exp.paren(parse_one(sql, dialect="duckdb").transform(place))


# --- sorting ------------------------------------------------------------------------------------------------------


def sort_keys(column: SetColumn, descending: bool) -> list[exp.Ordered]:
    """What to order by: empty cells last in both directions.

    Amounts in texts and gaps are ordered as numbers, what is no number behind them; other texts by code point.
    """
    keys: list[exp.Expr] = [cell_of(column)]
    if column.is_amount:
        keys.insert(0, number_tree(column))
    elif column.name == "_gap" and column.kind is Kind.TEXT:
        keys.insert(0, _templated(_GAP_NUMBER, cell_of(column)))
    return [exp.Ordered(this=key, desc=descending, nulls_first=False) for key in keys]


def is_row_order(column: SetColumn, descending: bool) -> bool:
    """Whether rows stand in this order anyway."""
    return not descending and not column.is_list and column.place == 0 and pa.types.is_int64(column.type)
