"""Filters as queries that leave out only what cannot pass; ``connectors.arrow_filters`` decides about the rest.

The index often differs from the document: it rounds, lower-cases, shortens, puts stand-ins for NULL. So a query is
asked only where it is certain to find at least every document that passes, and every row that comes back is looked at
again. Conditions for which nothing is certain (``neq``, ``like``, text beside numbers, analysed text) are not asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

from connectors.elasticsearch.fields import Field, Fields
from recipe import FilterCondition, Kind, TypedCondition, TypedOp, typed_conditions

_ABOVE, _BELOW = (TypedOp.GT, TypedOp.GTE), (TypedOp.LT, TypedOp.LTE)
_BITS = {"long": 64, "integer": 32, "short": 16, "byte": 8}
_ASKED_TYPES = (*_BITS, "double", "scaled_float", "boolean", "date", "date_nanos", "keyword")
_NANOSECOND_YEARS = range(1971, 2262)
_FORMAT = "strict_date_optional_time_nanos"
_LONGEST_TERM = 8_000  # characters; no index holds a term of more than 32 KiB
_MOST_TERMS = 1_000
_EXACT = Context(prec=10_000)  # digits; no operand has as many
Query = dict[str, Any]


def queries(filters: Sequence[FilterCondition], fields: Fields) -> list[Query]:
    """Queries that all hold for every document that passes all filters; perhaps none.

    Raises RecipeError ``filter.unknown_column`` or ``filter.invalid_value``.
    """
    by_name = {one.name: one for one in fields}
    typed = typed_conditions(filters, tuple(one.column for one in fields))
    found = (_query(condition, by_name[condition.column]) for condition in typed)
    return [query for query in found if query is not None]


def _query(condition: TypedCondition, one: Field) -> Query | None:
    op, operands = condition.op, condition.operands
    if op is TypedOp.NEVER:
        return {"match_none": {}}
    if condition.as_number or not _is_certain(one) or len(operands) > _MOST_TERMS:
        return None
    if not all(_is_known(one, value) for value in operands):
        return None
    if op in (TypedOp.EQ, TypedOp.IN):
        return _members(one, operands)
    if op in _ABOVE or op in _BELOW:
        return _range(one, low=operands[0]) if op in _ABOVE else _range(one, high=operands[0])
    return None


def _is_certain(one: Field) -> bool:
    settings = one.settings
    return (
        one.everywhere
        and one.native in _ASKED_TYPES
        and settings.get("index", True) not in (False, "false")
        and settings.get("ignore_malformed", False) in (False, "false")
        and (one.native != "scaled_float" or one.kind is Kind.DECIMAL)
    )


def _is_known(one: Field, value: Any) -> bool:
    """Whether the index can hold a value as it is, so that it may be asked for it."""
    if one.native == "keyword":
        # A text that begins so may stand for several values, which the index holds one by one, or for an object.
        longest = min(int(one.settings.get("ignore_above", _LONGEST_TERM)), _LONGEST_TERM)
        return len(value.encode("utf-16-le")) // 2 <= longest and value[:1] not in ("[", "{")
    if one.native in _BITS:
        return bool(-(2 ** (_BITS[one.native] - 1)) <= value < 2 ** (_BITS[one.native] - 1))
    if one.native == "date_nanos":
        return value.year in _NANOSECOND_YEARS
    return not isinstance(value, float) or math.isfinite(value)


def _members(one: Field, values: Sequence[Any]) -> Query:
    if one.native in ("keyword", "boolean"):
        return {"bool": {"should": [{"term": {one.name: value}} for value in values]}}
    return {"bool": {"should": [_range(one, value, value) for value in values]}}


def _range(one: Field, low: Any = None, high: Any = None) -> Query | None:
    """Bounds are asked inclusively: what is too much is left out afterwards."""
    if one.native in ("keyword", "boolean"):
        return None  # the index may hold a text shortened or not at all, so that its order says nothing
    bounds = {} if low is None else {"gte": _operand(one, low, -1)}
    bounds |= {} if high is None else {"lte": _operand(one, high, 1)}
    return {"range": {one.name: bounds | ({"format": _FORMAT} if one.is_time else {})}}


def _operand(one: Field, value: Any, direction: int) -> Any:
    if isinstance(value, Decimal):
        # The index scales in binary, which may miss the nearest step.
        assert one.scale is not None
        return format(_EXACT.add(value, Decimal(direction).scaleb(-one.scale)), "f")
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, float) and value == 0:
        return math.copysign(value, direction)  # the index sorts -0.0 below 0.0
    return value
