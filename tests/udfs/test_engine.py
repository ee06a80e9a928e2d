"""Lowering whole trees, and preparing connections."""

from __future__ import annotations

from decimal import Decimal

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from tests.udfs.conftest import lowered
from udfs import LOGICAL, REGISTRY, lower, register_functions


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


def test_registering_works_on_a_locked_connection_and_twice() -> None:
    sql = lowered("SELECT text_similarity('ä', 'ä'), text_similarity(NULL, 'ä')")
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET lock_configuration = true")
        register_functions(connection)
        register_functions(connection.cursor())
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
