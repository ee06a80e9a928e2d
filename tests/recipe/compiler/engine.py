"""Two small tables in DuckDB and PostgreSQL, and stand-ins for what the execution engine does with a plan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import duckdb
from sqlglot import exp, parse_one

from recipe.columns import Column, Kind
from recipe.compiler import MatchPlan, SideInput
from recipe.functions import Arg, FunctionSignature, Returns

FUNCTIONS: Mapping[str, FunctionSignature] = {
    s.name: s
    for s in (
        FunctionSignature("TOLERANCE_MATCH", (Arg.NUMBER, Arg.NUMBER, Arg.NUMBER), Returns.BOOLEAN),
        FunctionSignature("PERCENT_MATCH", (Arg.NUMBER, Arg.NUMBER, Arg.NUMBER), Returns.BOOLEAN),
        FunctionSignature("DATE_WITHIN", (Arg.DATE, Arg.DATE, Arg.NUMBER), Returns.BOOLEAN),
        FunctionSignature("NORMALIZE_REF", (Arg.TEXT, Arg.BOOLEAN), Returns.TEXT, required=1, literal=frozenset({1})),
        FunctionSignature("TEXT_SIMILARITY", (Arg.TEXT, Arg.TEXT), Returns.DECIMAL),
    )
}

_COLUMNS = (
    ("id", Kind.INTEGER, "INTEGER"),
    ("ref", Kind.TEXT, "TEXT"),
    ("Mixed Case", Kind.TEXT, "TEXT"),
    ("Größe", Kind.TEXT, "TEXT"),
    ("amount", Kind.DECIMAL, "NUMERIC(12, 2)"),
    ("rate", Kind.DECIMAL, "NUMERIC(12, 6)"),
    ("qty", Kind.INTEGER, "INTEGER"),
    ("dbl", Kind.DOUBLE, "DOUBLE PRECISION"),
    ("day", Kind.DATE, "DATE"),
    ("ts", Kind.TIMESTAMP, "TIMESTAMP"),
    ("tz", Kind.TIMESTAMPTZ, "TIMESTAMPTZ"),
    ("ok", Kind.BOOLEAN, "BOOLEAN"),
    ("amount_text", Kind.TEXT, "TEXT"),
    ("day_text", Kind.TEXT, "TEXT"),
)
NAMES = tuple(name for name, _, _ in _COLUMNS)
_SCALES = {"amount": (12, 2), "rate": (12, 6)}


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _ts(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def _row(
    id_: int | None, ref: str | None, mixed: str | None, amount: str | None, qty: int | None, dbl: float | None,
    day: str | None, ok: bool | None, amount_text: str | None,
) -> tuple[Any, ...]:  # fmt: skip
    clock = None if day is None else _ts(f"{day}T10:30:01.500000")
    zoned = None if clock is None else clock.replace(tzinfo=dt.UTC)
    rate = None if amount is None else Decimal(amount) / 8
    number = None if amount is None else Decimal(amount)
    size = None if mixed is None else mixed[::-1]
    date = None if day is None else _day(day)
    return (id_, ref, mixed, size, number, rate, qty, dbl, date, clock, zoned, ok, amount_text, day)


LEFT_ROWS = (
    _row(1, "INV-001", "Ärger 7", "100.00", 2, 100.0, "2026-01-31", True, "100.00"),
    _row(2, "INV-002", " a b ", "250.50", 3, 0.1, "2026-02-28", False, "250.5"),
    _row(3, "INV-002", "x%y_z\\", "-7.25", -5, 0.3, "2025-12-29", True, "-7.25"),
    _row(4, None, None, None, None, None, None, None, None),
    _row(5, "00123", "", "0.00", 0, -2.5, "2024-02-29", None, "abc"),
    _row(None, "inv-001", "ö", "99.99", 7, 1e6, "2026-01-01", False, "0099.99"),
)
RIGHT_ROWS = (
    _row(1, "INV-001", "arger", "99.99", 2, 99.99, "2026-02-01", True, "99,99"),
    _row(2, "INV-002", "a b", "250.50", 4, 0.1, "2026-02-27", True, "250,50"),
    _row(3, "INV-002", "%y", "7.25", 5, 0.30000000000000004, "2025-12-28", False, "1.007,25"),
    _row(4, None, None, None, None, None, None, None, None),
    _row(123, "123", "ö", "0.00", 0, 2.5, "2024-03-01", None, "x"),
    _row(6, "INV-009", "ß", "1000.00", -2, -1e6, "2026-12-31", False, "1.000,00"),
)


def _columns() -> tuple[Column, ...]:
    return tuple(Column(name, kind, native, True, *_SCALES.get(name, (None, None))) for name, kind, native in _COLUMNS)


LEFT = SideInput(_columns(), ("id",))
RIGHT = SideInput(_columns(), ("id",), decimal=",", thousands=".", date_order="ymd")
ROW = "_kalla_row"


def create_sql(table: str, native: Mapping[str, str] | None = None) -> str:
    """CREATE TABLE with the row id first; written by sqlglot, so that names are quoted."""
    types = {name: native_type for name, _, native_type in _COLUMNS} | dict(native or {})
    defs = [exp.ColumnDef(this=exp.to_identifier(ROW, quoted=True), kind=exp.DataType.build("BIGINT"))]
    defs += [
        exp.ColumnDef(
            this=exp.to_identifier(name, quoted=True), kind=exp.DataType.build(types[name], dialect="postgres")
        )
        for name in NAMES
    ]
    schema = exp.Schema(this=exp.to_table(table), expressions=defs)
    return exp.Create(this=schema, kind="TABLE").sql(dialect="postgres")


def rows_with_ids(rows: tuple[tuple[Any, ...], ...]) -> list[tuple[Any, ...]]:
    return [(number, *row) for number, row in enumerate(rows)]


def duckdb_tables() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'Asia/Tokyo'")
    for table, rows in (("left_src", LEFT_ROWS), ("right_src", RIGHT_ROWS)):
        connection.execute(create_sql(table))
        marks = ", ".join("?" for _ in range(len(NAMES) + 1))
        connection.executemany("INSERT INTO " + table + " VALUES (" + marks + ")", rows_with_ids(rows))
    return connection


_STAND_INS: Mapping[str, str] = {
    "KALLA_NUMBER": "TRY_CAST(REPLACE(REPLACE(a0, a2, ''), a1, '.') AS DECIMAL(38, 10))",
    "KALLA_DATE": "TRY_CAST(a0 AS DATE)",
    "KALLA_TIMESTAMP": "TRY_CAST(a0 AS TIMESTAMP)",
    "KALLA_DIVIDE": "CAST(ROUND(CAST(a0 AS DOUBLE) / NULLIF(CAST(a1 AS DOUBLE), 0), 12) AS DECIMAL(38, 12))",
    "KALLA_EXACT": "CAST(CAST(a0 AS TEXT) AS DECIMAL(38, 10))",
    "TOLERANCE_MATCH": "ABS(a0 - a1) <= a2",
    "PERCENT_MATCH": "ABS(a0 - a1) * 100 <= ABS(a0) * a2",
    "DATE_WITHIN": "ABS(CAST(a0 AS DATE) - CAST(a1 AS DATE)) <= a2",
    "NORMALIZE_REF": "UPPER(REGEXP_REPLACE(a0, '[^A-Za-z0-9]', '', 'g'))",
    "TEXT_SIMILARITY": "CAST(JARO_SIMILARITY(a0, a1) AS DECIMAL(10, 4))",
}


def lowered(tree: exp.Expression) -> str:
    """DuckDB's text of a plan's tree, with the logical nodes replaced by stand-ins."""
    root = exp.Paren(this=tree.copy())
    for node in reversed(list(root.find_all(exp.Anonymous))):
        if node.name in _STAND_INS:
            node.replace(_filled(_STAND_INS[node.name], node.expressions))
    return str(root.this.sql(dialect="duckdb"))


def _filled(template: str, args: list[exp.Expression]) -> exp.Expression:
    tree = exp.Paren(this=parse_one(template, read="duckdb"))
    for column in list(tree.find_all(exp.Column)):
        column.replace(exp.Paren(this=args[int(column.name[1:])].copy()))
    return tree


Run = Callable[[str], list[tuple[Any, ...]]]


def render(plan: MatchPlan) -> str:
    """A plan as text: one line for each thing that engines read from it."""
    lines = [f"class: {plan.kind}"]
    lines += [f"key: {_text(k.left)} = {_text(k.right)}  [{k.sql}]" for k in plan.keys]
    for name, conditions in (("left", plan.left_only), ("right", plan.right_only), ("both", plan.conditions)):
        for c in conditions:
            gap = f"  gap {c.gap_unit}: {_text(c.gap)}" if c.gap is not None else ""
            lines.append(f"{name}: {_text(c.tree)}  [{c.sql}]{gap}")
    for o in plan.outputs:
        lines.append(f"output: {o.name} = {_text(o.tree)}" + (f"  ({o.side}.{o.column})" if o.side else ""))
    lines.append(f"reads: l({', '.join(plan.left_columns)}) r({', '.join(plan.right_columns)})")
    numbers = [*plan.left_numbers, *plan.right_numbers]
    lines += [f"number: {name} = {_text(tree)}" for name, tree in numbers]
    lines += [f"parse: {p.side}.{p.column} as {_text(p.parsed)}" for p in plan.parses]
    if plan.traced is not None:
        lines.append(f"traced: {_text(plan.traced.tree)}")
    lines += [f"warning: {w.code}: {w.message}" for w in plan.warnings]
    return "\n".join(lines) + "\n"


def _text(tree: exp.Expression) -> str:
    return str(tree.sql(dialect="duckdb"))
