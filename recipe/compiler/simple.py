"""The common class: the two sources joined once, as keys, one-sided conditions and residual conditions.

Pairs are the result rows in which both sides are present, so that an outer join means the same as the
inner join of its ON and WHERE together: a row that an outer join adds lacks a side, and a pair must
satisfy both clauses.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from recipe.compiler.bound import BoundSelect, Conjunct, Item
from recipe.compiler.gaps import gap_of
from recipe.compiler.outputs import Wanted, evidence_names, missing_keys, source_column
from recipe.compiler.plan import LEFT, RIGHT, Condition, KeyPair, Output
from recipe.compiler.report import Findings
from recipe.compiler.scope import BASE_TABLES
from recipe.compiler.typed import Shared


def is_simple(tree: exp.Expression, aggregates: set[str]) -> bool:
    """One SELECT from left_src and right_src, joined once, each row judged by itself."""
    if not isinstance(tree, exp.Select) or any(tree.args.get(k) for k in ("with_", "distinct", "group", "having")):
        return False
    joins = tree.args.get("joins") or []
    if tree.args.get("from_") is None or len(joins) != 1:
        return False
    tables = [tree.args["from_"].this, joins[0].this]
    if sorted(_side(t) for t in tables) != [LEFT, RIGHT]:
        return False
    inner = (node for node in tree.walk() if node is not tree)
    return not any(_needs_rows(node, aggregates) for node in inner)


def _side(table: exp.Expression) -> str:
    if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier) or table.args.get("db"):
        return ""
    return BASE_TABLES.get(table.name if table.this.args.get("quoted") else table.name.lower(), "")


def _needs_rows(node: exp.Expr, aggregates: set[str]) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.upper() in aggregates
    return isinstance(node, (exp.Query, exp.AggFunc, exp.Window))


def split(findings: Findings, query: BoundSelect) -> tuple[list[KeyPair], dict[str, list[Condition]], list[Condition]]:
    """The conjuncts of ON and WHERE as keys, conditions of each side alone, and the rest."""
    keys: list[KeyPair] = []
    alone: dict[str, list[Condition]] = {LEFT: [], RIGHT: []}
    rest: list[Condition] = []
    for place, typed in _conjuncts(query):
        tree = typed.tree
        if isinstance(tree, exp.Boolean) and tree.this:
            continue
        written = _text(findings, place)
        pair = _key(tree, written)
        if pair is not None:
            keys.append(pair)
            continue
        gap, unit = gap_of(tree)
        sides = sides_of(tree)
        # An OR keeps its parentheses, so that conditions can be put side by side.
        whole = exp.Paren(this=tree) if isinstance(tree, exp.Or) else tree
        condition = Condition(whole, written, gap, unit)
        (alone[next(iter(sides))] if len(sides) == 1 else rest).append(condition)
    return keys, alone, rest


def _text(findings: Findings, place: exp.Expression) -> str:
    if isinstance(place, exp.Column) and place.parent is None:
        return f"USING ({place.sql(dialect='postgres')})"
    return findings.text_of(place)


def _conjuncts(query: BoundSelect) -> Iterator[Conjunct]:
    for item in query.froms:
        yield from item.on
    yield from query.where


def _key(tree: exp.Expression, written: str) -> KeyPair | None:
    """``left = right`` with one side each. IS NOT DISTINCT FROM is none: keys never match NULL."""
    if not isinstance(tree, exp.EQ):
        return None
    a, b = tree.this, tree.expression  # with their parentheses: engines put an = between them
    sides = (sides_of(a), sides_of(b))
    if sides == ({LEFT}, {RIGHT}):
        return KeyPair(a, b, written)
    if sides == ({RIGHT}, {LEFT}):
        return KeyPair(b, a, written)
    return None


def sides_of(tree: exp.Expression) -> set[str]:
    """The sides whose columns a tree reads; an unresolved name (no schema) counts as both."""
    sides: set[str] = set()
    for column in tree.find_all(exp.Column):
        sides |= {column.table} if column.table in (LEFT, RIGHT) else {LEFT, RIGHT}
    return sides


def simple_outputs(shared: Shared, items: list[Item]) -> tuple[Output, ...]:
    """The select list and then the key columns it lacks, under their evidence names."""
    wanted = [Wanted(item.name, item.value.origin) for item in items]
    names = evidence_names(wanted)
    outputs = [_output(item, name) for item, name in zip(items, names, strict=True)]
    if any(isinstance(item.value.tree, exp.Star) for item in items):
        return tuple(outputs)
    for name, side, column in missing_keys(shared.sides, [w.origin for w in wanted], names):
        outputs.append(Output(name, source_column(side, column), side, column))
    return tuple(outputs)


def _output(item: Item, name: str) -> Output:
    side, column = item.value.origin or (None, None)
    return Output(name, item.value.tree, side, column)
