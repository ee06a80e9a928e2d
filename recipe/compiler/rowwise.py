"""Which values are those of one source row, also behind sub-queries: what the value is over that row alone."""

from __future__ import annotations

from sqlglot import exp

from recipe.compiler.bound import BoundQuery, BoundUnion
from recipe.compiler.typed import RowValues, Shared

_OF_SEVERAL = (exp.AggFunc, exp.Window, exp.Query, exp.Exists)


def row_values(shared: Shared, tree: exp.Expression) -> RowValues | None:
    """A value row by row: a tree for each base table that it can come from (a UNION has several), in one order for all
    columns of a query. None for a value that more than one record makes, such as an aggregate."""
    if tree.find(*_OF_SEVERAL) is not None or any(_aggregates(shared, n) for n in tree.find_all(exp.Anonymous)):
        return None
    columns = list(tree.find_all(exp.Column))
    found = [_column_values(shared, column) for column in columns]
    known = [values for values in found if values is not None]
    counts = {len(values) for values in known}
    if len(known) < len(columns) or len(counts) > 1:
        return None
    branches: list[tuple[str, exp.Expression]] = []
    for at in range(counts.pop() if counts else 1):
        aliases = {values[at][0] for values in known} - {""}
        if len(aliases) > 1:
            return None
        branches.append((aliases.pop() if aliases else "", _replaced(tree, [values[at][1] for values in known])))
    return tuple(branches)


def note_columns(shared: Shared, query: BoundQuery, safe: str) -> None:
    """Keep what the columns of a query are row by row, for the query around it, which calls it ``safe``."""
    for at, item in enumerate(query.items):
        values = _item_values(shared, query, at)
        if values is not None:
            shared.usage.rows[safe, item.internal] = values


def _item_values(shared: Shared, query: BoundQuery, at: int) -> RowValues | None:
    if not isinstance(query, BoundUnion):
        return row_values(shared, query.items[at].value.tree)
    left, right = (_item_values(shared, branch, at) for branch in (query.left, query.right))
    return None if left is None or right is None else (*left, *right)


def _column_values(shared: Shared, column: exp.Column) -> RowValues | None:
    if column.table in shared.usage.aliases:
        return ((column.table, column),)
    return shared.usage.rows.get((column.table, column.name))


def _replaced(tree: exp.Expression, values: list[exp.Expression]) -> exp.Expression:
    """The tree with its columns, in the order in which they are found, replaced."""
    whole = exp.Paren(this=tree.copy())
    for column, value in zip(list(whole.find_all(exp.Column)), values, strict=True):
        column.replace(value.copy() if isinstance(value, (exp.Column, exp.Literal)) else exp.Paren(this=value.copy()))
    inner: exp.Expression = whole.this
    return inner.pop()


def _aggregates(shared: Shared, node: exp.Anonymous) -> bool:
    signature = shared.functions.get(node.name.upper())
    return signature is not None and signature.aggregate
