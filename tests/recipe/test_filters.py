"""Pre-filters: checked against columns, evaluated row by row, and typed for engines with the same meaning."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recipe import (
    Column,
    FilterCondition,
    Kind,
    RecipeError,
    TypedCondition,
    TypedOp,
    check_filters,
    coerce_value,
    like_matches,
    parse_number,
    passes,
    plain_like,
    typed_conditions,
)

SCHEMA = (
    Column("n", Kind.INTEGER),
    Column("d", Kind.DECIMAL, precision=12, scale=2),
    Column("free", Kind.DECIMAL),
    Column("f", Kind.DOUBLE),
    Column("t", Kind.TEXT),
    Column("day", Kind.DATE),
    Column("ts", Kind.TIMESTAMP),
    Column("tz", Kind.TIMESTAMPTZ),
    Column("b", Kind.BOOLEAN),
    Column("any", Kind.UNKNOWN),
)


def condition(column: str, op: str, value: object) -> FilterCondition:
    return FilterCondition.model_validate({"column": column, "op": op, "value": value})


def accepts(column: str, op: str, value: object, cell: object, **format: str) -> bool:
    filters = [condition(column, op, value)]
    assert check_filters(filters, SCHEMA) == []
    return passes({column: cell}, filters, SCHEMA, **format)


# --- check ---------------------------------------------------------------------------------------------


def test_an_unknown_column_is_named_with_its_neighbours():
    found = check_filters([condition("t", "eq", "x"), condition("dya", "eq", "x")], SCHEMA, "conditions")
    assert [(p.path, p.code) for p in found] == [("conditions[1].column", "filter.unknown_column")]
    assert found[0].message == "there is no column 'dya'; did you mean 'day'?"


def test_column_names_are_exact():
    assert check_filters([condition("T", "eq", "x")], SCHEMA)[0].code == "filter.unknown_column"


@pytest.mark.parametrize(
    ("column", "op", "value"),
    [
        ("n", "eq", "abc"), ("n", "eq", ""), ("n", "eq", "1,5"), ("d", "in", ["1", "x"]),
        ("f", "between", ["1", "b"]),
        ("day", "eq", "01.03.2026"), ("day", "eq", "2026-02-30"), ("day", "eq", "2026-03-01T10:00"),
        ("day", "gt", 5),
        ("day", "eq", "20260301"), ("ts", "lt", "yesterday"), ("ts", "lt", 20260301),
        ("tz", "eq", "2026/03/01"),
        ("b", "eq", "yes"), ("b", "eq", "True"), ("b", "eq", 1),
        ("n", "like", "1%"), ("day", "like", "2026%"), ("b", "like", "t%"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(column: str, op: str, value: object):
    found = check_filters([condition(column, op, value)], SCHEMA)
    assert [(p.path, p.code) for p in found] == [("filters[0].value", "filter.invalid_value")]
    with pytest.raises(RecipeError) as raised:
        typed_conditions([condition(column, op, value)], SCHEMA)
    assert raised.value.details[0]["code"] == "filter.invalid_value"


def test_every_problem_is_reported():
    filters = [condition("x", "eq", "1"), condition("n", "eq", "1"), condition("day", "gt", "soon")]
    assert [p.path for p in check_filters(filters, SCHEMA)] == ["filters[0].column", "filters[2].value"]


def test_a_column_of_unknown_kind_takes_everything():
    filters = [condition("any", "eq", 1), condition("any", "like", "x"), condition("any", "in", ["a"])]
    assert check_filters(filters, SCHEMA) == []


# --- meaning -------------------------------------------------------------------------------------------

EVERY_OPERATOR = [
    ("eq", "5"), ("neq", "5"), ("gt", "5"), ("gte", "5"), ("lt", "5"), ("lte", "5"), ("between", ["1", "9"]),
    ("in", ["5"]), ("like", "%"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "value"), EVERY_OPERATOR)
def test_null_satisfies_nothing(op: str, value: object):
    assert not accepts("t", op, value, None)


@pytest.mark.parametrize(
    ("column", "op", "value", "cell", "expected"),
    [
        ("n", "eq", 5, 5, True), ("n", "eq", "5", 5, True), ("n", "neq", 5, 5, False),
        ("n", "gt", 4.5, 5, True),
        ("n", "between", [5, 5], 5, True), ("n", "in", [1, 5], 5, True), ("n", "in", [1, 2], 5, False),
        ("n", "between", [6, 4], 5, False),
        ("d", "eq", Decimal("100.00"), Decimal("100"), True), ("d", "lt", Decimal("0.30"), Decimal("0.29"),
        True),
        ("d", "eq", "1e2", Decimal("100.00"), True),
        ("f", "eq", Decimal("0.1"), 0.1, True), ("f", "eq", Decimal("0.3"), 0.1 + 0.2, False),
        ("f", "gt", 10**400, float("inf"), True), ("f", "gt", 1, float("nan"), True),
        ("f", "eq", 1, float("nan"), False),
        ("f", "lt", 1, float("nan"), False), ("f", "neq", 1, float("nan"), True),
        ("t", "eq", "00123", "00123", True), ("t", "eq", "123", "00123", False),
        ("t", "eq", 123, "00123", True),
        ("t", "gt", "Z", "a", True), ("t", "gt", "z", "é", True), ("t", "gt", "\ufb01", "\U0001f600", True),
        ("t", "gt", "9", "10", False), ("t", "gt", 9, "10", True), ("t", "neq", 9, "abc", False),
        ("t", "neq", 9, "", False), ("t", "eq", Decimal("0.1"), " 0.10 ", True),
        ("t", "lt", 5, "1,234", False),
        ("t", "in", [1, 2], "2.0", True), ("t", "in", ["1", "2"], "2.0", False), ("t", "eq", "", "", True),
        ("t", "eq", 10**30, "1" + "0" * 30, False),  # a cell beyond DECIMAL(38,10) is no number
        ("day", "gte", "2026-01-01", date(2026, 1, 1), True), ("day", "lt", "2026-01-01", date(2025, 12, 31),
        True),
        ("day", "between", ["2026-01-01", "2026-01-31"], date(2026, 2, 1), False),
        ("ts", "eq", "2026-01-01", datetime(2026, 1, 1), True),
        ("ts", "gt", "2026-01-01T10:00:00.5", datetime(2026, 1, 1, 10, 0, 0, 500001), True),
        ("ts", "eq", "2026-01-01T10:00+02:00", datetime(2026, 1, 1, 8), True),
        ("tz", "eq", "2026-01-01T10:00Z", datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        True),
        ("tz", "eq", "2026-01-01T10:00", datetime(2026, 1, 1, 10, tzinfo=UTC), True),
        ("b", "eq", "true", True, True), ("b", "neq", "true", True, False),
        ("b", "in", ["false"], False, True),
        ("b", "gt", "false", True, True),
    ],
)  # fmt: skip
def test_meaning(column: str, op: str, value: object, cell: object, expected: bool):
    assert accepts(column, op, value, cell) is expected


def test_cells_are_read_by_the_format_of_their_csv():
    assert accepts("t", "eq", Decimal("1234.5"), "1.234,50", decimal=",", thousands=".")
    assert not accepts("t", "eq", Decimal("1234.5"), "1.234,50")


def test_all_conditions_must_hold():
    filters = [condition("n", "gt", 1), condition("t", "eq", "x")]
    assert passes({"n": 2, "t": "x"}, filters, SCHEMA)
    assert not passes({"n": 2, "t": "y"}, filters, SCHEMA)
    assert passes({"n": 2, "t": "y"}, [], SCHEMA)


# --- like ----------------------------------------------------------------------------------------------


def naive_like(text: str, pattern: str) -> bool:
    """Straight from the definition, by recursion."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return naive_like(text, pattern[1:]) or (bool(text) and naive_like(text[1:], pattern))
    wanted, rest = (pattern[1], pattern[2:]) if pattern[0] == "\\" and pattern[1:] else (pattern[0], pattern[1:])
    anything = pattern[0] == "_"
    return bool(text) and (anything or text[0] == wanted) and naive_like(text[1:], rest)


