"""Rules for literals, columns, conditions and CASE."""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.casts import alike, as_boolean, common_kind, common_scale, comparable
from recipe.compiler.chains import all_of, conjuncts, equal_columns
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import TYPE_MISMATCH, UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.scope import resolve
from recipe.compiler.typed import Typed, grouped, merged, number_literal, text, unknown


def lower_column(node: exp.Expression, low: Lowering) -> Typed:
    if isinstance(node.this, exp.Star):
        return low.problem(UNSUPPORTED, "table.* can only stand in the select list", node)
    return resolve(low.shared, low.scope, node)


def lower_literal(node: exp.Expression, low: Lowering) -> Typed:
    if node.is_string:
        return lower_text(node, low)
    number = number_literal(node.name)
    if number is None:
        message = f"{node.name} cannot be kept exactly: numbers have at most 38 digits"
        return low.problem(TYPE_MISMATCH, message, node)
    return number


def lower_text(node: exp.Expression, low: Lowering) -> Typed:
    """'...', E'...' and $$...$$: the parser has already decoded escapes."""
    return Typed(text(node.name), Kind.TEXT, constant=True, literal=True)


def lower_null(node: exp.Expression, low: Lowering) -> Typed:
    return Typed(exp.Null(), Kind.UNKNOWN, constant=True, literal=True)


def lower_boolean(node: exp.Expression, low: Lowering) -> Typed:
    return Typed(exp.Boolean(this=bool(node.this)), Kind.BOOLEAN, constant=True)


def lower_paren(node: exp.Expression, low: Lowering) -> Typed:
    """Parentheses are kept where they change nothing too, so that a plan reads as the person wrote it."""
    inner = low.lower(node.this)
    if isinstance(inner.tree, (exp.Column, exp.Literal, exp.Paren, exp.Null, exp.Boolean)):
        return inner
    return inner.with_tree(exp.Paren(this=inner.tree), scale=inner.scale)


def lower_connector(node: exp.Expression, low: Lowering) -> Typed:
    word = node.key.upper()
    left = as_boolean(low.shared, low.lower(node.this), node.this, word)
    right = as_boolean(low.shared, low.lower(node.expression), node.expression, word)
    return merged(type(node)(this=left.tree, expression=right.tree), Kind.BOOLEAN, [left, right])


def lower_not(node: exp.Expression, low: Lowering) -> Typed:
    inner = as_boolean(low.shared, low.lower(node.this), node.this, "NOT")
    return merged(exp.Not(this=grouped(inner.tree)), Kind.BOOLEAN, [inner])


def lower_comparison(node: exp.Expression, low: Lowering) -> Typed:
    if isinstance(node.this, exp.Tuple) or isinstance(node.expression, exp.Tuple):
        return _rows(node, low)
    left, right = _both(node, low)
    tree = type(node)(this=grouped(left.tree), expression=grouped(right.tree))
    return merged(tree, Kind.BOOLEAN, [left, right])


def _both(node: exp.Expression, low: Lowering) -> list[Typed]:
    places = [node.this, node.expression]
    return comparable(low.shared, [low.lower(p) for p in places], node, places)


def _rows(node: exp.Expression, low: Lowering) -> Typed:
    parts = equal_columns(node)
    if parts == [node]:
        return low.problem(UNSUPPORTED, "rows of values can only be compared as (a, b) = (c, d)", node)
    low_parts = [lower_comparison(part, low) for part in parts]
    return merged(exp.Paren(this=all_of([p.tree for p in low_parts])), Kind.BOOLEAN, low_parts)


def lower_is(node: exp.Expression, low: Lowering) -> Typed:
    inner = low.lower(node.this)
    what = node.expression
    if isinstance(what, exp.Boolean):
        inner = as_boolean(low.shared, inner, node.this, "IS TRUE")
        right: exp.Expression = exp.Boolean(this=bool(what.this))
    elif isinstance(what, exp.Null):
        right = exp.Null()
    else:
        return low.problem(UNSUPPORTED, "IS is followed by NULL, TRUE or FALSE", node)
    tree: exp.Expression = exp.Is(this=grouped(inner.tree), expression=right)
    return merged(exp.Not(this=tree) if node.args.get("negate") else tree, Kind.BOOLEAN, [inner])


