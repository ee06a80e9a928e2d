"""General statements: the rows behind each result row, against queries written by hand for PostgreSQL."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from sqlglot import exp

from recipe.compiler import MatchPlan, PlanClass, compile_match_sql
from recipe.errors import RecipeError
from tests.recipe.compiler.engine import FUNCTIONS, LEFT, RIGHT, Run, lowered

_RIGHT = replace(RIGHT, decimal=".", thousands="")
JOIN = " FROM left_src l JOIN right_src r ON l.ref = r.ref"

# name: (match_sql, the same for PostgreSQL with the row ids of both sides first, as sorted arrays)
CASES = {
    "group": (
        "SELECT l.ref, SUM(l.amount) AS total, COUNT(*) AS n" + JOIN + " GROUP BY l.ref",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, SUM(l.amount), COUNT(*)"
        + JOIN + " GROUP BY l.ref",
    ),
    "having": (
        "SELECT l.ref, AVG(l.amount), MIN(l.day), MAX(r.amount), COUNT(DISTINCT l.id)" + JOIN
        + " GROUP BY 1 HAVING COUNT(*) > 1",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, AVG(l.amount), MIN(l.day), "
        "MAX(r.amount), COUNT(DISTINCT l.id)" + JOIN + " GROUP BY l.ref HAVING COUNT(*) > 1",
    ),
    "no group by": (
        "SELECT SUM(l.amount), COUNT(*)" + JOIN,
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), SUM(l.amount), COUNT(*)" + JOIN,
    ),
    "aggregate over nothing": (
        "SELECT SUM(l.amount), COUNT(*)" + JOIN + " WHERE l.ref = 'none'",
        "SELECT NULL, NULL, NULL WHERE FALSE",
    ),
    "grouped ctes": (
        "WITH b AS (SELECT ref, SUM(amount) AS total FROM left_src GROUP BY ref), "
        "p(key, sum) AS (SELECT ref, SUM(amount) FROM right_src GROUP BY 1) "
        "SELECT b.ref, b.total, p.sum FROM b JOIN p ON b.ref = p.key",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, "
        "(SELECT SUM(amount) FROM left_src x WHERE x.ref = l.ref), (SELECT SUM(amount) FROM right_src x "
        "WHERE x.ref = l.ref)" + JOIN + " GROUP BY l.ref",
    ),
    "grouped union": (
        "SELECT ref, SUM(a) AS rest FROM (SELECT ref, amount AS a FROM left_src UNION ALL "
        "SELECT ref, -amount FROM right_src) u GROUP BY ref HAVING COUNT(*) > 1",
        "SELECT (SELECT array_agg(_kalla_row ORDER BY 1) FROM left_src x WHERE x.ref IS NOT DISTINCT FROM u.ref), "
        "(SELECT array_agg(_kalla_row ORDER BY 1) FROM right_src x WHERE x.ref IS NOT DISTINCT FROM u.ref), ref, "
        "SUM(a) FROM (SELECT ref, amount AS a FROM left_src UNION ALL SELECT ref, -amount FROM right_src) u "
        "GROUP BY ref HAVING COUNT(*) > 1",
    ),
    "passes": (
        "SELECT l.id, r.id" + JOIN + " UNION ALL SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.qty = r.qty",
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id" + JOIN + " UNION ALL SELECT ARRAY[l._kalla_row], "
        "ARRAY[r._kalla_row], l.id, r.id FROM left_src l JOIN right_src r ON l.qty = r.qty",
    ),
    "union of equal rows": (
        "SELECT l.ref" + JOIN + " UNION SELECT l.ref FROM left_src l JOIN right_src r ON l.amount = r.amount",
        "SELECT array_agg(DISTINCT a), array_agg(DISTINCT b), ref FROM (SELECT l._kalla_row AS a, r._kalla_row AS b, "
        "l.ref" + JOIN + " UNION ALL SELECT l._kalla_row, r._kalla_row, l.ref FROM left_src l JOIN right_src r "
        "ON l.amount = r.amount) u GROUP BY ref",
    ),
    "distinct": (
        "SELECT DISTINCT l.ref, r.ok" + JOIN,
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, r.ok" + JOIN
        + " GROUP BY l.ref, r.ok",
    ),
    "self join": (
        "SELECT a.id, b.id, r.id FROM left_src a JOIN left_src b ON a.ref = b.ref AND a.id < b.id "
        "JOIN right_src r ON r.ref = a.ref",
        "SELECT ARRAY[a._kalla_row, b._kalla_row], ARRAY[r._kalla_row], a.id, b.id, r.id FROM left_src a "
        "JOIN left_src b ON a.ref = b.ref AND a.id < b.id JOIN right_src r ON r.ref = a.ref",
    ),
    "first by window": (
        "SELECT lid, rid FROM (SELECT l.id AS lid, r.id AS rid, ROW_NUMBER() OVER (PARTITION BY l.id "
        "ORDER BY ABS(l.amount - r.amount)) AS n" + JOIN + ") x WHERE n = 1",
        "SELECT DISTINCT ON (l.id) ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id" + JOIN
        + " ORDER BY l.id, ABS(l.amount - r.amount)",
    ),
    "windows": (
        "SELECT l.id, r.id, SUM(r.amount) OVER (PARTITION BY l.id ORDER BY r.id) AS run, "
        "RANK() OVER (ORDER BY l.amount DESC) AS place, LAG(r.id, 1, 0) OVER (ORDER BY l.id, r.id), "
        "AVG(l.qty) OVER (ORDER BY l.id, r.id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)" + JOIN,
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id, SUM(r.amount) OVER (PARTITION BY l.id ORDER BY "
        "r.id), RANK() OVER (ORDER BY l.amount DESC), LAG(r.id, 1, 0) OVER (ORDER BY l.id, r.id), "
        "AVG(l.qty) OVER (ORDER BY l.id, r.id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)" + JOIN,
    ),
    "window over aggregates": (
        "SELECT l.ref, SUM(l.amount) FILTER (WHERE l.amount > 0), SUM(SUM(l.qty)) OVER ()" + JOIN + " GROUP BY l.ref",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, SUM(l.amount) "
        "FILTER (WHERE l.amount > 0), SUM(SUM(l.qty)) OVER ()" + JOIN + " GROUP BY l.ref",
    ),
    "exists, in and scalar filters": (
        "SELECT l.id, r.id, (SELECT COUNT(*) FROM left_src z WHERE z.ref = l.ref) AS same" + JOIN
        + " WHERE EXISTS (SELECT 1 FROM right_src x WHERE x.ref = l.ref AND x.amount > 100) "
        "AND l.amount IN (SELECT amount FROM right_src) AND l.amount = (SELECT MAX(amount) FROM left_src)",
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id, 2" + JOIN + " WHERE l.amount = 250.50",
    ),
    "left join grouped": (
        "SELECT l.ref, COUNT(r.id), SUM(r.amount) FROM left_src l LEFT JOIN right_src r ON l.ref = r.ref "
        "GROUP BY l.ref",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, COUNT(r.id), SUM(r.amount)"
        + JOIN + " GROUP BY l.ref",
    ),
    "full join using": (
        # Rows without a reference meet in the group of NULL, and feed a result row that holds both sides.
        "SELECT ref, COUNT(*) FROM left_src l FULL JOIN right_src r USING (ref) GROUP BY ref",
        "SELECT array_agg(DISTINCT l._kalla_row) FILTER (WHERE l._kalla_row IS NOT NULL), "
        "array_agg(DISTINCT r._kalla_row) FILTER (WHERE r._kalla_row IS NOT NULL), ref, COUNT(*) "
        "FROM left_src l FULL JOIN right_src r USING (ref) GROUP BY ref "
        "HAVING COUNT(l._kalla_row) > 0 AND COUNT(r._kalla_row) > 0",
    ),
    "greedy passes": (
        "WITH m AS (SELECT l.id AS lid, r.id AS rid" + JOIN + "), rest AS (SELECT l.id AS lid, r.id AS rid "
        "FROM left_src l JOIN right_src r ON l.qty = r.qty WHERE l.id NOT IN (SELECT lid FROM m)) "
        "SELECT * FROM m UNION ALL SELECT * FROM rest ORDER BY 1",
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id" + JOIN + " UNION ALL SELECT ARRAY[l._kalla_row], "
        "ARRAY[r._kalla_row], l.id, r.id FROM left_src l JOIN right_src r ON l.qty = r.qty WHERE l.id NOT IN "
        "(SELECT l.id" + JOIN + ")",
    ),
    "alias and expression groups": (
        "SELECT UPPER(l.ref) AS u, SUM(l.qty) * 2 AS twice" + JOIN + " GROUP BY u",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), UPPER(l.ref), SUM(l.qty) * 2"
        + JOIN + " GROUP BY UPPER(l.ref)",
    ),
    "constants as keys": (
        "SELECT l.ref, 5 AS v, NULL AS n, CAST(NULL AS date) AS d, COUNT(*)" + JOIN + " GROUP BY 1, 2, 3, 4",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, 5, NULL, NULL, COUNT(*)"
        + JOIN + " GROUP BY l.ref",
    ),
    "text of a sub-query as number": (
        "SELECT l.id, r.id" + JOIN + " WHERE r.amount IN (SELECT amount_text FROM left_src) AND l.id = 1",
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, r.id" + JOIN + " WHERE r.amount = 99.99 AND l.id = 1",
    ),
    "on behind a cross join": (
        "SELECT a.id, b.id, r.id FROM left_src a CROSS JOIN left_src b JOIN right_src r ON r.id = a.id AND b.id = 1",
        "SELECT ARRAY(SELECT DISTINCT unnest(ARRAY[a._kalla_row, b._kalla_row]) ORDER BY 1), ARRAY[r._kalla_row], "
        "a.id, b.id, r.id FROM left_src a CROSS JOIN left_src b JOIN right_src r ON r.id = a.id AND b.id = 1",
    ),
    "scales of a union": (
        "SELECT l.id, CAST(l.id AS numeric) AS v" + JOIN + " UNION ALL SELECT r.id, r.rate" + JOIN,
        "SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], l.id, l.id" + JOIN
        + " UNION ALL SELECT ARRAY[l._kalla_row], ARRAY[r._kalla_row], r.id, r.rate" + JOIN,
    ),
    "average of long binary numbers": (
        "SELECT l.ref, AVG(r.dbl)" + JOIN + " GROUP BY l.ref",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, AVG(r.dbl::text::numeric)"
        + JOIN + " GROUP BY l.ref",
    ),
    "texts joined in order": (
        "SELECT l.ref, STRING_AGG(r.\"Mixed Case\", '|' ORDER BY r.id DESC)" + JOIN + " GROUP BY l.ref",
        "SELECT array_agg(DISTINCT l._kalla_row), array_agg(DISTINCT r._kalla_row), l.ref, "
        "STRING_AGG(r.\"Mixed Case\", '|' ORDER BY r.id DESC, r.\"Mixed Case\")" + JOIN + " GROUP BY l.ref",
    ),
}  # fmt: skip


def _plan(sql: str) -> MatchPlan:
    plan = compile_match_sql(sql, LEFT, _RIGHT, FUNCTIONS)
    assert plan.kind == PlanClass.GENERAL
    assert plan.traced is not None
    return plan


def _normal(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return round(Decimal(str(value)), 8).normalize() + 0
    return value


def _rows(found: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(_normal(value) for value in row) for row in found)


@pytest.mark.parametrize("name", CASES)
def test_rows_and_values_are_those_of_postgresql(duck: duckdb.DuckDBPyConnection, postgres: Run, name: str) -> None:
    sql, by_hand = CASES[name]
    plan = _plan(sql)
    assert plan.traced is not None
    found = duck.execute(lowered(plan.traced.tree)).fetchall()
    assert _rows(found) == _rows(postgres(by_hand))
    assert len(found) > 0 or name == "aggregate over nothing"


@pytest.mark.parametrize("name", CASES)
def test_traced_columns_are_the_plans_outputs(duck: duckdb.DuckDBPyConnection, name: str) -> None:
    plan = _plan(CASES[name][0])
    assert plan.traced is not None
    columns = [column[0] for column in duck.execute(lowered(plan.traced.tree)).description or []]
    traced = [output.name for output in plan.outputs if output.side is None]
    assert columns == [plan.traced.left_rows, plan.traced.right_rows, *traced]
    assert len({column.casefold() for column in columns}) == len(columns)


def test_key_columns_that_the_select_list_lacks_come_last() -> None:
    plan = _plan("SELECT l.ref, COUNT(*) AS n" + JOIN + " GROUP BY l.ref")
    assert [(o.name, o.side, o.column) for o in plan.outputs] == [
        ("ref", None, None), ("n", None, None), ("left_id", "l", "id"), ("right_id", "r", "id"),
    ]  # fmt: skip


def test_a_key_passed_through_queries_is_not_repeated() -> None:
    plan = _plan("WITH m AS (SELECT l.id AS a, r.id AS b" + JOIN + ") SELECT a, b FROM m")
    assert [o.name for o in plan.outputs] == ["a", "b"]


def test_hidden_columns_avoid_names_in_use() -> None:
    plan = _plan('SELECT l.ref AS "_KALLA_left", COUNT(*)' + JOIN + " GROUP BY l.ref")
    assert plan.traced is not None
    assert plan.traced.left_rows == "__kalla_left"


def test_equal_rows_get_the_same_window_order_every_time(duck: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT l.id, r.id, ROW_NUMBER() OVER (ORDER BY l.ref) AS n, LAG(r.id) OVER (ORDER BY l.ref) AS before" + JOIN
    plan = _plan(sql)
    assert plan.traced is not None
    rows = sorted(duck.execute(lowered(plan.traced.tree)).fetchall(), key=lambda row: row[4])
    assert [(row[0], row[1]) for row in rows] == sorted((row[0], row[1]) for row in rows)


def test_rows_with_equal_ids_are_ordered_too(duck: duckdb.DuckDBPyConnection) -> None:
    """Both orders of a pair of left rows come from the same two rows."""
    twice = "FROM left_src a CROSS JOIN left_src b CROSS JOIN right_src r"
    for source in (twice, f"FROM (SELECT a.id AS x, b.id AS y, r.id AS z {twice}) d"):
        names = "x, y, z" if source != twice else "a.id, b.id, r.id"
        plan = _plan(f"SELECT {names}, ROW_NUMBER() OVER () AS n {source}")
        assert plan.traced is not None
        rows = duck.execute(lowered(plan.traced.tree)).fetchall()
        order = [tuple((v is None, v or 0) for v in row[2:5]) for row in sorted(rows, key=lambda row: row[5])]
        ids = [(sorted(row[0]), sorted(row[1])) for row in sorted(rows, key=lambda row: row[5])]
        assert ids == sorted(ids)
        same = [i for i in range(1, len(ids)) if ids[i] == ids[i - 1]]
        assert len(same) > 50
        assert all(order[i - 1] < order[i] for i in same)


def test_an_outer_join_behind_a_comma_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        _plan("SELECT 1 AS one FROM left_src l, left_src m RIGHT JOIN right_src r ON m.ref = r.ref")
    assert [problem["code"] for problem in refused.value.details] == ["recipe.sql.unsupported"]
    assert _plan("SELECT 1 AS one FROM left_src l, left_src m LEFT JOIN right_src r ON m.ref = r.ref")


def test_duplicate_names_of_a_sub_query_are_fine_until_they_are_used(duck: duckdb.DuckDBPyConnection) -> None:
    plan = _plan("SELECT * FROM (SELECT l.id, r.id, l.ref" + JOIN + ") x")
    assert [o.name for o in plan.outputs] == ["left_id", "right_id", "ref"]
    assert plan.traced is not None
    assert len(duck.execute(lowered(plan.traced.tree)).fetchall()) == 5


def test_numbers_and_columns_of_general_plans() -> None:
    plan = _plan("SELECT l.ref, SUM(r.amount_text)" + JOIN + " GROUP BY l.ref HAVING SUM(l.amount) > 0")
    assert plan.left_columns == ("ref", "amount")
    assert plan.right_columns == ("ref", "amount_text")
    assert [name for name, _ in plan.left_numbers] == ["amount"]
    assert [name for name, _ in plan.right_numbers] == ["amount_text"]
    assert [(p.side, p.column) for p in plan.parses] == [("r", "amount_text")]


COMPUTED = "(SELECT ref, {} AS a FROM right_src{}) p"
READ = "SELECT l.id, p.a FROM left_src l JOIN {} ON l.ref = p.ref AND l.amount = p.a"


@pytest.mark.parametrize(
    ("computed", "names"),
    [
        ("amount_text", ["amount_text"]),
        ("TRIM(amount_text)", ["amount_text"]),
        ("amount_text || ref", ["amount_text", "ref"]),
        ("'1' || amount_text", ["amount_text"]),
    ],
)
def test_text_of_a_sub_query_is_read_by_its_sides_format_and_told_of(computed: str, names: list[str]) -> None:
    plan = compile_match_sql(READ.format(COMPUTED.format(computed, "")), LEFT, RIGHT, FUNCTIONS)
    assert plan.traced is not None
    assert "KALLA_NUMBER(d3.\"a\", ',', '.')" in plan.traced.tree.sql(dialect="duckdb")
    (parse,) = plan.parses
    assert parse.side == "r"
    assert parse.parsed.expressions[0] == parse.text
    columns = list(parse.text.find_all(exp.Column))
    assert ({c.table for c in columns}, sorted(c.name for c in columns)) == ({"r"}, names)


def test_text_through_ctes_unions_and_groups_is_told_of_by_side() -> None:
    sql = (
        "WITH u AS (SELECT ref, TRIM(amount_text) AS a FROM left_src UNION ALL SELECT ref, amount_text FROM right_src), "
        "v AS (SELECT ref, a || '0' AS b FROM u) SELECT ref, SUM(CAST(b AS numeric)) FROM v GROUP BY ref"
    )
    plan = compile_match_sql(sql, replace(LEFT, decimal=".", thousands=""), _RIGHT, FUNCTIONS)
    assert sorted(p.side for p in plan.parses) == ["l", "r"]
    assert {c.name for p in plan.parses for c in p.text.find_all(exp.Column)} == {"amount_text"}


@pytest.mark.parametrize(
    "sql",
    [
        READ.format(COMPUTED.format("MIN(amount_text)", " GROUP BY ref")),
        "SELECT l.id, r.id" + JOIN + " AND CAST(l.ref || r.ref AS numeric) = 1",
        "SELECT l.id, CAST(LAG(r.ref) OVER (ORDER BY l.id, r.id) AS numeric)" + JOIN,
    ],
)
def test_text_that_several_records_make_is_not_read(sql: str) -> None:
    with pytest.raises(RecipeError) as caught:
        compile_match_sql(sql, LEFT, _RIGHT, FUNCTIONS)
    (problem,) = caught.value.details
    assert problem["code"] == "recipe.sql.untraceable"
    assert "text that several records make" in problem["message"]


def test_text_of_either_side_needs_one_format() -> None:
    sql = (
        "SELECT ref, SUM(CAST(a AS numeric)) FROM (SELECT ref, amount_text AS a FROM left_src UNION ALL "
        "SELECT ref, amount_text FROM right_src) u GROUP BY ref"
    )
    with pytest.raises(RecipeError, match="write numbers and dates differently"):
        compile_match_sql(sql, replace(LEFT, decimal="."), replace(RIGHT, decimal=","), FUNCTIONS)


def test_plans_survive_pickling() -> None:
    for name in ("grouped ctes", "windows"):
        plan = _plan(CASES[name][0])
        again = pickle.loads(pickle.dumps(plan))
        assert again.traced is not None
        assert plan.traced is not None
        assert again.traced.tree == plan.traced.tree


@pytest.mark.parametrize(
    ("sql", "passes"),
    [
        (f"SELECT l.id{JOIN} UNION ALL SELECT x.id FROM left_src x, right_src y WHERE x.id = y.id", [1, 1]),
        (f"SELECT l.id{JOIN} UNION ALL SELECT l.id{JOIN} AND l.id = r.id UNION ALL SELECT l.id{JOIN}", [1, 2, 1]),
        (f"SELECT l.id{JOIN} UNION SELECT l.id{JOIN}", []),
        (f"(SELECT l.id{JOIN} UNION SELECT l.id{JOIN}) UNION ALL SELECT l.id{JOIN}", []),
        (f"SELECT l.id{JOIN} UNION ALL SELECT DISTINCT l.id{JOIN}", []),
        (f"SELECT l.id{JOIN} UNION ALL SELECT l.id{JOIN} WHERE EXISTS (SELECT 1 FROM right_src)", []),
        (f"WITH a AS (SELECT 1 AS n) SELECT l.id{JOIN} UNION ALL SELECT l.id{JOIN}", []),
        (f"SELECT l.id{JOIN} UNION ALL SELECT l.id FROM left_src l JOIN a ON a.id = l.id", None),
        (f"SELECT l.id{JOIN} GROUP BY l.id", []),
        (f"SELECT l.id{JOIN}", []),
    ],
)
def test_passes_are_the_simple_selects_of_a_union_all(sql: str, passes: list[int] | None) -> None:
    """Each with its keys; none where the statement does anything else."""
    if passes is None:
        with pytest.raises(RecipeError):
            compile_match_sql(sql, LEFT, RIGHT, FUNCTIONS)
        return
    assert [len(part.keys) for part in compile_match_sql(sql, LEFT, RIGHT, FUNCTIONS).passes] == passes