LIKE_TEXT = st.text(alphabet="ab%_\\\n.", max_size=8)


@given(LIKE_TEXT, LIKE_TEXT)
@example("a", "a\\")
@example("a\\", "a\\")
@example("ab\nb", "a%b")
@example("aab", "%ab")
@example("abab", "%a_")
@example("a", "a%a")
def test_like_means_its_definition(text: str, pattern: str):
    assert like_matches(text, pattern) == naive_like(text, pattern)
    assert naive_like(text, plain_like(pattern)) == naive_like(text, pattern)


def test_like_sees_case_and_the_whole_text():
    assert not like_matches("ABC", "abc")
    assert not like_matches("abcd", "abc")
    assert like_matches("50%", r"50\%")
    assert not like_matches("500", r"50\%")


def test_many_wildcards_stay_fast():
    assert not like_matches("a" * 20_000, "%a" * 40 + "%b")


# --- typed for engines ---------------------------------------------------------------------------------


def evaluate(typed: TypedCondition, cell: Any) -> bool:
    """A plain engine: it knows its own types and nothing of filters."""
    if typed.as_number:
        cell = None if cell is None else parse_number(cell)
    if cell is None or typed.op is TypedOp.NEVER:
        return False
    if typed.op is TypedOp.PRESENT:
        return True
    if typed.op is TypedOp.LIKE:
        return naive_like(cell, typed.operands[0])
    if typed.op is TypedOp.IN:
        return cell in typed.operands
    (operand,) = typed.operands
    return {
        "eq": cell == operand,
        "neq": cell != operand,
        "gt": cell > operand,
        "gte": cell >= operand,
        "lt": cell < operand,
        "lte": cell <= operand,
    }[typed.op.value]


NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-3, max_value=3, places=3),
    st.integers(-3, 3).map(Decimal),
    st.floats(allow_nan=False, allow_infinity=False).map(lambda f: Decimal(repr(f))),
    st.sampled_from([Decimal("1e400"), Decimal("-1e400"), Decimal("1e38"), Decimal("-1e38"), Decimal("1e-400")]),
    st.sampled_from([Decimal("0.1000000000000000000001"), Decimal("1e28"), Decimal("99999999999.99")]),
)
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "n": st.one_of(st.integers(-3, 3), st.sampled_from([10**38 - 1, -(10**38) + 1, 2**63])),
    "d": st.decimals(min_value=-3, max_value=3, places=2, allow_nan=False)
    | st.sampled_from([Decimal("9999999999.99"), Decimal("-9999999999.99")]),
    "free": st.decimals(min_value=-3, max_value=3, places=4, allow_nan=False),
    "f": st.floats(allow_nan=False) | st.sampled_from([0.1, 0.5, 1.0, -0.0]),
    "t": st.decimals(min_value=-3, max_value=3, places=3, allow_nan=False).map(str) | st.text("0123.x", max_size=4),
}
COMPARISONS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])


@st.composite
def numeric_case(draw: st.DrawFn) -> tuple[FilterCondition, Any]:
    column = draw(st.sampled_from(sorted(CELLS)))
    shape = draw(st.sampled_from(["one", "between", "in"]))
    if shape == "one":
        op, value = draw(COMPARISONS), draw(NUMBERS)
    elif shape == "between":
        op, value = "between", [draw(NUMBERS), draw(NUMBERS)]
    else:
        op, value = "in", draw(st.lists(NUMBERS, min_size=1, max_size=4))
    return condition(column, op, value), draw(CELLS[column] | st.none())


@given(numeric_case())
def test_typed_numbers_mean_what_the_filter_means(case: tuple[FilterCondition, Any]):
    one, cell = case
    typed = typed_conditions([one], SCHEMA)
    assert all(evaluate(t, cell) for t in typed) == passes({one.column: cell}, [one], SCHEMA)


@given(numeric_case())
def test_typed_operands_have_the_type_of_the_column(case: tuple[FilterCondition, Any]):
    types = {"n": int, "d": Decimal, "free": Decimal, "f": float, "t": Decimal}
    for typed in typed_conditions([case[0]], SCHEMA):
        assert all(type(operand) is types[typed.column] for operand in typed.operands)
        if typed.column == "d":
            assert all(operand.as_tuple().exponent == -2 and abs(operand) < 10**10 for operand in typed.operands)
        assert typed.as_number == (typed.column == "t")


@given(COMPARISONS, st.text("aZé", max_size=2), st.text("aZé", max_size=2) | st.none())
def test_typed_texts_mean_what_the_filter_means(op: str, value: str, cell: str | None):
    one = condition("t", op, value)
    typed = typed_conditions([one], SCHEMA)
    assert all(evaluate(t, cell) for t in typed) == passes({"t": cell}, [one], SCHEMA)


@pytest.mark.parametrize(
    ("column", "op", "value", "expected"),
    [
        ("n", "gt", Decimal("1.5"), [(TypedOp.GT, (1,))]),
        ("n", "lt", Decimal("1.5"), [(TypedOp.LTE, (1,))]),
        ("n", "eq", Decimal("1.5"), [(TypedOp.NEVER, ())]),
        ("n", "neq", Decimal("1.5"), [(TypedOp.PRESENT, ())]),
        ("n", "in", [Decimal("1.5"), 2, 2], [(TypedOp.IN, (2,))]),
        ("d", "lte", Decimal("-0.005"), [(TypedOp.LTE, (Decimal("-0.01"),))]),
        ("d", "gt", 10**12, [(TypedOp.GT, (Decimal("9999999999.99"),))]),
        ("d", "gt", -(10**12), [(TypedOp.PRESENT, ())]),
        ("d", "lt", -(10**12), [(TypedOp.NEVER, ())]),
        ("day", "between", ["2026-01-01", "2026-01-31"],
         [(TypedOp.GTE, (date(2026, 1, 1),)), (TypedOp.LTE, (date(2026, 1, 31),))]),
        ("ts", "eq", "2026-01-01", [(TypedOp.EQ, (datetime(2026, 1, 1),))]),
        ("tz", "eq", "2026-01-01", [(TypedOp.EQ, (datetime(2026, 1, 1, tzinfo=UTC),))]),
        ("b", "in", ["true", "false"], [(TypedOp.IN, (True, False))]),
        ("t", "like", "a\\b%\\", [(TypedOp.LIKE, ("ab%\\\\",))]),
    ],
)  # fmt: skip
def test_typed_examples(column: str, op: str, value: object, expected: list[tuple[TypedOp, tuple[Any, ...]]]):
    typed = typed_conditions([condition(column, op, value)], SCHEMA)
    assert [(t.op, t.operands) for t in typed] == expected


def test_coerced_values():
    assert coerce_value("2026-01-01T10:00+02:00", Column("x", Kind.TIMESTAMPTZ)) == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert coerce_value("12.50", Column("x", Kind.DOUBLE)) == Decimal("12.50")
    assert coerce_value("maybe", Column("x", Kind.BOOLEAN)) is None
