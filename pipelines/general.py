"""Statements that group, unite or rank rows: run whole in one place, with the source rows of each result row known.

The compiler has rewritten the statement so that every result row carries the ids of the rows it was made from
(``recipe.compiler.plan.TracedQuery``). A result row holding both sides counts as one pair; a record is matched when
it fed such a row. ``_left_row`` and ``_right_row`` are lists here, and the partner counts are those of the row's
busiest record.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from pipelines.errors import PipelineError
from pipelines.parts import Part, write_part
from pipelines.relation import ROW, Relation
from pipelines.shards import PAIRS_BY_LEFT, PAIRS_BY_RIGHT, copy_to, count, create_table
from recipe import LEFT, RIGHT, MatchPlan, TracedQuery
from udfs import lower

RESULT = "general.parquet"
_PLACE = "kalla_place"


def match_whole(
    connection: duckdb.DuckDBPyConnection, plan: MatchPlan, left: Relation, right: Relation, folder: Path
) -> int:
    """Run the statement; leaves its ordered result and the sorted ids of matched rows. Returns the result's rows."""
    traced = plan.traced
    assert traced is not None, "a general plan holds its traced statement"
    for relation, name in ((left, "left_src"), (right, "right_src")):
        _create_view(connection, relation, name, traced.row_column)
    result = lower(traced.tree.copy())
    names = connection.sql(result.sql("duckdb")).columns
    create_table(connection, "found", _placed(names, result))
    for side, rows in ((LEFT, traced.left_rows), (RIGHT, traced.right_rows)):
        create_table(connection, f"fed_{side}", _fed(rows))
    copy_to(connection, _with_partners(plan, traced, names, left, right), folder / RESULT)
    copy_to(connection, _matched_ids(LEFT, "lr", "rr"), folder / PAIRS_BY_LEFT)
    copy_to(connection, _matched_ids(RIGHT, "rr", "lr"), folder / PAIRS_BY_RIGHT)
    return count(connection, "found")


def write_matched(folder: Path, evidence: Path, plan: MatchPlan, part_rows: int) -> list[Part]:
    """Cut the ordered result into parts."""
    parts: list[Part] = []
    with pq.ParquetFile(folder / RESULT) as file:
        schema = matched_schema(file.schema_arrow, plan)
        if not file.metadata.num_rows:
            return []
        for number, batch in enumerate(file.iter_batches(batch_size=part_rows)):
            table = pa.Table.from_arrays(batch.columns, schema=schema)
            parts.append(write_part(evidence, "matched", number, [table], schema))
    return parts


def found_schema(folder: Path, plan: MatchPlan) -> pa.Schema:
    """The matched set's schema, also when it has no rows."""
    with pq.ParquetFile(folder / RESULT) as file:
        return matched_schema(file.schema_arrow, plan)


def matched_schema(found: pa.Schema, plan: MatchPlan) -> pa.Schema:
    """The fixed columns, then the outputs under their evidence names."""
    names = ["_left_row", "_right_row", "_left_partners", "_right_partners", *(o.name for o in plan.outputs)]
    return pa.schema([pa.field(n, f.type) for n, f in zip(names, found, strict=True)])


def _create_view(connection: duckdb.DuckDBPyConnection, relation: Relation, name: str, row_column: str) -> None:
    folded = [c.casefold() for c in relation.columns]
    if len(set(folded)) < len(folded):
        raise PipelineError(
            f"{name} has columns whose names differ in case only, which a grouping statement cannot tell apart.",
            code="run.ambiguous_columns",
            hint="Rename one of them in the source.",
        )
    columns = [exp.alias_(exp.column(f"c{i}"), n, quoted=True) for i, n in enumerate(relation.columns)]
    rows = exp.alias_(exp.cast(exp.column(ROW), "bigint", dialect="duckdb"), row_column, quoted=True)
    view = exp.select(rows, *columns).from_(relation.scan().subquery("s"))
    connection.execute(f"CREATE TEMP VIEW {name} AS {view.sql('duckdb')}")


def _placed(names: list[str], result: exp.Expr) -> exp.Select:
    """The result in a fixed order, numbered: equal input gives equal evidence."""
    places = [exp.Literal.number(i + 1) for i in range(len(names))]
    ordered = exp.select("*").from_(exp.Subquery(this=result, alias="q")).order_by(*places)
    number = exp.Window(this=exp.RowNumber(), over="OVER")
    return exp.select("*", exp.alias_(number, _PLACE)).from_(ordered.subquery("o"))


def _fed(rows: str) -> exp.Select:
    """``SELECT place, id``: which record fed which result row."""
    unnested = exp.Anonymous(this="unnest", expressions=[exp.column(rows, quoted=True)])
    return exp.select(exp.alias_(exp.column(_PLACE), "place"), exp.alias_(unnested, "id")).from_("found")


def _with_partners(
    plan: MatchPlan, traced: TracedQuery, names: list[str], left: Relation, right: Relation
) -> exp.Select:
    """The result in order: row ids, partner counts, the statement's columns, then the keys it did not select."""
    rows = [exp.column(n, table="f", quoted=True) for n in (traced.left_rows, traced.right_rows)]
    selected = [exp.column(n, table="f", quoted=True) for n in names if n not in (traced.left_rows, traced.right_rows)]
    keys = [
        exp.alias_(exp.column(f"k{relation.columns.index(o.column)}", table=f"p{o.side}"), f"key{i}")
        for i, o in enumerate(plan.outputs[len(selected) :])
        for relation in [left if o.side == LEFT else right]
        if o.column is not None
    ]
    tree = exp.select(*rows, "pl.n AS nl", "pr.n AS nr", *selected, *keys).from_(exp.to_table("found").as_("f"))
    for relation in (left, right):
        side = relation.side
        wanted = [
            relation.columns.index(o.column) for o in plan.outputs[len(selected) :] if o.side == side and o.column
        ]
        on = exp.EQ(this=exp.column("place", table=f"p{side}"), expression=exp.column(_PLACE, table="f"))
        tree = tree.join(_feeding(relation, wanted).subquery(f"p{side}"), on=on)
    return tree.order_by(exp.column(_PLACE, table="f"))


def _feeding(relation: Relation, keys: list[int]) -> exp.Select:
    """``SELECT place, n, k...``: for each result row the partners of its busiest record of this side, and the lists
    of its records' key columns."""
    side = relation.side
    counted = exp.select("place", "id", exp.alias_(_partner_count(), "n")).from_(f"fed_{side}").subquery("x")
    tree = exp.select("x.place", exp.alias_(exp.Max(this=exp.column("n", table="x")), "n")).from_(counted)
    for key in keys:
        listed = exp.ArrayAgg(
            this=exp.Order(this=exp.column(f"c{key}", table=side), expressions=[exp.column("id", table="x")])
        )
        tree = tree.select(exp.alias_(listed, f"k{key}"))
    if keys:
        on = exp.EQ(this=exp.column("id", table="x"), expression=exp.column(ROW, table=side))
        tree = tree.join(relation.scan().subquery(side), on=on)
    return tree.group_by("x.place")


def _partner_count() -> exp.Expr:
    return exp.Window(this=exp.Count(this=exp.Star()), partition_by=[exp.column("id")], over="OVER")


def _matched_ids(side: str, own: str, absent: str) -> exp.Select:
    ids = exp.alias_(exp.column("id"), own)
    zero = exp.alias_(exp.cast(exp.Literal.number(0), "bigint", dialect="duckdb"), absent)
    return exp.select(ids, zero).distinct().from_(f"fed_{side}").order_by(own)
