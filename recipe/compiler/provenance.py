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


def row_order(
    froms: Sequence[FromItem], group: Sequence[exp.Expression], hidden: Hidden, grouped: bool
) -> list[exp.Expression]:
    """What tells equal rows apart: the ids behind them and, where rows can have the same ids, what else they hold.

    Rows that are equal in all of that are equal in every column, so that their order changes nothing.
    """
    lists = [row_list(froms, side, hidden) for side in (LEFT, RIGHT)]
    if grouped:
        return [*(gathered(rows) for rows in lists), *(key.copy() for key in group)]
    order = [tidy(rows) for rows in lists]
    bases = [item.source.side for item in froms]
    if None in bases or len(set(bases)) < len(bases):
        order += [tree for item in froms for tree in _of_one(item, hidden)]
    return order


def _of_one(item: FromItem, hidden: Hidden) -> list[exp.Expression]:
    """What tells the rows of one source apart."""
    if item.source.side is not None:
        return [plan_column(item.source.safe, hidden.row)]
    own = [tidy(rows) for side in (LEFT, RIGHT) if (rows := _of_item(item, side, hidden)) is not None]
    return own + [column.value.tree.copy() for column in item.source.columns or ()]