def lower_between(node: exp.Expression, low: Lowering) -> Typed:
    if node.args.get("symmetric"):
        return low.problem(UNSUPPORTED, "BETWEEN SYMMETRIC is not supported: put the smaller value first", node)
    places = [node.this, node.args["low"], node.args["high"]]
    value, least, most = comparable(low.shared, [low.lower(p) for p in places], node, places)
    tree = exp.Between(this=grouped(value.tree), low=grouped(least.tree), high=grouped(most.tree))
    return merged(tree, Kind.BOOLEAN, [value, least, most])


def lower_in(node: exp.Expression, low: Lowering) -> Typed:
    extra = [k for k in ("unnest", "field", "is_global") if node.args.get(k)]
    if extra or isinstance(node.this, exp.Tuple):
        return low.problem(UNSUPPORTED, "IN takes one value and a list or a sub-query", node)
    if node.args.get("query") is not None:
        return _in_query(node, low)
    if not node.expressions:
        return low.problem(WRONG_ARGUMENTS, "IN needs at least one value", node)
    places = [node.this, *node.expressions]
    values = comparable(low.shared, [low.lower(p) for p in places], node, places)
    tree = exp.In(this=grouped(values[0].tree), expressions=[v.tree for v in values[1:]])
    return merged(tree, Kind.BOOLEAN, values)


def _in_query(node: exp.Expression, low: Lowering) -> Typed:
    query = low.bind(node.args["query"], low.scope)
    value = low.lower(node.this)
    if query is None:
        return unknown()
    if len(query.columns) != 1:
        return low.problem(WRONG_ARGUMENTS, "the sub-query of IN must have exactly one column", node)
    places = [node.this, node.args["query"]]
    left, right = comparable(low.shared, [value, query.columns[0]], node, places)
    if right.tree is not query.columns[0].tree:
        query.retype(0, lambda item: comparable(low.shared, [value, item], node, places)[1])
    tree = exp.In(this=grouped(left.tree), query=exp.Subquery(this=query.tree()))
    return merged(tree, Kind.BOOLEAN, [left])


def lower_exists(node: exp.Expression, low: Lowering) -> Typed:
    query = low.bind(node.this, low.scope)
    if query is None:
        return unknown()
    return Typed(exp.Exists(this=query.tree()), Kind.BOOLEAN)


def lower_scalar_query(node: exp.Expression, low: Lowering) -> Typed:
    query = low.bind(node, low.scope)
    if query is None:
        return unknown()
    if len(query.columns) != 1:
        return low.problem(WRONG_ARGUMENTS, "a sub-query used as a value must have exactly one column", node)
    item = query.columns[0]
    return Typed(exp.Subquery(this=query.tree()), item.kind, item.scale, item.sides)


def lower_case(node: exp.Expression, low: Lowering) -> Typed:
    subject = node.args.get("this")
    branches: Sequence[exp.Expression] = node.args["ifs"]
    tests = _case_tests(subject, branches, node, low)
    default = node.args.get("default")
    places = [branch.args["true"] for branch in branches] + ([default] if default is not None else [])
    values = alike(low.shared, [low.lower(p) for p in places], node, places)
    ifs = [exp.If(this=t.tree, true=v.tree) for t, v in zip(tests, values, strict=False)]
    tree = exp.Case(ifs=ifs, default=values[-1].tree if default is not None else None)
    return merged(tree, common_kind(values), [*tests, *values], common_scale(values))


def _case_tests(
    subject: exp.Expression | None, branches: Sequence[exp.Expression], node: exp.Expression, low: Lowering
) -> list[Typed]:
    """CASE x WHEN a is written as CASE WHEN x = a: each comparison is then cast by itself.

    x is lowered once: within each other, its copies would be lowered as often as the branches multiply.
    """
    if subject is None:
        return [as_boolean(low.shared, low.lower(b.this), b.this, "WHEN") for b in branches]
    value = low.lower(subject)
    return [_equals(value, low.lower(b.this), b.this, subject, low) for b in branches]


def _equals(a: Typed, b: Typed, at: exp.Expression, subject: exp.Expression, low: Lowering) -> Typed:
    left, right = comparable(low.shared, [a, b], at, [subject, at])
    return merged(exp.EQ(this=grouped(left.tree.copy()), expression=grouped(right.tree)), Kind.BOOLEAN, [left, right])


def lower_condition(condition: exp.Expression, low: Lowering) -> list[tuple[exp.Expression, Typed]]:
    """The conjuncts of ON, WHERE or HAVING: each with its place in the statement."""
    return [(part, as_boolean(low.shared, low.lower(part), part, low.clause)) for part in conjuncts(condition)]
