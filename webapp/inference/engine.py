"""Two tables in DuckDB, and what a match_sql finds in them: through the compiler and functions that runs use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import duckdb
import pyarrow as pa
from sqlglot import exp

from recipe import LEFT, RIGHT, Column, Kind, MatchPlan, SideInput, TracedQuery, compile_match_sql
from udfs import lower, register_functions, signatures
from webapp.inference.model import Table

ROW = "_kalla_row"
MOST_PAIRS = 2_000_000  # of candidates; a rule that gives more than these tells nothing apart
_TABLES = {LEFT: "left_src", RIGHT: "right_src"}
_TYPES = {
    Kind.INTEGER: "HUGEINT",
    Kind.DECIMAL: "DECIMAL(38, 10)",
    Kind.DOUBLE: "DOUBLE",
    Kind.DATE: "DATE",
    Kind.TIMESTAMP: "TIMESTAMP",
    Kind.TIMESTAMPTZ: "TIMESTAMPTZ",
    Kind.BOOLEAN: "BOOLEAN",
}
_SETTINGS = {"enable_external_access": "false", "threads": "2", "memory_limit": "1GB"}


class TooManyPairs(Exception):
    """A statement gives more than MOST_PAIRS pairs over the rows read."""


class Bench:
    """Both tables loaded once; statements are judged on them. Not for use by two threads at a time."""

    def __init__(self, left: Table, right: Table) -> None:
        self.left, self.right = left, right
        self._connection = duckdb.connect(config=dict(_SETTINGS))
        register_functions(self._connection)
        for side, table in ((LEFT, left), (RIGHT, right)):
            _load(self._connection, _TABLES[side], table)
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("SET lock_configuration = true")

    def close(self) -> None:
        self._connection.close()

    def plan(self, match_sql: str, left_pk: Sequence[str] = (), right_pk: Sequence[str] = ()) -> MatchPlan:
        """The compiled statement. Raises RecipeError."""
        sides = (side_input(self.left, left_pk), side_input(self.right, right_pk))
        return compile_match_sql(match_sql, *sides, signatures())

    def pairs(self, match_sql: str) -> list[tuple[int, int]]:
        """Row numbers of every pair, each pair once, in order.

        Raises RecipeError for a statement that does not compile, TooManyPairs.
        """
        plan = self.plan(match_sql)
        tables = {LEFT: self.left, RIGHT: self.right}
        if plan.traced is not None:
            for side, table in tables.items():
                self._connection.execute(_view(_TABLES[side], table, plan.traced.row_column))
            query = _traced_pairs(plan.traced)
        else:
            query = _simple_pairs(plan, tables)
        limited = query.limit(MOST_PAIRS + 1).sql(dialect="duckdb")
        found = self._connection.execute(limited).fetchall()
        if len(found) > MOST_PAIRS:
            raise TooManyPairs
        return sorted(set(found))


@contextmanager
def bench(left: Table, right: Table) -> Iterator[Bench]:
    """A Bench that is closed at the end."""
    opened = Bench(left, right)
    try:
        yield opened
    finally:
        opened.close()


def side_input(table: Table, primary_key: Sequence[str] = ()) -> SideInput:
    """What the compiler may know of a side."""
    columns = tuple(
        Column(name, kind, precision=38 if kind is Kind.DECIMAL else None, scale=10 if kind is Kind.DECIMAL else None)
        for name, kind in zip(table.names, table.kinds, strict=True)
    )
    form = table.format
    return SideInput(columns, tuple(primary_key), form.decimal, form.thousands, str(form.date_order))


def _load(connection: duckdb.DuckDBPyConnection, name: str, table: Table) -> None:
    """Columns are called c0, c1 ...: DuckDB takes names without case, and a CSV may have both x and X."""
    fields = [pa.array([row[at] for row in table.rows], pa.string()) for at in range(len(table.names))]
    places = [f"c{at}" for at in range(len(fields))]
    arrow = pa.table([pa.array(range(len(table.rows)), pa.int64()), *fields], names=[ROW, *places])
    selected: list[exp.Expr] = [exp.column(ROW)]
    for place, kind in zip(places, table.kinds, strict=True):
        wanted = _TYPES.get(kind)
        cell = exp.cast(exp.column(place), wanted, dialect="duckdb") if wanted else exp.column(place)
        selected.append(exp.alias_(cell, place))
    connection.register("kalla_rows", arrow)
    made = exp.Create(
        this=exp.to_table(_stored(name)), kind="TABLE", expression=exp.select(*selected).from_("kalla_rows")
    )
    connection.execute(made.sql(dialect="duckdb"))
    connection.unregister("kalla_rows")


def _stored(name: str) -> str:
    return f"{name}_rows"


def _simple_pairs(plan: MatchPlan, sides: Mapping[str, Table]) -> exp.Select:
    keys = [
        exp.EQ(this=exp.paren(_placed(k.left, sides)), expression=exp.paren(_placed(k.right, sides))) for k in plan.keys
    ]
    others = [exp.paren(_placed(c.tree, sides)) for c in (*plan.left_only, *plan.right_only, *plan.conditions)]
    on = exp.and_(*keys, *others) if keys or others else exp.true()
    tables = {side: exp.alias_(exp.to_table(_stored(_TABLES[side])), side, table=True) for side in (LEFT, RIGHT)}
    rows = [exp.column(ROW, table=side) for side in (LEFT, RIGHT)]
    return exp.select(*rows).from_(tables[LEFT]).join(tables[RIGHT], on=on)


def _placed(tree: exp.Expr, sides: Mapping[str, Table]) -> exp.Expr:
    """A plan's tree over c0, c1 ..., in the engine's functions."""
    copied = exp.Paren(this=tree.copy())
    for column in list(copied.find_all(exp.Column)):
        column.set("this", exp.to_identifier(f"c{sides[column.table].place(column.name)}"))
    return lower(copied.this)


def _view(name: str, table: Table, row_column: str) -> str:
    columns = [exp.alias_(exp.column(f"c{at}"), column, quoted=True) for at, column in enumerate(table.names)]
    rows = exp.alias_(exp.column(ROW), row_column, quoted=True)
    view = exp.select(rows, *columns).from_(exp.to_table(_stored(name)))
    made = exp.Create(this=exp.to_table(name), kind="VIEW", expression=view, replace=True)
    return made.sql(dialect="duckdb")


def _traced_pairs(traced: TracedQuery) -> exp.Select:
    """Every left row of a result row with every right row of it."""
    result = exp.Subquery(this=lower(traced.tree.copy()), alias="t")
    lists = [exp.column(name, table="t", quoted=True) for name in (traced.left_rows, traced.right_rows)]
    left = exp.Anonymous(this="UNNEST", expressions=[lists[0]])
    inner = exp.select(exp.alias_(left, "lr"), exp.alias_(lists[1], "rights")).from_(result)
    right = exp.Anonymous(this="UNNEST", expressions=[exp.column("rights")])
    return exp.select(exp.column("lr"), right).from_(inner.subquery("u"))
