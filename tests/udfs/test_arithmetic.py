"""Exact division and the exact value of doubles: DuckDB against fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.udfs.conftest import Evaluate
from udfs import UdfError, divide, exact_decimal, from_engine

D38 = ["DECIMAL(38,10)", "DECIMAL(38,10)"]


def decimals(places: int, limit: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(min_value=-limit, max_value=limit, places=places)


def pair(a: str, b: str) -> tuple[Decimal, Decimal]:
    return Decimal(a), Decimal(b)


tiny = st.just(Decimal("1e-10"))
small = st.one_of(decimals(2, 10**7), decimals(10, 10**5), decimals(0, 30), tiny)
large = st.one_of(decimals(10, 10**15), decimals(2, 10**16))
numbers = st.one_of(small, large)


@settings(max_examples=60, deadline=None)
@example([pair("1", "3"), pair("2", "3"), pair("-2", "3"), pair("2", "-3"), pair("1", "0"), pair("0", "0")])
@example([pair("0.0000000001", "200"), pair("-0.0000000001", "200")])  # 5e-13 is a tie
@example([pair("0.0000000003", "200"), pair("9999999.9999999999", "0.0000000001")])
@example([pair("1" * 16, "0.3"), pair("1" * 16, "1" * 16 + ".1")])
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=80))
def test_division_is_exact_to_twelve_places(evaluate: Evaluate, rows: list[tuple[Decimal, Decimal]]) -> None:
    fitting = [(a, b) for a, b in rows if b == 0 or abs(Fraction(a) / Fraction(b)) < 10**26 - 1]
    found = evaluate("KALLA_DIVIDE(c0, c1)", D38, [[format(a, "f"), format(b, "f")] for a, b in fitting])
    assert found == [nearest(Fraction(a) / Fraction(b)) if b else None for a, b in fitting]
    assert found == [divide(a, b) for a, b in fitting]


def nearest(quotient: Fraction) -> Fraction:
    """Twelve places, half away from zero."""
    units = quotient * 10**12
    whole = int(abs(units) + Fraction(1, 2))
    return Fraction(whole if units > 0 else -whole, 10**12)


@pytest.mark.parametrize(
    "types",
    [
        ["INTEGER", "TINYINT"],
        ["DECIMAL(18,2)", "DECIMAL(4,1)"],
        ["HUGEINT", "UBIGINT"],
        ["DECIMAL(38,20)", "DECIMAL(5,4)"],
    ],
)
def test_division_takes_every_exact_type(evaluate: Evaluate, types: list[str]) -> None:
    rows = [["100", "3"], ["-7", "2"], ["0", "5"], ["5", "0"], [None, "1"], ["1", None]]
    found = evaluate("KALLA_DIVIDE(c0, c1)", types, rows)
    assert found == [Decimal("33.333333333333"), Decimal("-3.5"), Decimal(0), None, None, None]
    assert evaluate("TYPEOF(KALLA_DIVIDE(c0, c1))", types, [["1", "1"]]) == ["DECIMAL(38,12)"]


def test_a_quotient_can_be_divided_again(evaluate: Evaluate) -> None:
    [found] = evaluate("KALLA_DIVIDE(KALLA_DIVIDE(c0, c1), c1)", D38, [["1", "3"]])
    assert found == Decimal("0.111111111111")


@pytest.mark.parametrize(
    ("sql", "types", "row"),
    [
        ("KALLA_DIVIDE(c0, c1)", ["DECIMAL(38,20)", "DECIMAL(5,2)"], ["1.00000000000000000001", "2"]),
        ("KALLA_DIVIDE(c0, c1)", D38, ["20000000000000000", "7"]),
        ("KALLA_DIVIDE(c0, c1)", D38, ["10000000000000000", "0.0000000001"]),
        ("KALLA_DIVIDE(c0, c1)", ["DECIMAL(38,12)", "DECIMAL(5,2)"], ["200000000000000.000000000001", "2"]),
        ("PERCENT_MATCH(c0, c1, 100)", D38, ["9" * 28, "1"]),
        ("TOLERANCE_MATCH(c0, c1, 1)", D38, ["9" * 28, "-" + "9" * 28]),
    ],
)
def test_what_does_not_fit_raises(evaluate: Evaluate, sql: str, types: list[str], row: list[str]) -> None:
    with pytest.raises(duckdb.Error) as caught:
        evaluate(sql, types, [row])
    error = from_engine(caught.value)
    assert error is not None
    assert error.code == "udf.out_of_range"
    assert error.hint


def fits(x: float) -> bool:
    number = Fraction(repr(x))
    return abs(number) < 10**20 and number * 10**18 % 1 == 0


doubles = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(min_value=-(10**14), max_value=10**14, places=3).map(float),
    st.decimals(min_value=-(10**5), max_value=10**5, places=10).map(float),
    st.integers(-(10**19), 10**19).map(float),
).filter(fits)


@settings(max_examples=60, deadline=None)
@example([0.1, 0.2, 0.1 + 0.2, -0.0, 1e19, 123456789012345680.0, 99999999999.99995, 1e-10, 1e-18])
@given(st.lists(doubles, min_size=1, max_size=80))
def test_a_double_is_its_shortest_text(evaluate: Evaluate, values: list[float]) -> None:
    found = evaluate("KALLA_EXACT(c0)", ["DOUBLE"], [[x] for x in values])
    assert found == [Decimal(repr(x)) for x in values]
    assert found == [exact_decimal(x) for x in values]


def test_a_real_is_its_own_shortest_text(evaluate: Evaluate) -> None:
    found = evaluate("KALLA_EXACT(c0)", ["FLOAT"], [["0.1"], ["16777216"], [None]])
    assert found == [Decimal("0.1"), 16777216, None]
    assert evaluate("TYPEOF(KALLA_EXACT(c0))", ["FLOAT"], [["0.1"]]) == ["DECIMAL(38,18)"]


def test_digits_past_the_18th_are_rounded(evaluate: Evaluate) -> None:
    values = [1e-19, 5e-19, -5e-19, 5e-324, 0.012345678901234567]
    found = evaluate("KALLA_EXACT(c0)", ["DOUBLE"], [[x] for x in values])
    assert found == [exact_decimal(x) for x in values]
    assert found[1:3] == [Decimal("1e-18"), Decimal("-1e-18")]


NO_DECIMALS = [float("nan"), float("inf"), float("-inf"), 1e20, 1e300]


@pytest.mark.parametrize("value", NO_DECIMALS)
def test_a_double_that_is_no_such_decimal_raises(evaluate: Evaluate, value: float) -> None:
    with pytest.raises(duckdb.Error) as caught:
        evaluate("KALLA_EXACT(c0)", ["DOUBLE"], [[value]])
    error = from_engine(caught.value)
    assert error is not None
    assert error.code == "udf.out_of_range"
    with pytest.raises(UdfError, match=r"udf\.out_of_range"):
        exact_decimal(value)


def test_other_engine_errors_are_left_alone() -> None:
    assert from_engine(duckdb.CatalogException("no such table")) is None
    assert from_engine(duckdb.ConversionException("invalid date field format")) is None
    assert from_engine(ValueError("x")) is None
