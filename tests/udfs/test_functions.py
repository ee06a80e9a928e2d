"""Every match function: the table in cases.json holds in Python and in DuckDB, and both agree beyond it."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe import Arg
from tests.udfs.conftest import Evaluate
from udfs import REGISTRY, UdfError, lower, signatures
from udfs.text import simple_upper

CASES = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
DEFAULT_TYPES = {
    Arg.NUMBER: "DECIMAL(38,10)",
    Arg.TEXT: "VARCHAR",
    Arg.DATE: "DATE",
    Arg.BOOLEAN: "BOOLEAN",
}


def case_name(case: dict[str, Any]) -> str:
    return f"{case['function']}({', '.join(map(str, case['args']))})"[:70]


def python_value(value: Any, kind: Arg) -> Any:
    if not isinstance(value, str):
        return value
    if kind is Arg.NUMBER:
        return Decimal(value)
    if kind is Arg.DATE:
        return datetime.fromisoformat(value) if len(value) > 10 else date.fromisoformat(value)
    return value


def sql_literal(value: Any) -> str:
    return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else str(value)


def run_case(evaluate: Evaluate, name: str, args: list[Any], types: list[str] | None) -> Any:
    signature = REGISTRY[name.upper()].signature
    types = types or [DEFAULT_TYPES[kind] for kind in signature.args]
    columns = [i for i in range(len(args)) if i not in signature.literal]
    place = {i: f"c{n}" for n, i in enumerate(columns)}
    call = ", ".join(place.get(i) or sql_literal(arg) for i, arg in enumerate(args))
    [found] = evaluate(f"{name}({call})", [types[i] for i in columns], [[args[i] for i in columns]])
    return found


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_the_reference_keeps_the_table(case: dict[str, Any]) -> None:
    function = REGISTRY[case["function"].upper()]
    found = function(*map(python_value, case["args"], function.signature.args))
    assert (str(found) if isinstance(found, Decimal) else found) == case["expected"]


@pytest.mark.parametrize("case", CASES, ids=case_name)
def test_duckdb_keeps_the_table(evaluate: Evaluate, case: dict[str, Any]) -> None:
    found = run_case(evaluate, case["function"], case["args"], case.get("types"))
    assert (str(found) if isinstance(found, Decimal) else found) == case["expected"]


def test_the_table_has_every_function_and_a_null_in_each_argument() -> None:
    for name, signature in signatures().items():
        of_this = [case["args"] for case in CASES if case["function"].upper() == name]
        nullable = set(range(signature.at_least)) - signature.literal
        assert {i for args in of_this for i, arg in enumerate(args) if arg is None} == nullable


money = st.decimals(min_value=-(10**13), max_value=10**13, places=2)
near = st.tuples(money, st.decimals(min_value=-5, max_value=5, places=2)).map(lambda p: (p[0], p[0] + p[1]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(near, st.sampled_from(["0", "0.01", "0.02", "1", "2.5", "100"])), min_size=1, max_size=50))
def test_number_functions_agree(evaluate: Evaluate, rows: list[tuple[tuple[Decimal, Decimal], str]]) -> None:
    args = [[str(a), str(b), limit] for (a, b), limit in rows]
    for name in ("TOLERANCE_MATCH", "PERCENT_MATCH"):
        types = ["DECIMAL(18,2)", "DECIMAL(20,4)", "DECIMAL(5,2)"]
        found = evaluate(f"{name}(c0, c1, c2)", types, args)
        assert found == [REGISTRY[name](*map(Decimal, row)) for row in args]


moments = st.one_of(st.dates(), st.datetimes())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(moments, moments, st.integers(0, 4_000_000)), min_size=1, max_size=50))
def test_date_within_agrees(evaluate: Evaluate, rows: list[tuple[date, date, int]]) -> None:
    found = evaluate(
        "DATE_WITHIN(c0, c1, c2)",
        ["TIMESTAMP", "TIMESTAMP", "INTEGER"],
        [[a.isoformat(), b.isoformat(), str(n)] for a, b, n in rows],
    )
    assert found == [REGISTRY["DATE_WITHIN"](*row) for row in rows]


texts = st.one_of(st.text(max_size=12), st.text(alphabet="aA0 -é\u0301ßü", max_size=12)).filter(
    lambda t: "\x00" not in t
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=50))
def test_text_functions_agree(evaluate: Evaluate, rows: list[tuple[str, str]]) -> None:
    similarity = evaluate("TEXT_SIMILARITY(c0, c1)", ["VARCHAR", "VARCHAR"], rows)
    assert similarity == [REGISTRY["TEXT_SIMILARITY"](a, b) for a, b in rows]
    for option in ("", ", TRUE"):
        found = evaluate(f"NORMALIZE_REF(c0{option})", ["VARCHAR"], rows)
        assert found == [REGISTRY["NORMALIZE_REF"](a, bool(option)) for a, _ in rows]


def test_normalize_ref_agrees_on_every_code_point(evaluate: Evaluate) -> None:
    """DuckDB and this Python may know different versions of Unicode; the definition holds for both."""
    # the planes from 4 to 13 are empty, the last two private
    points = [chr(i) for i in (*range(1, 0x40000), *range(0xE0000, 0xF0100)) if not 0xD800 <= i <= 0xDFFF]
    found = evaluate("NORMALIZE_REF(c0)", ["VARCHAR"], [[p] for p in points])
    normalize = REGISTRY["NORMALIZE_REF"]
    assert [p for p, f in zip(points, found, strict=True) if f != normalize(p)] == []
    assert all(len(simple_upper(p)) == 1 for p in points)


def test_similarity_is_a_decimal_of_four_places(evaluate: Evaluate) -> None:
    assert evaluate("TYPEOF(TEXT_SIMILARITY(c0, 'é'))", ["VARCHAR"], [["a"]]) == ["DECIMAL(5,4)"]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("tolerance_match(a, b, -0.01)", "udf.invalid_argument"),
        ("tolerance_match(a, b, (-1))", "udf.invalid_argument"),
        ("percent_match(a, b, -1)", "udf.invalid_argument"),
        ("date_within(a, b, -1)", "udf.invalid_argument"),
        ("normalize_ref(a, b)", "udf.invalid_argument"),
        ("normalize_ref()", "udf.invalid_argument"),
        ("tolerance_match(a, b)", "udf.invalid_argument"),
        ("regex_extract(a, b)", "udf.invalid_argument"),
        ("regex_extract(a, '(')", "udf.invalid_pattern"),
        ("regex_extract(a, '(x)', 2)", "udf.invalid_pattern"),
        ("regex_extract(a, '(x)', -1)", "udf.invalid_pattern"),
        ("regex_extract(a, '(x)', b)", "udf.invalid_pattern"),
    ],
)
def test_constants_that_cannot_work_are_refused_before_a_run(sql: str, code: str) -> None:
    with pytest.raises(UdfError) as caught:
        lower(sqlglot.parse_one(sql, dialect="duckdb"))
    assert caught.value.code == code
    assert caught.value.hint or "arguments" in caught.value.message


@pytest.mark.parametrize("limit", ["0", "-0", "0.00", "-0.00"])
def test_a_tolerance_of_zero_is_fine(evaluate: Evaluate, limit: str) -> None:
    assert evaluate(f"tolerance_match(c0, 1, {limit})", ["INTEGER"], [["1"], ["2"]]) == [True, False]
