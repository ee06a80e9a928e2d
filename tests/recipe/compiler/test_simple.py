"""The common class: pairs as PostgreSQL finds them, the split into keys and conditions, gaps, names, numbers."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import exp

from recipe.columns import Column, Kind
from recipe.compiler import MatchPlan, PlanClass, SideInput, check_match_sql, compile_match_sql
from recipe.compiler.outputs import FIXED_COLUMNS
from tests.recipe.compiler.engine import FUNCTIONS, LEFT, RIGHT, Run, lowered

_RIGHT = replace(RIGHT, decimal=".", thousands="")
_FROM = "FROM left_src l JOIN right_src r ON "


def _plan(sql: str, left: SideInput = LEFT, right: SideInput = _RIGHT) -> MatchPlan:
    return compile_match_sql(sql, left, right, FUNCTIONS)


def _joined(plan: MatchPlan) -> str:
    """The pairs that a plan describes, as an engine would find them."""
    tests = [exp.EQ(this=k.left, expression=k.right) for k in plan.keys]
    tests += [c.tree for c in (*plan.left_only, *plan.right_only, *plan.conditions)]
    where = " AND ".join(lowered(test) for test in tests) or "TRUE"
    return "SELECT l._kalla_row, r._kalla_row FROM left_src l, right_src r WHERE " + where + " ORDER BY 1, 2"


# What stands after SELECT ids: the plan must give the pairs that PostgreSQL finds with both sides present.
PAIRS = (
    "FROM left_src l JOIN right_src r ON l.ref = r.ref",
    "FROM right_src r JOIN left_src l ON r.ref = l.ref",
    "FROM left_src l, right_src r WHERE l.ref = r.ref AND l.amount > 0",
    "FROM left_src l LEFT JOIN right_src r ON l.ref = r.ref AND r.amount > 50 WHERE l.qty > 0",
    "FROM left_src l LEFT JOIN right_src r ON l.ref = r.ref WHERE r.amount IS NULL OR r.amount > 200",
    "FROM left_src l RIGHT JOIN right_src r ON l.ref = r.ref AND l.ok",
    "FROM left_src l FULL JOIN right_src r ON l.id = r.id WHERE COALESCE(l.qty, 0) <= COALESCE(r.qty, 100)",
    "FROM left_src l FULL JOIN right_src r USING (id, ref)",
    "FROM left_src l CROSS JOIN right_src r",
    "FROM left_src l CROSS JOIN right_src r WHERE ABS(l.amount - r.amount) <= 0.01",
    "FROM left_src l JOIN right_src r ON TRUE WHERE l.day - r.day BETWEEN -1 AND 1",
    "FROM left_src l JOIN right_src r ON l.ref IS NOT DISTINCT FROM r.ref",
    "FROM left_src l JOIN right_src r ON (l.ref, l.qty) = (r.ref, r.qty)",
    "FROM left_src l JOIN right_src r ON l.amount = r.dbl OR l.dbl = r.amount",
    "FROM left_src l JOIN right_src r ON UPPER(l.ref) = UPPER(r.ref) AND NOT (l.ok AND r.ok)",
    "FROM left_src l JOIN right_src r ON l.\"Mixed Case\" LIKE '%' || r.\"Mixed Case\" || '%'",
    "FROM left_src l JOIN right_src r ON l.ts < r.tz AND l.day < r.ts AND (1 = 1)",
    "FROM left_src l JOIN right_src r ON l.qty = r.amount AND 2 > 1",
    "FROM left_src l JOIN right_src r ON FALSE",
    "FROM left_src l JOIN right_src r ON EXTRACT(YEAR FROM l.day) = EXTRACT(YEAR FROM r.day) AND l.id <> r.id",
    "FROM left_src l JOIN right_src r ON ((l.ref = r.ref) AND ((l.qty < r.qty OR l.ok) AND r.ok))",
    "FROM left_src l JOIN right_src r ON ABS(l.amount - r.amount) / NULLIF(l.amount, 0) < 0.02",
    "FROM left_src l JOIN right_src r ON CASE WHEN l.ok THEN l.ref ELSE 'x' END = r.ref AND l.qty IN (r.qty, 3)",
)


@pytest.mark.parametrize("rest", PAIRS)
def test_pairs_are_those_of_postgresql(duck: duckdb.DuckDBPyConnection, postgres: Run, rest: str) -> None:
    plan = _plan("SELECT l.id, r.id " + rest)
    assert plan.kind in (PlanClass.EQUI, PlanClass.INEQUALITY)
    ids = postgres("SELECT l._kalla_row, r._kalla_row " + rest)
    expected = sorted(pair for pair in ids if None not in pair)
    assert duck.execute(_joined(plan)).fetchall() == expected


def test_conjuncts_go_to_keys_sides_and_the_rest() -> None:
    plan = _plan(
        "SELECT l.id " + _FROM + "(l.ref = r.ref AND (l.day) = r.day) AND l.amount > 0 AND r.ok "
        "AND (l.qty = r.qty OR l.ok) WHERE 1 = 1"
    )
    assert [k.sql for k in plan.keys] == ["l.ref = r.ref", "(l.day) = r.day"]
    assert [c.sql for c in plan.left_only] == ["l.amount > 0"]
    assert [c.sql for c in plan.right_only] == ["r.ok"]
    assert [c.sql for c in plan.conditions] == ["l.qty = r.qty OR l.ok", "1 = 1"]
    assert plan.key_columns("l") == ("ref", "day")


@pytest.mark.parametrize(
    "text",
    [
        "NOT (l.ok OR r.ok)",
        "CASE WHEN l.ok THEN r.ok ELSE l.qty > r.qty END",
        "l.day  BETWEEN r.day - 3 /* days */ AND r.day + 3",
        "SUBSTRING(l.ref FROM 1 FOR 3) <> SUBSTRING(r.ref, 1, 3)",
        "COALESCE(TRIM(UPPER(l.ref)), '') <> COALESCE(r.ref, '')",
        "l.ref NOT LIKE '%' || r.ref || '%'",
        "EXTRACT(YEAR FROM l.day) < EXTRACT(YEAR FROM r.day)",
        "CAST(l.qty AS numeric(10, 2)) <> r.amount::numeric(10, 2)",
        "l.day + INTERVAL '2 days' < r.day",
        "(l.qty + r.qty) IS NOT NULL",
        "l.ok IS NOT TRUE AND r.ok IS TRUE",
        "tolerance_match( l.amount,\n r.amount, 0.05 )",
        "DATE '2026-01-01' + l.qty < r.day",
    ],
)
def test_conditions_keep_the_persons_own_text(text: str) -> None:
    for sql in (
        "SELECT l.id " + _FROM + "l.ref = r.ref AND " + text + " WHERE l.qty > 0",
        "SELECT 1 AS one " + _FROM + text,
    ):
        plan = _plan(sql)
        texts = [c.sql for c in (*plan.left_only, *plan.right_only, *plan.conditions)]
        assert [t for t in texts if t != "l.qty > 0"] == text.split(" AND ") if "TRUE AND" in text else text in texts


@pytest.mark.parametrize(
    ("condition", "row", "gap", "unit"),
    [
        ("tolerance_match(l.amount, r.amount, 0.01)", (1, 2), Decimal("243.25"), "number"),
        ("ABS(l.amount - r.amount) <= 0.001", (0, 0), Decimal("0.01"), "number"),
        ("0.001 > ABS(l.amount - r.amount)", (0, 0), Decimal("0.01"), "number"),
        ("ABS(l.amount - r.amount) / NULLIF(l.amount, 0) < 0.00001", (0, 0), Decimal("0.01"), "number"),
        ("l.amount > r.amount + 1", (0, 0), Decimal("0.99"), "number"),
        ("percent_match(l.amount, r.amount, 0.001)", (0, 0), Decimal("0.01"), "number"),
        ("l.dbl < r.dbl + 0", (0, 0), Decimal("0.01"), "number"),
        ("date_within(l.day, r.day, 0)", (0, 0), 1, "days"),
        ("ABS(l.day - r.day) < 1", (0, 0), 1, "days"),
        ("l.day IS NOT DISTINCT FROM r.day + 0", (1, 1), 1, "days"),
        ("l.ts + INTERVAL '0 days' < r.ts", (1, 1), 1, "days"),
        ("l.day - r.day > 3", (1, 1), 1, "days"),
        ("r.amount - l.amount BETWEEN 0 AND 5", (0, 0), Decimal("0.01"), "number"),
        ("l.day BETWEEN r.day AND r.day + 30", (0, 0), 1, "days"),
    ],
)
def test_gap_says_by_how_much_a_condition_failed(
    duck: duckdb.DuckDBPyConnection, condition: str, row: tuple[int, int], gap: Any, unit: str
) -> None:
    plan = _plan("SELECT l.id " + _FROM + condition + " AND l.qty <> r.qty + 1000")
    failed = plan.conditions[0]
    assert failed.gap is not None
    assert failed.gap_unit == unit
    query = (
        "SELECT " + lowered(failed.gap) + " FROM left_src l, right_src r WHERE l._kalla_row = ? AND r._kalla_row = ?"
    )
    assert duck.execute(query, list(row)).fetchall() == [(gap,)]


@pytest.mark.parametrize("condition", ["l.ref <> r.ref", "l.ref < r.ref", "l.ok OR r.ok", "l.qty <> r.qty"])
def test_conditions_without_distance_have_no_gap(condition: str) -> None:
    plan = _plan("SELECT l.id " + _FROM + condition)
    assert plan.conditions[0].gap is None
    assert plan.conditions[0].gap_unit == "none"


def test_output_names_never_collide() -> None:
    plan = _plan(
        "SELECT *, l.ref AS _left_row, r.ref AS _Left_Row, 1 AS left_amount, l.id AS left_id, 2, 3, l.qty + 1 "
        + _FROM + "l.ref = r.ref",
        replace(LEFT, primary_key=("id", "Mixed Case")),
    )  # fmt: skip
    names = [o.name.casefold() for o in plan.outputs]
    assert len(set(names)) == len(names)
    assert not set(names) & set(FIXED_COLUMNS)
    assert [o.name for o in plan.outputs][:2] == ["left_id_2", "left_ref"]


def test_star_follows_from_and_keys_are_appended_under_sided_names() -> None:
    plan = _plan("SELECT r.ref, l.amount AS a FROM right_src r JOIN left_src l ON l.ref = r.ref")
    assert [(o.name, o.side, o.column) for o in plan.outputs] == [
        ("ref", "r", "ref"), ("a", "l", "amount"), ("left_id", "l", "id"), ("right_id", "r", "id"),
    ]  # fmt: skip
    stars = _plan("SELECT r.*, l.* FROM left_src l JOIN right_src r ON l.ref = r.ref")
    assert [o.side for o in stars.outputs] == ["r"] * 14 + ["l"] * 14
    plain = _plan("SELECT * FROM right_src r JOIN left_src l ON l.ref = r.ref")
    assert [o.name for o in plain.outputs][:2] == ["right_id", "right_ref"]


def test_control_totals_are_kept_for_amounts_not_for_ids() -> None:
    matched = _plan("SELECT l.id, l.amount, r.amount " + _FROM + "l.id = r.id")
    assert [n for n, _ in matched.left_numbers] == ["amount"]
    used = _plan("SELECT l.id " + _FROM + "l.id = r.id AND l.dbl <= r.rate")
    assert [(n, t.sql()) for n, t in used.left_numbers] == [("dbl", 'KALLA_EXACT(l."dbl")')]
    assert [n for n, _ in used.right_numbers] == ["rate"]
    texts = _plan("SELECT l.id, l.amount_text, r.qty " + _FROM + "l.amount_text = r.qty")
    assert [n for n, _ in texts.left_numbers] == []
    amounts = _plan("SELECT l.id " + _FROM + "l.amount_text = r.amount")
    assert [n for n, _ in amounts.left_numbers] == ["amount_text"]


def test_parses_are_those_that_decide() -> None:
    plan = _plan("SELECT l.amount_text + 1 AS x " + _FROM + "l.ref = r.ref AND TRIM(r.amount_text) > 5", right=RIGHT)
    assert [(p.side, p.column, p.parsed.sql()) for p in plan.parses] == [
        ("r", "TRIM(r.amount_text)", "KALLA_NUMBER(TRIM(r.\"amount_text\"), ',', '.')")
    ]
    assert len(plan.warnings) == 2


BENCHMARKS = {
    "A": "SELECT i.*, p.* FROM left_src i JOIN right_src p ON i.invoice_id = p.reference_number "
    "AND tolerance_match(i.amount, p.paid_amount, 0.02)",
    "B": "SELECT l.invoice_id, r.payment_id, l.amount AS invoice_amount, r.paid_amount AS payment_amount "
    "FROM left_src l JOIN right_src r ON l.invoice_id = r.reference_number",
    "C": "SELECT l.invoice_id, r.payment_id, l.batch_ref, l.amount AS invoice_amount, r.paid_amount AS batch_total "
    "FROM left_src l JOIN right_src r ON l.batch_ref = r.reference_number",
    "D": "SELECT l.invoice_id, r.payment_id, l.customer_id, l.amount AS invoice_amount, r.paid_amount AS "
    "payment_amount FROM left_src l JOIN right_src r ON l.customer_id = r.payer_id AND l.currency = r.currency "
    "AND SUBSTRING(l.invoice_date, 1, 7) = SUBSTRING(r.payment_date, 1, 7)",
}


def _columns(amount: Kind, date: Kind, *names: str) -> tuple[Column, ...]:
    kinds = {"amount": amount, "paid_amount": amount, "invoice_date": date, "payment_date": date}
    return tuple(
        Column(n, k, precision=12 if k == Kind.DECIMAL else None, scale=2 if k == Kind.DECIMAL else None)
        for n in names
        for k in [kinds.get(n, Kind.TEXT)]
    )


@pytest.mark.parametrize(
    ("amount", "date"), [(Kind.DECIMAL, Kind.DATE), (Kind.TEXT, Kind.TEXT), (Kind.DOUBLE, Kind.TEXT)]
)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmark_statements_are_equi_joins(name: str, amount: Kind, date: Kind) -> None:
    left = _columns(amount, date, "invoice_id", "customer_id", "invoice_date", "amount", "currency", "batch_ref")
    right = _columns(
        amount, date, "payment_id", "payer_id", "payment_date", "paid_amount", "currency", "reference_number"
    )
    plan = _plan(BENCHMARKS[name], SideInput(left, ("invoice_id",)), SideInput(right, ("payment_id",)))
    assert plan.kind == PlanClass.EQUI
    assert len(plan.keys) == (3 if name == "D" else 1)
    assert len(plan.conditions) == (1 if name == "A" else 0)
    assert not plan.left_only + plan.right_only


_BLIND = SideInput(None, ("id",))


def test_without_schemas_only_the_form_is_checked() -> None:
    plan = _plan("SELECT *, l.a + r.b AS c " + _FROM + "l.x = r.y AND tolerance_match(l.a, r.b, 1)", _BLIND, _BLIND)
    assert plan.kind == PlanClass.EQUI
    assert [o.name for o in plan.outputs] == ["*", "c"]
    assert "KALLA_NUMBER" not in plan.conditions[0].tree.sql()
    _, problems, _ = check_match_sql("SELECT l.a " + _FROM + "nofunc(l.x) = 1", _BLIND, _BLIND, FUNCTIONS)
    assert [p.code for p in problems] == ["recipe.sql.forbidden"]


def test_without_one_schema_the_other_is_still_checked() -> None:
    plan = _plan("SELECT l.anything, r.ref " + _FROM + "ref = anything", _BLIND)
    assert plan.outputs[1].side == "r"
    _, problems, _ = check_match_sql("SELECT l.a, r.nope " + _FROM + "l.x = r.ref", _BLIND, RIGHT, FUNCTIONS)
    assert [p.code for p in problems] == ["recipe.sql.unknown_column"]


def test_general_statements_without_schemas_are_checked_too() -> None:
    sql = "WITH a AS (SELECT * FROM left_src) SELECT a.x, COUNT(*) FROM a JOIN right_src r ON a.x = r.x GROUP BY a.x"
    assert _plan(sql, _BLIND, _BLIND).kind == PlanClass.GENERAL
