"""Each expression of fixtures/match_sql/expressions.txt means in a plan what it means in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recipe.compiler import compile_match_sql
from tests.recipe.compiler.engine import FUNCTIONS, LEFT, RIGHT, Run, lowered

_LIST = Path(__file__).parent.parent / "fixtures" / "match_sql" / "expressions.txt"
EXPRESSIONS = _LIST.read_text(encoding="utf-8").splitlines()
_PLAIN_RIGHT = replace(RIGHT, decimal=".", thousands="")


def _planned(duck: duckdb.DuckDBPyConnection, expression: str) -> list[tuple[Any, ...]]:
    plan = compile_match_sql(
        "SELECT " + expression + " AS v FROM left_src l, right_src r", LEFT, _PLAIN_RIGHT, FUNCTIONS
    )
    text = "SELECT l._kalla_row, r._kalla_row, " + lowered(plan.outputs[0].tree) + " FROM left_src l, right_src r"
    return duck.execute(text + " ORDER BY 1, 2").fetchall()


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, (int, float, Decimal)) and isinstance(b, (int, float, Decimal)):
        # PostgreSQL keeps more digits of a quotient; twelve are promised.
        return abs(Decimal(str(a)) - Decimal(str(b))) < Decimal("1e-10")
    return bool(a == b)


def assert_same(duck: duckdb.DuckDBPyConnection, postgres: Run, expression: str) -> None:
    meant = postgres("SELECT l._kalla_row, r._kalla_row, " + expression + " FROM left_src l, right_src r ORDER BY 1, 2")
    found = _planned(duck, expression)
    different = [(a, b) for a, b in zip(meant, found, strict=True) if not _same(a[2], b[2])]
    assert not different, different[:3]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression_means_what_postgresql_says(duck: duckdb.DuckDBPyConnection, postgres: Run, expression: str) -> None:
    assert_same(duck, postgres, expression)


_NUMBERS = st.sampled_from(["l.amount", "r.amount", "l.rate", "l.qty", "r.qty", "2", "0.5", "-3", "1e-2"])
_ARITHMETIC = st.recursive(
    _NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(" ".join),
        inner.map(lambda e: f"({e})"),
        inner.map(lambda e: f"-({e})"),
        inner.map(lambda e: f"ABS({e})"),
        st.tuples(inner, inner).map(lambda p: f"COALESCE({p[0]}, {p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"CASE WHEN {p[0]} > {p[1]} THEN {p[0]} ELSE {p[1]} END"),
    ),
    max_leaves=5,
)
_TESTS = st.recursive(
    st.one_of(
        st.tuples(_ARITHMETIC, st.sampled_from(["=", "<", ">=", "<>", "IS DISTINCT FROM"]), _ARITHMETIC).map(" ".join),
        st.sampled_from(["l.ok", "r.ok", "l.ref IS NULL", "l.ref = r.ref", "l.qty IN (2, NULL)", "l.ref LIKE '%1'"]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
        inner.map(lambda e: f"NOT ({e})"),
        inner.map(lambda e: f"({e}) IS NOT TRUE"),
    ),
    max_leaves=5,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expression=st.one_of(_ARITHMETIC, _TESTS))
def test_composed_expressions_mean_what_postgresql_says(
    duck: duckdb.DuckDBPyConnection, postgres: Run, expression: str
) -> None:
    """Precedence, parentheses, three-valued logic and exact arithmetic survive the rewriting."""
    assert_same(duck, postgres, expression)


def _values(duck: duckdb.DuckDBPyConnection, expression: str) -> list[Any]:
    return [row[2] for row in _planned(duck, expression)]


def test_division_by_zero_is_null(duck: duckdb.DuckDBPyConnection) -> None:
    for expression in ("l.qty / 0", "l.amount / 0", "l.dbl / (r.dbl - r.dbl)", "l.qty % 0", "l.amount / (1 - 1)"):
        assert set(_values(duck, expression)) == {None}


def test_text_is_read_by_its_sides_format(duck: duckdb.DuckDBPyConnection) -> None:
    plan = compile_match_sql(
        "SELECT l.amount_text + 0 AS a, r.amount_text + 0 AS b FROM left_src l JOIN right_src r ON l.id = r.id",
        LEFT, RIGHT, FUNCTIONS,
    )  # fmt: skip
    left = "SELECT " + lowered(plan.outputs[0].tree) + " FROM left_src l ORDER BY _kalla_row"
    right = "SELECT " + lowered(plan.outputs[1].tree) + " FROM right_src r ORDER BY _kalla_row"
    numbers = [row[0] for row in duck.execute(left).fetchall()]
    assert numbers == [Decimal(100), Decimal("250.5"), Decimal("-7.25"), None, None, Decimal("99.99")]
    commas = [row[0] for row in duck.execute(right).fetchall()]
    assert commas == [Decimal("99.99"), Decimal("250.5"), Decimal("1007.25"), None, None, Decimal(1000)]


def test_dates_are_texts_where_a_text_is_needed(duck: duckdb.DuckDBPyConnection) -> None:
    assert _values(duck, "LEFT(l.day, 7)")[0] == "2026-01"
    assert _values(duck, "l.day LIKE '2026-%'")[0] is True
    assert _values(duck, "LPAD(l.qty, 4, '0')")[0] == "0002"


def test_product_of_short_decimals_does_not_overflow(duck: duckdb.DuckDBPyConnection) -> None:
    assert _values(duck, "l.amount * 1000000 * l.rate * 1000000")[0] == Decimal(100) * 10**12 * Decimal("12.5")


def test_sums_of_binary_numbers_are_exact(duck: duckdb.DuckDBPyConnection) -> None:
    assert _values(duck, "l.dbl + r.dbl")[7] == Decimal("0.2")
