"""What a plan reads: the columns of matching, and the numbers for which control totals are kept."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot import exp

from recipe.columns import Column, Kind
from recipe.compiler.outputs import source_column
from recipe.compiler.plan import LEFT, RIGHT, Condition, KeyPair, Output, Parse
from recipe.compiler.typed import Shared, call

Numbers = tuple[tuple[str, exp.Expression], ...]


def columns_read(trees: Iterable[exp.Expression], side: str) -> tuple[str, ...]:
    """Names of one side's columns, in order of first use."""
    found = (c.name for tree in trees for c in tree.find_all(exp.Column) if c.table == side)
    return tuple(dict.fromkeys(found))


def condition_trees(keys: Iterable[KeyPair], conditions: Iterable[Condition]) -> list[exp.Expression]:
    trees = [tree for key in keys for tree in (key.left, key.right)]
    return trees + [condition.tree for condition in conditions]


def simple_numbers(
    shared: Shared,
    keys: list[KeyPair],
    conditions: list[Condition],
    outputs: Iterable[Output],
    parses: list[Parse],
) -> dict[str, Numbers]:
    """Numeric columns of the conditions; where there are none, those of the select list.

    An integer that only serves as a key (an id) is no amount, nor is a text that is read as a number to equal one:
    its total would say nothing.
    """
    ids = [t for k in keys for t, beside in ((k.left, k.right), (k.right, k.left)) if _is_id(t, beside)]
    trees = [c.tree for c in conditions]
    trees += [t for k in keys for t in (k.left, k.right) if t not in ids]
    used = {side: _numbers(shared, columns_read(trees, side), side, parses) for side in (LEFT, RIGHT)}
    if any(used.values()):
        return used
    selected = [output.tree for output in outputs if output.side is not None]
    named = {(o.side, o.column) for o in outputs}
    keys_too = {(side, name) for side in (LEFT, RIGHT) for name in shared.sides[side].primary_key}
    keys_too |= {(side, name) for side in (LEFT, RIGHT) for name in columns_read(_texts(ids), side)}
    amounts = {s: [c for c in columns_read(selected, s) if (s, c) in named - keys_too] for s in (LEFT, RIGHT)}
    return {side: _numbers(shared, amounts[side], side, parses) for side in (LEFT, RIGHT)}


def general_numbers(shared: Shared, parses: list[Parse]) -> dict[str, Numbers]:
    """Every numeric column that the statement reads anywhere, but for the primary keys."""
    read = shared.usage.columns
    return {
        side: _numbers(shared, [c for s, c in read if s == side and c not in shared.sides[s].primary_key], side, parses)
        for side in (LEFT, RIGHT)
    }


def _numbers(shared: Shared, names: Iterable[str], side: str, parses: list[Parse]) -> Numbers:
    schema = {column.name: column for column in shared.sides[side].schema or ()}
    found: list[tuple[str, exp.Expression]] = []
    for name in names:
        tree = _number(schema.get(name), side, name, parses)
        if tree is not None:
            found.append((name, tree))
    return tuple(found)


def _number(column: Column | None, side: str, name: str, parses: list[Parse]) -> exp.Expression | None:
    if column is None:
        return None
    tree = source_column(side, name)
    if column.kind == Kind.DOUBLE:
        return call("KALLA_EXACT", tree)
    if column.kind.is_number:
        return tree
    for parse in parses:
        if parse.side == side and parse.text == tree and parse.parsed.name == "KALLA_NUMBER":
            return parse.parsed.copy()
    return None


def _is_id(tree: exp.Expression, beside: exp.Expression) -> bool:
    return _bare_integer(tree) or (bool(_texts([tree])) and _bare_integer(beside))


def _texts(trees: Iterable[exp.Expression]) -> list[exp.Expression]:
    """Those that are nothing but a text read as a number."""
    return [t for t in trees if isinstance(t, exp.Anonymous) and t.name == "KALLA_NUMBER"]


def _bare_integer(tree: exp.Expression) -> bool:
    return isinstance(tree, exp.Column) and tree.meta.get("kind") == Kind.INTEGER
