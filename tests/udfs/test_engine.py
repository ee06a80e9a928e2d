"""Lowering whole trees, and preparing connections."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from recipe import Column, Kind, MatchPlan, SideInput, compile_match_sql
from tests.udfs.conftest import lowered
from udfs import LOGICAL, REGISTRY, lower, register_functions, signatures


def test_lowering_copies_and_keeps_everything_else() -> None:
    sql = 'NOT Tolerance_Match(l."a b" + 1, r.b, 0.02) AND COALESCE(l.x, 1) = 2'
    tree = sqlglot.parse_one(sql, dialect="duckdb")
    before = tree.sql()
    result = lower(tree)
    assert tree.sql() == before
    assert result.sql(dialect="duckdb") == (
        'NOT (ABS((l."a b" + 1) + CAST(0 AS DECIMAL(1, 0)) - r.b) <= 0.02) AND COALESCE(l.x, 1) = 2'
    )
    assert lowered("l.a = r.b") == "l.a = r.b"


def test_no_logical_node_is_left_however_deep() -> None:
    sql = (
        "CASE WHEN percent_match(kalla_divide(kalla_number(l.a, ',', '.'), kalla_exact(r.b)), 1, 5) "
        "THEN date_within(kalla_date(l.d, 'dmy'), kalla_timestamp(r.d, 'ymd'), 1) END"
    )
    result = lower(sqlglot.parse_one(sql, dialect="duckdb"))
    left = {node.name.upper() for node in result.find_all(exp.Anonymous)}
    assert not left & (set(LOGICAL) | set(REGISTRY))


def test_nested_trees_stay_small() -> None:
    """Repeating arguments would make each level several times longer."""
    deep = inner = "kalla_number(l.a, '.', '')"
    for _ in range(4):
        deep = f"kalla_divide({deep}, r.b)"
    one = len(lowered("kalla_divide(l.a + 1, r.b)"))
    assert len(lowered(deep)) < len(lowered(inner)) + 4 * one + 500


def test_functions_of_aggregates_and_windows_run() -> None:
    grouped = lowered(
        "SELECT g, kalla_divide(SUM(a), g + 3), percent_match(SUM(a), MAX(a), 50), normalize_ref(MAX(s)), "
        "text_similarity(MAX(s), MIN(s)), kalla_date(MAX(s), 'ymd') FROM t GROUP BY g ORDER BY g"
    )
    with duckdb.connect() as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE t AS SELECT i % 2 g, i a, 'r' || i s FROM range(1, 5) AS x(i)")
        rows = connection.execute(grouped).fetchall()
        window = connection.execute(lowered("SELECT kalla_divide(a, SUM(a) OVER ()) FROM t ORDER BY a"))
        shares = [share for (share,) in window.fetchall()]
    assert rows == [
        (0, Decimal(2), True, "R4", Decimal("0.5000"), None),
        (1, Decimal(1), True, "R3", Decimal("0.5000"), None),
    ]
    assert shares == [Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal("0.4")]


INVOICES = (Column("ref", Kind.TEXT), Column("amount", Kind.TEXT), Column("day", Kind.TEXT))
PAYMENTS = (
    Column("ref", Kind.TEXT),
    Column("paid", Kind.DOUBLE),
    Column("day", Kind.DATE),
    Column("note", Kind.TEXT),
)
MATCH = """
SELECT l.ref FROM left_src l JOIN right_src r ON normalize_ref(l.ref) = regex_extract(r.note, '[A-Z]+\\d+')
 AND tolerance_match(l.amount, r.paid, 0.01) AND date_within(l.day, r.day, 3)
 AND percent_match(r.paid, l.amount, 2)
 AND text_similarity(l.ref, r.ref) > 0.5 AND ABS(l.amount - r.paid) / NULLIF(r.paid, 0) < 0.5"""


def compiled() -> MatchPlan:
    left = SideInput(INVOICES, ("ref",), decimal=",", thousands=".", date_order="dmy")
    return compile_match_sql(MATCH, left, SideInput(PAYMENTS, ("ref",)), signatures())


def test_a_compiled_plan_runs() -> None:
    """The compiler's trees and these lowerings fit, from text cells to doubles."""
    plan = compiled()
    pairs = [f"{lower(k.left).sql('duckdb')} = {lower(k.right).sql('duckdb')}" for k in plan.keys]
    pairs += [lower(c.tree).sql("duckdb") for c in plan.conditions]
    gaps = [lower(c.gap).sql("duckdb") for c in plan.conditions if c.gap is not None]
    assert len(pairs) == 6
    with duckdb.connect() as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE l AS SELECT 'inv/7' AS ref, '1.234,50' AS amount, '1.3.2026' AS day")
        connection.execute(
            "CREATE TABLE r AS SELECT 'inv-7é' AS ref, 1234.51::DOUBLE AS paid, DATE '2026-02-26' AS day, "
            "'pays INV7 now' AS note"
        )
        join = " AND ".join(f"({pair})" for pair in pairs)
        sql = f"SELECT {', '.join(gaps)} FROM l JOIN r ON {join}"
        assert connection.execute(sql).fetchall()[0][:2] == (Decimal("0.01"), 3)


@pytest.mark.parametrize("kind", ["JOIN", "LEFT JOIN", "FULL JOIN"])
def test_functions_run_in_join_conditions(kind: str) -> None:
    sql = (
        f"SELECT COUNT(*) FROM t l {kind} t r ON normalize_ref(l.s || r.s) = normalize_ref(r.s || l.s) "
        "AND tolerance_match(kalla_divide(kalla_number(l.n, ',', '.'), r.a), 1, 1) "
        "AND text_similarity(l.s, r.s || 'é') > 0.1"
    )
    with duckdb.connect() as connection:
        register_functions(connection)
        connection.execute("CREATE TABLE t AS SELECT i a, '1,5' n, 'r-' || i s FROM range(1, 5) AS x(i)")
        assert connection.execute(lowered(sql)).fetchone() == (4,)


def test_registering_works_on_a_locked_connection() -> None:
    sql = lowered("SELECT text_similarity('ä', 'ä'), text_similarity(NULL, 'ä')")
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET lock_configuration = true")
        register_functions(connection)
        assert connection.execute(sql).fetchone() == (Decimal(1), None)


def test_similarity_over_many_chunks_and_threads() -> None:
    sql = lowered("SELECT COUNT(*), COUNT(text_similarity(a, b)), MIN(text_similarity(a, b)) FROM t")
    with duckdb.connect(config={"threads": 2}) as connection:
        register_functions(connection)
        connection.execute(
            "CREATE TABLE t AS SELECT CASE WHEN i % 7 <> 0 THEN 'Müller ' || i END a, 'Muller ' || i b "
            "FROM range(300000) x(i)"
        )
        assert connection.execute(sql).fetchone() == (300_000, 257_142, Decimal("0.8750"))
