"""General SQL -> TracedQuery: the same statement, with the source rows of each result row carried along.

Every relation gets two hidden list columns (see ``provenance``). Sub-queries in conditions are filters:
they add no rows. On top, only result rows that hold both sides are pairs (contract 1.7).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from recipe.compiler.bound import BoundQuery, BoundSelect, BoundUnion, Conjunct, Cte, FromItem, Item
from recipe.compiler.chains import all_of
from recipe.compiler.plan import LEFT, RIGHT, TracedQuery
from recipe.compiler.provenance import gathered, row_list, tidy
from recipe.compiler.scope import TABLE_OF, plan_column
from recipe.compiler.typed import Hidden, Shared, Typed, call, cast, integer

_SIDES = (LEFT, RIGHT)


def traced_query(shared: Shared, query: BoundQuery, names: Sequence[str]) -> TracedQuery:
    """``names`` are the evidence names of the query's columns, in order."""
    hidden, alias = shared.hidden, shared.fresh("q")
    lists = [_named(tidy(plan_column(alias, hidden.of(side))), hidden.of(side)) for side in _SIDES]
    columns = [_named(plan_column(alias, item.internal), name) for item, name in zip(query.items, names, strict=True)]
    both = [
        exp.GT(this=call("LEN", plan_column(alias, hidden.of(side))), expression=integer(0).tree) for side in _SIDES
    ]
    tree = exp.Select(expressions=[*lists, *columns])
    tree = tree.from_(_aliased(emit(shared, query), alias), copy=False).where(*both, copy=False)
    return TracedQuery(tree, hidden.row, hidden.left, hidden.right)


def emit(shared: Shared, query: BoundQuery, carry: bool = True) -> exp.Expression:
    """The query as a tree, with the hidden columns last where ``carry``."""
    tree = _union(shared, query, carry) if isinstance(query, BoundUnion) else _select(shared, query, carry)
    if query.ctes:
        tree.set("with_", exp.With(expressions=[_cte(shared, cte) for cte in query.ctes]))
    return tree


def _select(shared: Shared, query: BoundSelect, carry: bool) -> exp.Expression:
    hidden = shared.hidden
    columns = [_named(item.value.tree.copy(), item.internal) for item in query.items]
    if carry:
        for side in _SIDES:
            rows = row_list(query.froms, side, hidden)
            columns.append(_named(gathered(rows) if query.grouped else rows, hidden.of(side)))
    tree = exp.Select(expressions=columns)
    _add_from(shared, tree, query.froms)
    if query.where:
        tree.set("where", exp.Where(this=_all(query.where)))
    if query.group:
        tree.set("group", exp.Group(expressions=[_group_key(g) for g in query.group]))
    if query.having:
        tree.set("having", exp.Having(this=_all(query.having)))
    if not query.distinct:
        return tree
    if carry:
        return _one_row_each(shared, tree, query.items)
    tree.set("distinct", exp.Distinct())
    return tree


def _group_key(value: Typed) -> exp.Expression:
    """A key of GROUP BY; a constant is dressed, as a bare number would mean a position."""
    return cast(value.tree.copy(), "TEXT") if value.constant else value.tree.copy()


def _add_from(shared: Shared, tree: exp.Select, froms: Sequence[FromItem]) -> None:
    for item in froms:
        table = _relation(shared, item)
        if not item.join:
            tree.set("from_", exp.From(this=table))
            continue
        side = item.join if item.join in ("LEFT", "RIGHT", "FULL") else None
        join = exp.Join(this=table, side=side, kind="CROSS" if item.join == "CROSS" else None)
        if item.join != "CROSS":
            join.set("on", _all(item.on) if item.on else exp.Boolean(this=True))
        tree.append("joins", join)


def _relation(shared: Shared, item: FromItem) -> exp.Expression:
    source = item.source
    if item.query is not None:
        return _aliased(emit(shared, item.query), source.safe)
    name = item.cte or TABLE_OF[source.side or LEFT]
    alias = exp.TableAlias(this=exp.to_identifier(source.safe))
    return exp.Table(this=exp.to_identifier(name), alias=alias)


def _one_row_each(shared: Shared, tree: exp.Expression, items: Sequence[Item]) -> exp.Expression:
    """DISTINCT as GROUP BY all columns, which treats NULLs alike, with the rows of each group gathered."""
    alias = shared.fresh("d")
    columns = [plan_column(alias, item.internal) for item in items]
    lists = [_named(gathered(plan_column(alias, shared.hidden.of(side))), shared.hidden.of(side)) for side in _SIDES]
    named = [_named(column, item.internal) for column, item in zip(columns, items, strict=True)]
    outer = exp.Select(expressions=[*named, *lists]).from_(_aliased(tree, alias), copy=False)
    outer.set("group", exp.Group(expressions=[column.copy() for column in columns]))
    return outer


def _union(shared: Shared, query: BoundUnion, carry: bool) -> exp.Expression:
    left, right = emit(shared, query.left, carry), emit(shared, query.right, carry)
    distinct = query.distinct and not carry
    tree = exp.Union(this=_operand(left), expression=_operand(right), distinct=distinct)
    return _one_row_each(shared, tree, query.items) if query.distinct and carry else tree


def _operand(tree: exp.Expression) -> exp.Expression:
    """An operand of UNION with its own WITH, or that is a union itself, stands in parentheses."""
    return exp.Subquery(this=tree) if tree.args.get("with_") or isinstance(tree, exp.Union) else tree


def _cte(shared: Shared, cte: Cte) -> exp.CTE:
    return exp.CTE(this=emit(shared, cte.query), alias=exp.TableAlias(this=exp.to_identifier(cte.safe)))


def _all(parts: Sequence[Conjunct]) -> exp.Expression:
    return all_of([typed.tree.copy() for _, typed in parts])


def _named(tree: exp.Expression, name: str) -> exp.Alias:
    return exp.Alias(this=tree, alias=exp.to_identifier(name, quoted=True))


def _aliased(tree: exp.Expression, alias: str) -> exp.Subquery:
    return exp.Subquery(this=tree, alias=exp.TableAlias(this=exp.to_identifier(alias)))


def hidden_names(taken: set[str]) -> Hidden:
    """Names for the hidden columns that nothing in the statement or the sources uses."""
    low = {name.casefold() for name in taken}
    prefix = "_kalla_"
    while any(name.startswith(prefix) for name in low):
        prefix = "_" + prefix
    return Hidden(f"{prefix}row", f"{prefix}left", f"{prefix}right")
