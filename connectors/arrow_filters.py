"""Pre-filters over Arrow batches, with exactly the meaning of ``recipe.passes`` (contract 1.4).

Comparisons run in Arrow on the column's own type. Text that is compared with numbers is parsed in Arrow where
it is written plainly, and by ``recipe.parse_number``, once per distinct text, where it is not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from recipe import (
    CsvFormat,
    FilterCondition,
    Kind,
    Schema,
    TypedCondition,
    TypedOp,
    like_matches,
    parse_number,
    typed_conditions,
)

NUMBER = pa.decimal128(38, 10)  # holds every number that a text cell can be read as
_COMPARE: dict[TypedOp, Callable[[Any, Any], Any]] = {
    TypedOp.EQ: pc.equal,
    TypedOp.NEQ: pc.not_equal,
    TypedOp.GT: pc.greater,
    TypedOp.GTE: pc.greater_equal,
    TypedOp.LT: pc.less,
    TypedOp.LTE: pc.less_equal,
}
_ABOVE = (TypedOp.GT, TypedOp.GTE)
_PASSED_BY_SMALLER = (TypedOp.NEQ, TypedOp.LT, TypedOp.LTE)
_PASSED_BY_GREATER = (TypedOp.NEQ, TypedOp.GT, TypedOp.GTE)


@dataclass(frozen=True)
class BatchFilter:
    """Checked conditions, ready for any number of batches of one schema."""

    conditions: tuple[TypedCondition, ...]
    decimal: str = "."
    thousands: str = ""

    @classmethod
    def of(cls, filters: Sequence[FilterCondition], schema: Schema, csv_format: CsvFormat | None = None) -> BatchFilter:
        """Raises RecipeError for unknown columns and values that do not fit their column."""
        known = csv_format or CsvFormat()
        return cls(typed_conditions(filters, schema), known.decimal, known.thousands)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of the batch that pass all conditions, in order."""
        masks = [self._mask(batch.column(c.column), c) for c in self.conditions]
        if not masks:
            return batch
        return batch.filter(functools.reduce(pc.and_kleene, masks), null_selection_behavior="drop")

    def _mask(self, cells: pa.Array, condition: TypedCondition) -> Any:
        """True, False or NULL for each cell; only True passes."""
        if condition.as_number:
            return _compared(_numbers(cells, self.decimal, self.thousands), condition)
        return _compared(cells, condition)


def filter_batch(
    batch: pa.RecordBatch,
    filters: Sequence[FilterCondition],
    schema: Schema,
    csv_format: CsvFormat | None = None,
) -> pa.RecordBatch:
    """The rows that pass all ``filters``, in order; ``csv_format`` says how texts write numbers.

    Raises RecipeError for unknown columns and values that do not fit their column.
    """
    return BatchFilter.of(filters, schema, csv_format)(batch)


def _compared(cells: pa.Array, condition: TypedCondition) -> Any:
    op, operands = condition.op, condition.operands
    if op is TypedOp.NEVER:
        return _constant(False, len(cells))
    if op is TypedOp.PRESENT:
        return pc.is_valid(cells)
    if op is TypedOp.LIKE:
        return _like(cells, operands[0])
    if pa.types.is_integer(cells.type):
        return _integers(cells, op, operands)
    if op is TypedOp.IN and condition.kind is Kind.DOUBLE:
        # adding 0.0 turns -0.0 into 0.0, which membership would tell apart
        return pc.is_in(pc.add(cells, 0.0), value_set=pa.array([n + 0.0 for n in operands]), skip_nulls=True)
    if op is TypedOp.IN:
        return pc.is_in(cells, value_set=pa.array(operands, cells.type), skip_nulls=True)
    mask = _COMPARE[op](cells, pa.scalar(operands[0], cells.type))
    if condition.kind is Kind.DOUBLE and op in _ABOVE:
        return pc.or_(mask, pc.is_nan(cells))  # NaN is the greatest number, and Arrow finds it greater than nothing
    return mask


def _constant(value: bool, length: int) -> pa.Array:
    return pa.repeat(pa.scalar(value), length)


def _integers(cells: pa.Array, op: TypedOp, operands: tuple[int, ...]) -> Any:
    """Integer comparisons, also with operands that the column's width cannot hold."""
    low, high = _range(cells.type)
    if op is TypedOp.IN:
        held = [n for n in operands if low <= n <= high]
        return pc.is_in(cells, value_set=pa.array(held, cells.type), skip_nulls=True)
    operand = operands[0]
    if low <= operand <= high:
        return _COMPARE[op](cells, pa.scalar(operand, cells.type))
    passed = op in (_PASSED_BY_SMALLER if operand > high else _PASSED_BY_GREATER)
    return pc.is_valid(cells) if passed else _constant(False, len(cells))


def _range(kind: pa.DataType) -> tuple[int, int]:
    if pa.types.is_unsigned_integer(kind):
        return 0, 2**kind.bit_width - 1
    return -(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1


def _like(cells: pa.Array, pattern: str) -> Any:
    parts = re.findall(r"(?s)\\.|.", pattern)
    special = {"%": ".*", "_": "."}
    regex = "".join(special.get(part) or re.escape(part[-1]) for part in parts)
    try:
        return pc.match_substring_regex(cells, rf"(?s)\A(?:{regex})\z")
    except pa.ArrowInvalid:  # a pattern too large for Arrow's engine
        return _each_distinct(cells, lambda text: like_matches(text, pattern), pa.bool_())


def _each_distinct(cells: pa.Array, function: Callable[[str], Any], result: pa.DataType) -> pa.Array:
    """Apply a Python function to every text, once per distinct one; NULL stays NULL."""
    encoded = pc.dictionary_encode(cells)
    answers = pa.array([function(text) for text in encoded.dictionary.to_pylist()], result)
    return answers.take(encoded.indices)


def _numbers(cells: pa.Array, decimal: str, thousands: str) -> pa.Array:
    """Texts as exact numbers; NULL where a text is none."""
    plain = pc.fill_null(pc.match_substring_regex(cells, _plain_number(decimal, thousands)), False)
    simple = pc.if_else(plain, cells, pa.scalar(None, cells.type))
    if thousands:
        simple = pc.replace_substring(simple, thousands, "")
    if decimal != ".":
        simple = pc.replace_substring(simple, decimal, ".")
    numbers = pc.cast(simple, NUMBER)
    odd = pc.and_(pc.invert(plain), pc.is_valid(cells))
    if not pc.any(odd).as_py():
        return numbers
    rest = pc.if_else(odd, cells, pa.scalar(None, cells.type))
    return pc.coalesce(numbers, _each_distinct(rest, lambda text: parse_number(text, decimal, thousands), NUMBER))


@functools.lru_cache(maxsize=64)
def _plain_number(decimal: str, thousands: str) -> str:
    """A pattern of texts that Arrow reads as ``parse_number`` does; it may miss some, it never takes too
    many."""
    whole = "[0-9]{1,28}"
    if thousands:
        whole += f"|[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}}){{1,8}}"
    return rf"\A[+-]?(?:{whole})(?:{re.escape(decimal)}[0-9]{{1,10}})?\z"
