"""The select list: stars expanded, columns named, ORDER BY checked and dropped."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from recipe.compiler.bound import Item
from recipe.compiler.lowering import Lowering
from recipe.compiler.refusals import explain
from recipe.compiler.report import ORDER_IGNORED, UNKNOWN_TABLE, UNSUPPORTED
from recipe.compiler.scope import Scope, Source, find
from recipe.compiler.typed import Hidden, Typed, unknown


def bind_items(node: exp.Select, low: Lowering, scope: Scope) -> tuple[list[Item], bool]:
    """The columns of a SELECT; False where a star stands for columns that are not known."""
    items: list[Item] = []
    complete = True
    for at, part in enumerate(node.expressions, 1):
        if isinstance(part, exp.Star) or (isinstance(part, exp.Column) and isinstance(part.this, exp.Star)):
            expanded = _expand(part, low, scope)
            complete = complete and expanded is not None
            items += expanded if expanded is not None else [_unexpanded(part)]
            continue
        inner = part.this if isinstance(part, exp.Alias) else part
        value = low.lower(inner)
        items.append(_item(part, inner, value, at, low))
    return items, complete


def _item(part: exp.Expression, inner: exp.Expression, value: Typed, at: int, low: Lowering) -> Item:
    if isinstance(part, exp.Alias):
        if not isinstance(part.args["alias"], exp.Identifier):
            explain(low.shared.findings, part.args["alias"])
        return Item(part.alias, value, named=True)
    if isinstance(inner, exp.Column):
        # The source's own spelling, not the person's.
        return Item(str(value.tree.meta.get("name") or inner.name), value, named=True)
    return Item(_made_up(inner, at), value)


def _made_up(node: exp.Expression, at: int) -> str:
    """PostgreSQL's habit: the function's name; else the position."""
    node = node.this if isinstance(node, (exp.Window, exp.Filter)) else node
    if isinstance(node, exp.Anonymous):
        return node.name.lower()
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Column):
        return node.this.name
    if isinstance(node, exp.Case):
        return "case"
    if isinstance(node, exp.Func) and not isinstance(node, (exp.Connector, exp.Cast)):
        return node.sql_name().lower()
    return f"column_{at}"


def _expand(part: exp.Expression, low: Lowering, scope: Scope) -> list[Item] | None:
    star = part if isinstance(part, exp.Star) else part.this
    if [k for k, v in star.args.items() if v]:
        low.problem(UNSUPPORTED, "* with EXCEPT, REPLACE or RENAME is not supported: list the columns", part)
        return []
    sources = scope.sources
    table = part.args.get("table")
    if table is not None:
        places = find([s.name for s in sources], table)
        if len(places) != 1:
            names = ", ".join(s.named() for s in sources)
            low.problem(UNKNOWN_TABLE, f"no table is called {table.name} here; they are called {names}", part)
            return []
        sources = [sources[places[0]]]
    if not sources:
        low.problem(UNSUPPORTED, "* needs a FROM", part)
        return []
    if any(source.columns is None for source in sources):
        return None
    return [item for source in sources for item in _columns_of(source, low)]


def _columns_of(source: Source, low: Lowering) -> list[Item]:
    items = []
    for column in source.columns or ():
        tree = column.value.tree.copy()
        side = low.shared.usage.aliases.get(source.safe)
        if side is not None and (side, tree.name) not in low.shared.usage.columns:
            low.shared.usage.columns.append((side, tree.name))
        items.append(Item(column.name, replace(column.value, tree=tree), named=True))
    return items


def _unexpanded(part: exp.Expression) -> Item:
    name = "*" if isinstance(part, exp.Star) else f"{part.args['table'].name}.*"
    return Item(name, unknown(exp.Star()))


def internal_names(items: list[Item], hidden: Hidden) -> None:
    """Give each column a name of its own inside the plan, whatever its case; people's names stay as they
    are.
    """
    taken = {hidden.row.casefold(), hidden.left.casefold(), hidden.right.casefold()}
    for item in items:
        name, n = item.name, 1
        while name.casefold() in taken or not name:
            n += 1
            name = f"{item.name}_{n}"
        taken.add(name.casefold())
        item.internal = name


def bind_order(node: exp.Expression, low: Lowering, items: list[Item], names_only: bool = False) -> None:
    """ORDER BY changes no pair: it is checked, reported and left out; the evidence is in row order."""
    order = node.args.get("order")
    if order is None:
        return
    for part in order.expressions:
        key = part.this if isinstance(part, exp.Ordered) else part
        by_alias = isinstance(key, exp.Column) and not key.table and find([i.name for i in items], key.this)
        if not isinstance(key, exp.Literal) and not by_alias and not names_only:
            replace(low, clause="ORDER BY").lower(key)
    message = "ORDER BY has no effect: the evidence is in the order of the source rows"
    low.shared.findings.warn(ORDER_IGNORED, message, order)
