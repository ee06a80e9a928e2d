"""Names: what a column or table in the statement refers to, and what to say when it refers to nothing.

Rule of contract 1.6: a quoted name is exact; an unquoted one is an exact match, else the only match
without regard to case, else an error. sqlglot's own qualifier folds case as a database would and is
therefore not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from recipe.columns import Column, Kind, nearest_names
from recipe.compiler.report import AMBIGUOUS_COLUMN, UNKNOWN_COLUMN, UNKNOWN_TABLE, UNSUPPORTED
from recipe.compiler.typed import DERIVED_SCALE, Shared, Typed, unknown

BASE_TABLES = {"left_src": "l", "right_src": "r"}
TABLE_OF = {side: table for table, side in BASE_TABLES.items()}


@dataclass(frozen=True)
class BoundColumn:
    """A column that a source offers: the name it is called by, and its value."""

    name: str
    value: Typed

    def __post_init__(self) -> None:
        # The select list names a bare column by this, in the source's own spelling.
        self.value.tree.meta["name"] = self.name


@dataclass(frozen=True)
class Source:
    """One entry of FROM. ``columns`` is None where the schema is not known; ``side`` is set for a base
    table.
    """

    name: str
    safe: str
    columns: tuple[BoundColumn, ...] | None
    side: str | None = None

    def named(self) -> str:
        return f'"{self.name}"' if self.name != self.name.lower() else self.name


@dataclass
class Scope:
    """The sources one SELECT sees; ``parent`` is the query around a sub-query."""

    sources: list[Source] = field(default_factory=list)
    merged: list[BoundColumn] = field(default_factory=list)  # columns joined by USING, which need no table name
    parent: Scope | None = None


def find(names: Sequence[str], identifier: exp.Identifier) -> list[int]:
    """Positions of the names that an identifier means: none, one, or several that differ in case only."""
    wanted = identifier.name
    exact = [i for i, name in enumerate(names) if name == wanted]
    if exact or identifier.args.get("quoted"):
        return exact
    return [i for i, name in enumerate(names) if name.casefold() == wanted.casefold()]


def base_columns(schema: Iterable[Column], safe: str, side: str) -> tuple[BoundColumn, ...]:
    """The columns of left_src or right_src under the table name of the plan."""
    return tuple(BoundColumn(c.name, base_value(c, safe, side)) for c in schema)


def base_value(column: Column, safe: str, side: str) -> Typed:
    scale = {Kind.INTEGER: 0, Kind.DECIMAL: column.scale if column.scale is not None else DERIVED_SCALE}.get(
        column.kind
    )
    tree = plan_column(safe, column.name)
    if column.kind == Kind.DECIMAL and column.precision is not None:
        tree.meta["precision"] = column.precision
    return Typed(tree, column.kind, scale, frozenset({side}), origin=(side, column.name))


def plan_column(table: str, name: str) -> exp.Column:
    return exp.Column(this=exp.to_identifier(name, quoted=True), table=exp.to_identifier(table))


def resolve(shared: Shared, scope: Scope, column: exp.Expression) -> Typed:
    """The value that a column reference means; unknown, with the problem reported, where it means none."""
    if column.args.get("db") or column.args.get("catalog"):
        message = f"{column.sql(dialect='postgres')}: a column is written as name or table.name"
        shared.findings.problem(UNSUPPORTED, message, column)
        return unknown()
    at: Scope | None = scope
    while at is not None:
        value = _resolve_here(shared, at, column, last=at.parent is None)
        if value is not None:
            return _used(shared, value, column)
        at = at.parent
    return _not_found(shared, scope, column)


def _used(shared: Shared, value: Typed, column: exp.Expression) -> Typed:
    tree = value.tree.copy()
    tree.meta.update({k: column.this.meta[k] for k in ("start", "end") if k in column.this.meta})
    if isinstance(tree, exp.Column) and tree.table in shared.usage.aliases:
        used = (shared.usage.aliases[tree.table], tree.name)
        if used not in shared.usage.columns:
            shared.usage.columns.append(used)
    return replace(value, tree=tree)


def _resolve_here(shared: Shared, scope: Scope, column: exp.Expression, last: bool) -> Typed | None:
    table = column.args.get("table")
    if table is not None:
        places = find([s.name for s in scope.sources], table)
        if len(places) != 1:
            return None if not places else _ambiguous(shared, column, [scope.sources[i].named() for i in places])
        return _of_source(shared, scope.sources[places[0]], column)
    merged = find([m.name for m in scope.merged], column.this)
    if len(merged) == 1:
        return scope.merged[merged[0]].value
    return _unqualified(shared, scope, column, last)


def _unqualified(shared: Shared, scope: Scope, column: exp.Expression, last: bool) -> Typed | None:
    found: list[tuple[Source, BoundColumn]] = []
    blind = [s for s in scope.sources if s.columns is None]
    for source in scope.sources:
        columns = source.columns or ()
        found += [(source, columns[i]) for i in find([c.name for c in columns], column.this)]
    exact = [(s, c) for s, c in found if c.name == column.name]
    found = exact or found
    if len(found) > 1:
        names = [f"{s.named()}.{_shown(c.name)}" for s, c in found]
        return _ambiguous(shared, column, names)
    if found:
        return found[0][1].value
    if blind and last:
        # Without schemas only the form can be checked: with one source the column must be its own.
        if len(scope.sources) == 1:
            return _blind(scope.sources[0], column)
        return unknown(exp.Column(this=exp.to_identifier(column.name, quoted=True)))
    return None


def _of_source(shared: Shared, source: Source, column: exp.Expression) -> Typed | None:
    if source.columns is None:
        return _blind(source, column)
    places = find([c.name for c in source.columns], column.this)
    if len(places) == 1:
        return source.columns[places[0]].value
    if places:
        return _ambiguous(shared, column, [_shown(source.columns[i].name) for i in places])
    return None


def _blind(source: Source, column: exp.Expression) -> Typed:
    sides = frozenset({source.side}) if source.side else frozenset()
    origin = (source.side, column.name) if source.side else None
    return Typed(plan_column(source.safe, column.name), Kind.UNKNOWN, None, sides, origin)


def _ambiguous(shared: Shared, column: exp.Expression, names: list[str]) -> Typed:
    shown = " or ".join(dict.fromkeys(names))
    message = f"{column.sql(dialect='postgres')} can mean several columns: write {shown}"
    shared.findings.problem(AMBIGUOUS_COLUMN, message, column)
    return unknown()


def _not_found(shared: Shared, scope: Scope, column: exp.Expression) -> Typed:
    table = column.args.get("table")
    everywhere = _all_sources(scope)
    names = [s.named() for s in everywhere]
    if table is not None and not find([s.name for s in everywhere], table):
        hint = f"; the tables here are called {', '.join(names)}" if names else ""
        if table.name.lower() in BASE_TABLES and any(s.side == BASE_TABLES[table.name.lower()] for s in everywhere):
            called = next(s.named() for s in everywhere if s.side == BASE_TABLES[table.name.lower()])
            hint = f": {table.name} is called {called} here"
        shared.findings.problem(UNKNOWN_TABLE, f"no table is called {_shown(table.name)} here{hint}", table)
        return unknown()
    within = everywhere
    if table is not None:
        places = find([s.name for s in everywhere], table)
        within = [everywhere[i] for i in places]
    where = f"{within[0].named()} has" if len(within) == 1 else "the tables have"
    message = f"{where} no column {_shown(column.name)}{_hints(column.this, within, everywhere)}"
    shared.findings.problem(UNKNOWN_COLUMN, message, column.this)
    return unknown()


def _hints(identifier: exp.Identifier, within: list[Source], everywhere: list[Source]) -> str:
    near = nearest_names(identifier.name, [c.name for s in within for c in s.columns or ()])
    hint = f"; did you mean {' or '.join(_shown(n) for n in near)}?" if near else ""
    if any(n.casefold() == identifier.name.casefold() for n in near):
        return hint
    for source in everywhere:
        columns = [c.name for c in source.columns or ()]
        loose = exp.to_identifier(identifier.name, quoted=False)
        for place in [] if source in within else find(columns, loose)[:1]:
            hint += f"; {source.named()} has it: write {source.named()}.{_shown(columns[place])}"
    return hint


def _all_sources(scope: Scope) -> list[Source]:
    found: list[Source] = []
    at: Scope | None = scope
    while at is not None:
        found += at.sources
        at = at.parent
    return found


def _shown(name: str) -> str:
    """A column name as it must be written in SQL."""
    plain = name.isidentifier() and name == name.lower() and name.isascii()
    return name if plain else exp.to_identifier(name, quoted=True).sql(dialect="postgres")
