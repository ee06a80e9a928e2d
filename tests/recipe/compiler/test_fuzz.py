"""Nonsense gives a RecipeError or a plan, never another exception; every plan prints and holds only known names."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from recipe.compiler import CODES, LEFT, RIGHT, MatchPlan, compile_match_sql
from recipe.errors import RecipeError
from tests.recipe.compiler import engine

_WORDS = (
    "SELECT FROM WHERE JOIN LEFT RIGHT FULL OUTER CROSS ON USING AND OR NOT IN IS NULL BETWEEN LIKE CASE WHEN THEN "
    "ELSE END GROUP BY HAVING ORDER LIMIT UNION ALL DISTINCT WITH AS left_src right_src l r l.id r.id l.ref r.ref "
    "l.amount r.amount l.day r.day l.ok l.amount_text id ref * , , ( ) ( ) . ; = < > <= >= <> + - * / % || :: ~ ' \" "
    "'x' '2026-01-01' 1 0.5 1e-2 -1 TRUE SUM( COUNT(*) COALESCE( ABS( SUBSTRING( ROW_NUMBER() OVER ( PARTITION CAST( "
    "INTERVAL '1 day' EXTRACT( YEAR DATE tolerance_match( read_csv( EXISTS ( ANY( $1 :p ? [ ] { } -> @ # \\ /* */ -- "
    "LATERAL UNNEST( VALUES ( TABLE INSERT COPY ARRAY[ ROW( NULLIF( GREATEST( TRIM( ROUND( é 名 \u0000 \n int text"
).split(" ")
_SOUP = st.lists(st.sampled_from(_WORDS), max_size=25).map(" ".join)
_EXPRESSION = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=10).map(" ".join)
_PART = st.one_of(
    _SOUP,
    _EXPRESSION.map(lambda e: "SELECT " + e + " FROM left_src l JOIN right_src r ON l.id = r.id"),
    _EXPRESSION.map(lambda e: "SELECT l.id FROM left_src l JOIN right_src r ON " + e),
    _EXPRESSION.map(lambda e: "SELECT l.id FROM left_src l, right_src r WHERE l.id = r.id " + e),
    _EXPRESSION.map(lambda e: "SELECT * FROM left_src l JOIN (SELECT " + e + " FROM right_src r) x ON TRUE"),
    _EXPRESSION.map(lambda e: "WITH a AS (" + e + ") SELECT a.*, r.id FROM a JOIN right_src r ON TRUE"),
    st.text(max_size=40),
)


@settings(max_examples=600)
@given(sql=_PART)
def test_any_text_gives_a_plan_or_a_recipe_error(sql: str) -> None:
    try:
        plan = compile_match_sql(sql, engine.LEFT, engine.RIGHT, engine.FUNCTIONS)
    except RecipeError as error:
        assert error.details
        assert {d["code"] for d in error.details} <= set(CODES)
    else:
        _check(plan)


def _check(plan: MatchPlan) -> None:
    trees = [t for k in plan.keys for t in (k.left, k.right)]
    trees += [c.tree for c in (*plan.left_only, *plan.right_only, *plan.conditions)]
    if plan.traced is None:
        trees += [o.tree for o in plan.outputs]
    for tree in trees:
        assert tree.sql(dialect="duckdb")
        for column in tree.find_all(exp.Column):
            assert column.table in (LEFT, RIGHT)
            assert column.name in engine.NAMES
    if plan.traced is not None:
        assert {t.name for t in plan.traced.tree.find_all(exp.Table)} >= {"left_src", "right_src"}
