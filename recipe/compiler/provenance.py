"""The source rows behind a row, as lists of row ids in plain SQL.

A base row is ``[its id]``; a join concatenates; GROUP BY, DISTINCT and UNION gather the lists of their
rows into one, ascending and without repeats. A side that an outer join left out gives an empty list, never
NULL.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from recipe.compiler.bound import FromItem
from recipe.compiler.plan import LEFT, RIGHT
from recipe.compiler.scope import plan_column
from recipe.compiler.typed import Hidden, call, cast


def no_rows() -> exp.Expression:
    return cast(exp.Array(expressions=[]), "BIGINT[]")


def row_list(froms: Sequence[FromItem], side: str, hidden: Hidden) -> exp.Expression:
    """The ids of one side behind a row of FROM."""
    parts = [part for part in (_of_item(item, side, hidden) for item in froms) if part is not None]
    if not parts:
        return no_rows()
    whole = parts[0]
    for part in parts[1:]:
        whole = call("LIST_CONCAT", whole, part)
    return whole


def _of_item(item: FromItem, side: str, hidden: Hidden) -> exp.Expression | None:
    source = item.source
    if source.side is None:
        return exp.Coalesce(this=plan_column(source.safe, hidden.of(side)), expressions=[no_rows()])
    if source.side != side:
        return None
    row = plan_column(source.safe, hidden.row)
    if not item.nullable:
        return call("LIST_VALUE", row)
    absent = exp.If(this=exp.Is(this=row.copy(), expression=exp.Null()), true=no_rows())
    return exp.Case(ifs=[absent], default=call("LIST_VALUE", row))


def gathered(rows: exp.Expression) -> exp.Expression:
    """The lists of all rows of a group as one; an empty group (an aggregate over no rows) has no rows."""
    return exp.Coalesce(this=tidy(call("FLATTEN", call("LIST", rows))), expressions=[no_rows()])


def tidy(rows: exp.Expression) -> exp.Expression:
    return call("LIST_SORT", call("LIST_DISTINCT", rows))


def row_order(froms: Sequence[FromItem], hidden: Hidden, grouped: bool) -> list[exp.Expression]:
    """What tells equal rows apart: the ids behind them."""
    lists = [row_list(froms, side, hidden) for side in (LEFT, RIGHT)]
    return [gathered(rows) for rows in lists] if grouped else [tidy(rows) for rows in lists]
