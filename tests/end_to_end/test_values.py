"""Values at the edge of their types, from match_sql to what the engine gives: exact, or refused, never near."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import duckdb
import pytest

from recipe import SideInput, compile_match_sql
from recipe.columns import Column, Kind
from udfs import lower, register_functions, signatures

_COLUMNS: tuple[tuple[str, Kind, str, int | None, int | None, Any], ...] = (
    ("id", Kind.INTEGER, "BIGINT", None, None, 1),
    ("tiny", Kind.INTEGER, "TINYINT", None, None, -128),
    ("int", Kind.INTEGER, "INTEGER", None, None, 2**31 - 1),
    ("least", Kind.INTEGER, "INTEGER", None, None, -(2**31)),
    ("big", Kind.INTEGER, "BIGINT", None, None, 2**53 + 1),
    ("none", Kind.INTEGER, "INTEGER", None, None, None),
    ("amount", Kind.DECIMAL, "DECIMAL(12, 2)", 12, 2, D("99.99")),
    ("empty", Kind.DECIMAL, "DECIMAL(12, 2)", 12, 2, None),
    ("money", Kind.DECIMAL, "DECIMAL(38, 2)", 38, 2, None),
    ("fine", Kind.DECIMAL, "DECIMAL(38, 10)", 38, 10, D("0.0000000001")),
    ("dbl", Kind.DOUBLE, "DOUBLE", None, None, 15.5),
    ("long", Kind.DOUBLE, "DOUBLE", None, None, 0.1 + 0.2),
    ("ref", Kind.TEXT, "TEXT", None, None, "A1B2"),
)
_SIDE = SideInput(tuple(Column(n, k, t, True, p, s) for n, k, t, p, s, _ in _COLUMNS), ("id",))


@pytest.fixture(scope="module")
def tables() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        register_functions(connection)
        for table in ("l", "r"):
            cells = ", ".join(f'CAST(? AS {native}) AS "{name}"' for name, _, native, _, _, _ in _COLUMNS)
            connection.execute(f"CREATE TABLE {table} AS SELECT {cells}", [c[-1] for c in _COLUMNS])
        yield connection


def value(tables: duckdb.DuckDBPyConnection, expression: str) -> Any:
    sql = f"SELECT {expression} AS v FROM left_src l CROSS JOIN right_src r"
    tree = lower(compile_match_sql(sql, _SIDE, _SIDE, signatures()).outputs[0].tree)
    row = tables.execute(f"SELECT {tree.sql('duckdb')} FROM l CROSS JOIN r").fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # decimals of which any may be the result keep their digits behind the point
        ("COALESCE(CAST(l.none AS numeric), l.amount)", D("99.99")),
        ("CASE WHEN l.id = 2 THEN CAST(l.int AS numeric) ELSE l.amount END", D("99.99")),
        ("LEAST(CAST(l.int AS numeric), l.amount)", D("99.99")),
        ("GREATEST(l.amount, CAST(l.id AS numeric))", D("99.99")),
        ("COALESCE(l.money, l.fine)", D("0.0000000001")),
        ("COALESCE(l.dbl * l.none, l.fine)", D("0.0000000001")),
        ("MOD(l.amount, CAST(l.int AS numeric))", D("99.99")),
        # integers have 64 bits wherever they come from
        ("100000 * 100000", 10**10),
        ("COALESCE(l.int, 0) * COALESCE(r.int, 0)", (2**31 - 1) ** 2),
        ("CASE WHEN l.id = 1 THEN l.int END + 1", 2**31),
        ("NULLIF(l.tiny, 0) * NULLIF(r.tiny, 0)", 2**14),
        ("ABS(l.tiny)", 128),
        ("-l.least", 2**31),
        ("l.least / CAST(-1 AS integer)", 2**31),
        ("ROUND(l.int, -1)", 2147483650),
        ("FLOOR(l.big)", 2**53 + 1),
        ("CEIL(-l.big)", -(2**53 + 1)),
        # binary numbers have 18 digits behind the point, and a product of two has room for those before it
        ("l.dbl * r.dbl", D("240.25")),
        ("l.dbl * r.dbl * r.dbl", D("3723.875")),
        ("l.long / 0.5", D("0.6")),
        # rounding further than a number has digits
        ("ROUND(l.amount, -2)", D(100)),
        ("ROUND(l.amount, -11)", D(0)),
        ("ROUND(l.empty, -11)", None),
        ("TRUNC(l.empty, -10)", None),
        ("REGEXP_REPLACE(l.ref, '[0-9]', '-')", "A-B2"),
        ("REGEXP_REPLACE(l.ref, '[a-z]', '-', 'i')", "-1B2"),
        ("REGEXP_REPLACE(l.ref, '[0-9]', '-', 'g')", "A-B-"),
    ],
)
def test_values_are_exact(tables: duckdb.DuckDBPyConnection, expression: str, expected: Any) -> None:
    found = value(tables, expression)
    assert type(found) in (type(expected), D if isinstance(expected, int) else type(expected))
    assert found == expected


@pytest.mark.parametrize("expression", ["COALESCE(CAST(l.int AS numeric) * 10000000000000000000000000000, l.fine)"])
def test_what_has_no_room_stops_the_run(tables: duckdb.DuckDBPyConnection, expression: str) -> None:
    with pytest.raises((duckdb.ConversionException, duckdb.OutOfRangeException)):
        value(tables, expression)
