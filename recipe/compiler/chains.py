"""AND and OR chains: balanced after parsing, and split into their parts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp


def balance(tree: exp.Expression) -> exp.Expression:
    """AND and OR chains as balanced trees, so that a chain of thousands is a dozen levels deep."""
    tops = [node for node in tree.walk() if isinstance(node, (exp.And, exp.Or)) and type(node.parent) is not type(node)]
    for top in tops:
        parts = _chain(top)
        if len(parts) < 3:
            continue
        balanced = _join(parts, type(top))
        top.set("this", balanced.this)
        top.set("expression", balanced.expression)
    return tree


def _chain(top: exp.Expression) -> list[exp.Expression]:
    parts: list[exp.Expression] = []
    stack = [top]
    while stack:
        node = stack.pop()
        if type(node) is type(top):
            stack += [node.expression, node.this]
        else:
            parts.append(node)
    return parts


def _join(parts: list[exp.Expression], kind: type[exp.Expression]) -> exp.Expression:
    while len(parts) > 1:
        pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
        parts = [kind(this=p[0], expression=p[1]) if len(p) == 2 else p[0] for p in pairs]
    return parts[0]


def all_of(parts: Sequence[exp.Expression]) -> exp.Expression:
    """The parts joined by AND, as a balanced tree; a part that is a chain itself stands in parentheses."""
    return _join([exp.Paren(this=p) if isinstance(p, (exp.And, exp.Or)) else p for p in parts], exp.And)


def conjuncts(condition: exp.Expression) -> list[exp.Expression]:
    """The parts that must all hold, through parentheses; equal rows ``(a, b) = (c, d)`` as equal columns."""
    parts: list[exp.Expression] = []
    stack = [condition]
    while stack:
        node = stack.pop()
        if isinstance(node, exp.Paren):
            stack.append(node.this)
        elif isinstance(node, exp.And):
            stack += [node.expression, node.this]
        else:
            parts += equal_columns(node)
    return parts


def equal_columns(node: exp.Expression) -> list[exp.Expression]:
    """``(a, b) = (c, d)`` as ``a = c`` and ``b = d``; any other node as it is."""
    if not (isinstance(node, exp.EQ) and isinstance(node.this, exp.Tuple) and isinstance(node.expression, exp.Tuple)):
        return [node]
    left, right = node.this.expressions, node.expression.expressions
    if len(left) != len(right):
        return [node]
    pairs = zip(left, right, strict=True)
    return [exp.EQ(this=a.copy(), expression=b.copy()) for a, b in pairs]
