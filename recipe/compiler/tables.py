"""FROM: base tables, WITH names and derived tables as sources of a scope, and the joins between them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Protocol

from sqlglot import exp

from recipe.columns import Kind, nearest_names
from recipe.compiler.bound import BoundQuery, Cte, FromItem, Item
from recipe.compiler.casts import comparable
from recipe.compiler.logic import lower_condition
from recipe.compiler.lowering import Lowering
from recipe.compiler.refusals import explain, refuse_clauses
from recipe.compiler.report import FORBIDDEN, SYNTAX, UNKNOWN_TABLE, UNSUPPORTED, UNTRACEABLE
from recipe.compiler.rowwise import note_columns
from recipe.compiler.scope import BASE_TABLES, BoundColumn, Scope, Source, base_columns, find, plan_column
from recipe.compiler.typed import Shared, Typed, merged

_PATH = re.compile(r"[/\\:*?]|\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx?|db|duckdb|sqlite|gz|zst)$", re.IGNORECASE)
_PAIR = "the tables are left_src and right_src"


class QueryBinder(Protocol):
    """What FROM needs of the binder that called it."""

    @property
    def shared(self) -> Shared: ...
    @property
    def fixed(self) -> bool: ...
    def query(
        self, node: exp.Expression, parent: Scope | None, ctes: tuple[Cte, ...], top: bool
    ) -> BoundQuery | None: ...
    def visible(self, query: BoundQuery, alias: exp.Expression | None) -> tuple[str, ...]: ...
    def lowering(self, scope: Scope, ctes: tuple[Cte, ...], clause: str) -> Lowering: ...


def add_sources(
    binder: QueryBinder, node: exp.Select, scope: Scope, froms: list[FromItem], ctes: tuple[Cte, ...]
) -> None:
    """Bind FROM and its joins into ``scope`` and ``froms``, in order."""
    _add(binder, node.args["from_"].this, "", scope, froms, ctes)
    for join in node.args.get("joins") or []:
        kind = _join_kind(binder.shared, join)
        before = len(froms)
        _add(binder, join.this, kind or "CROSS", scope, froms, ctes)
        if kind is None or len(froms) == before:
            continue
        froms[-1].comma = not any(join.args.get(k) for k in ("kind", "side", "on", "using"))
        _condition(binder, join, scope, froms, ctes)
        if kind in ("LEFT", "FULL"):
            froms[-1].nullable = True
        if kind in ("RIGHT", "FULL"):
            for earlier in froms[:-1]:
                earlier.nullable = True


def _join_kind(shared: Shared, join: exp.Expression) -> str | None:
    method, kind, side = (str(join.args.get(k) or "").upper() for k in ("method", "kind", "side"))
    if method or kind not in ("", "INNER", "OUTER", "CROSS") or side not in ("", "LEFT", "RIGHT", "FULL"):
        word = " ".join(part for part in (method, side, kind) if part)
        hints = {
            "NATURAL": ": name the columns with ON or USING",
            "SEMI": ": use EXISTS",
            "ANTI": ": use NOT EXISTS",
        }
        code = UNSUPPORTED if method == "NATURAL" else UNTRACEABLE
        shared.findings.problem(code, f"{word} JOIN is not supported{hints.get(method or kind, '')}", join)
        return None
    refuse_clauses(shared.findings, join, ("this", "side", "kind", "on", "using"), "a join")
    has_condition = join.args.get("on") is not None or join.args.get("using")
    if kind == "CROSS" and has_condition:
        shared.findings.problem(SYNTAX, "CROSS JOIN takes no condition: write JOIN ... ON", join)
    if side and not has_condition:
        shared.findings.problem(SYNTAX, f"{side} JOIN needs ON or USING", join)
    return side or ("INNER" if has_condition else "CROSS")


def _condition(
    binder: QueryBinder, join: exp.Expression, scope: Scope, froms: list[FromItem], ctes: tuple[Cte, ...]
) -> None:
    low = binder.lowering(scope, ctes, "ON")
    # A join binds tighter than a comma: its ON sees only the tables since the last one.
    first = max((i for i, item in enumerate(froms[:-1]) if item.comma), default=0)
    if first and froms[-1].join in ("RIGHT", "FULL"):
        message = f"{froms[-1].join} JOIN behind a comma is not supported: put the join into a sub-query"
        binder.shared.findings.problem(UNSUPPORTED, message, join)
    if join.args.get("on") is not None:
        low = binder.lowering(replace(scope, sources=scope.sources[first:]), ctes, "ON")
        froms[-1].on = lower_condition(join.args["on"], low)
    for column in join.args.get("using") or []:
        identifier = column if isinstance(column, exp.Identifier) else column.this
        _using(low, identifier, scope, froms)


def _using(low: Lowering, identifier: exp.Identifier, scope: Scope, froms: list[FromItem]) -> None:
    """``USING (x)``: both columns equal; a bare ``x`` is then whichever is present."""
    joined = froms[-1]
    before = Scope(scope.sources[:-1], scope.merged)
    after = Scope(scope.sources[-1:])
    place = exp.Column(this=identifier.copy())
    left = _plain_resolve(low, before, place)
    right = _plain_resolve(low, after, place)
    a, b = comparable(low.shared, [left, right], place, [place, place])
    tree = exp.EQ(this=a.tree, expression=b.tree)
    joined.on.append((place, merged(tree, Kind.BOOLEAN, [a, b])))
    value = {"RIGHT": right, "FULL": _either(left, right)}.get(joined.join, left)
    scope.merged = [m for m in scope.merged if not find([m.name], identifier)]
    name = str(left.tree.meta.get("name") or identifier.name)
    scope.merged.append(BoundColumn(name, value))


def _plain_resolve(low: Lowering, scope: Scope, place: exp.Column) -> Typed:
    return replace(low, scope=scope).lower(place)


def _either(left: Typed, right: Typed) -> Typed:
    tree = exp.Coalesce(this=left.tree.copy(), expressions=[right.tree.copy()])
    return merged(tree, left.kind, [left, right], left.scale)


def _add(
    binder: QueryBinder,
    node: exp.Expression,
    join: str,
    scope: Scope,
    froms: list[FromItem],
    ctes: tuple[Cte, ...],
) -> None:
    item = _source(binder, node, join, scope, ctes)
    if item is None:
        # The fault is reported; a source of unknown columns keeps every use of it from being reported too.
        binder.shared.usage.broken = True
        alias = node.alias_or_name
        item = FromItem(Source(alias, binder.shared.fresh("s"), None), join)
    name = item.source.name
    if name and any(s.name.casefold() == name.casefold() for s in scope.sources):
        message = f"two tables are called {name} here: give each its own name with AS"
        binder.shared.findings.problem(UNSUPPORTED, message, node)
    scope.sources.append(item.source)
    froms.append(item)


def _source(
    binder: QueryBinder, node: exp.Expression, join: str, scope: Scope, ctes: tuple[Cte, ...]
) -> FromItem | None:
    findings = binder.shared.findings
    if isinstance(node, exp.Table):
        return _table(binder, node, join, ctes)
    if isinstance(node, exp.Values):
        findings.problem(UNTRACEABLE, "VALUES cannot be traced to source rows", node)
        return None
    if not isinstance(node, exp.Subquery):
        explain(findings, node)
        return None
    if refuse_clauses(findings, node, ("this", "alias"), "FROM"):
        return None
    if isinstance(node.this, exp.Table):
        findings.problem(UNSUPPORTED, "a table or join in parentheses is not supported: leave them out", node)
        return None
    query = binder.query(node.this, scope.parent, ctes, False)
    if query is None:
        return None
    safe = binder.shared.fresh("d")
    note_columns(binder.shared, query, safe)
    columns = _derived(query.items, binder.visible(query, node.args.get("alias")), safe, query.complete)
    return FromItem(Source(node.alias, safe, columns), join, query=query, holds=query.holds)


def _table(binder: QueryBinder, node: exp.Table, join: str, ctes: tuple[Cte, ...]) -> FromItem | None:
    shared, name = binder.shared, node.this
    if not isinstance(name, exp.Identifier):
        called = name.name if isinstance(name, exp.Anonymous) else name.sql(dialect="postgres").split("(")[0].lower()
        message = f"the table function {called} is not allowed: {_PAIR}"
        shared.findings.problem(FORBIDDEN, message, name)
        return None
    if refuse_clauses(shared.findings, node, ("this", "alias", "db", "catalog"), "FROM"):
        return None
    found = None if node.args.get("db") else next((c for c in reversed(ctes) if find([c.name], name)), None)
    if found is not None:
        return _cte_source(binder, node, join, found)
    side = BASE_TABLES.get(name.name if name.args.get("quoted") else name.name.lower())
    if side is None or node.args.get("db") is not None:
        _unknown_table(shared, node, [c.name for c in ctes])
        return None
    return _base(binder, node, join, side)


def _cte_source(binder: QueryBinder, node: exp.Table, join: str, cte: Cte) -> FromItem:
    safe = binder.shared.fresh("d")
    note_columns(binder.shared, cte.query, safe)
    columns = _derived(cte.columns, cte.visible, safe, cte.query.complete)
    alias = node.args.get("alias")
    given = [c.name for c in (alias.args.get("columns") or [])] if alias is not None else []
    if columns is not None and given:
        columns = tuple(replace(c, name=given[i]) if i < len(given) else c for i, c in enumerate(columns))
    return FromItem(Source(node.alias_or_name, safe, columns), join, cte=cte.safe, holds=cte.query.holds)


def _base(binder: QueryBinder, node: exp.Table, join: str, side: str) -> FromItem | None:
    shared = binder.shared
    alias = node.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        message = f"{node.name} cannot rename its columns here: name them in the select list"
        shared.findings.problem(UNSUPPORTED, message, alias)
    safe = side if binder.fixed else shared.fresh("s")
    shared.usage.aliases[safe] = side
    shared.usage.tables.add(side)
    schema = shared.sides[side].schema
    columns = base_columns(schema, safe, side) if schema is not None else None
    return FromItem(Source(node.alias_or_name, safe, columns, side), join, holds=frozenset({frozenset({side})}))


def _derived(
    items: tuple[Item, ...] | list[Item], visible: tuple[str, ...], safe: str, complete: bool
) -> tuple[BoundColumn, ...] | None:
    """The columns that a query offers to the query around it; None where a star hides some of them."""
    if not complete:
        return None
    return tuple(
        BoundColumn(name, replace(item.value, tree=plan_column(safe, item.internal), constant=False, literal=False))
        for item, name in zip(items, visible, strict=True)
    )


def _unknown_table(shared: Shared, node: exp.Table, ctes: list[str]) -> None:
    whole = node.copy()
    whole.set("alias", None)
    written = whole.sql(dialect="postgres", comments=False)
    start = node.this.meta.get("start")
    quoted = isinstance(start, int) and shared.findings.sql[start : start + 1] == "'"
    if quoted or _PATH.search(node.name):
        message = f"{node.name!r} is a file, not a table: {_PAIR}"
        shared.findings.problem(FORBIDDEN, message, node)
        return
    near = nearest_names(node.name, [*BASE_TABLES, *ctes], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    shared.findings.problem(UNKNOWN_TABLE, f"there is no table {written}: {_PAIR}{hint}", node)


def cte_name(shared: Shared, part: exp.Expression, taken: list[str]) -> str:
    """The name a WITH query is called by; empty, with the problem reported, where it cannot be used."""
    name = part.alias
    if name.lower() in BASE_TABLES:
        shared.findings.problem(UNSUPPORTED, f"a WITH query cannot be called {name}: that is a source", part)
        return ""
    if name.casefold() in [t.casefold() for t in taken]:
        shared.findings.problem(UNSUPPORTED, f"two WITH queries are called {name}", part)
        return ""
    return name
