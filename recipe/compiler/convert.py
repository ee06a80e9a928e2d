"""Rules for CAST and ``::``: the kinds of contract 1.5, exact, without the small types that overflow
early.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.casts import as_boolean, as_date, as_exact, as_number, as_text, as_timestamp, mismatch
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.typed import MAX_DIGITS, Typed, cast, integer, text

_T = exp.DataType.Type
_TRUE, _FALSE = ("true", "t", "yes", "y", "on", "1"), ("false", "f", "no", "n", "off", "0")


def lower_cast(node: exp.Expression, low: Lowering) -> Typed:
    target = node.args.get("to")
    extra = [k for k in ("format", "default", "action") if node.args.get(k) is not None]
    if not isinstance(target, exp.DataType) or extra or target.args.get("nested"):
        return low.problem(UNSUPPORTED, "this form of CAST is not supported", node)
    kind, params = target.this, [p.this.name for p in target.expressions if isinstance(p, exp.DataTypeParam)]
    rule = _RULES.get(kind)
    if rule is None:
        known = "text, integer, bigint, numeric(p, s), double precision, date, timestamp and boolean"
        said = target.sql(dialect="postgres")
        return low.problem(UNSUPPORTED, f"CAST to {said} is not supported; it knows {known}", node)
    value = low.lower(node.this)
    if value.literal and value.unknown:  # engines want to know what kind of NULL they compute with
        return value.with_tree(cast(value.tree, _NULLS[rule]), _KINDS[rule])
    return rule(value, params, node, low)


def _to_integer(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    if value.kind == Kind.BOOLEAN:
        tree: exp.Expression = exp.Case(ifs=[exp.If(this=value.tree, true=integer(1).tree)], default=integer(0).tree)
        whole = exp.Case(
            ifs=[exp.If(this=exp.Is(this=value.tree.copy(), expression=exp.Null()), true=exp.Null())],
            default=tree,
        )
        return value.with_tree(whole, Kind.INTEGER, 0)
    number = as_number(low.shared, value, node.this)  # a double rounds half to even, as in PostgreSQL
    if number.unknown:
        return number
    return number.with_tree(cast(number.tree, "BIGINT"), Kind.INTEGER, 0)


def _to_decimal(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    number = as_exact(low.shared, value, node.this)
    if number.unknown:
        return number
    if not params:  # numeric without size keeps every digit; engines would take a small default
        if number.kind == Kind.DECIMAL:
            return number
        return number.with_tree(cast(number.tree, f"DECIMAL({MAX_DIGITS}, 0)"), Kind.DECIMAL, 0)
    digits, scale = (int(p) if p.isdigit() else -1 for p in (*params, "0")[:2])
    if not (1 <= digits <= MAX_DIGITS and 0 <= scale <= digits):
        return low.problem(WRONG_ARGUMENTS, f"numeric(p, s) needs 1 <= p <= {MAX_DIGITS} and 0 <= s <= p", node)
    return number.with_tree(cast(number.tree, f"DECIMAL({digits}, {scale})"), Kind.DECIMAL, scale)


def _to_text(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    result = as_text(low.shared, value)
    if not params or result.unknown:
        return result.with_tree(result.tree)
    tree = exp.Left(this=result.tree, expression=exp.Literal.number(params[0]))  # PostgreSQL cuts, engines do not
    return result.with_tree(tree)


def _to_double(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    number = as_number(low.shared, value, node.this)
    if number.unknown or number.kind == Kind.DOUBLE:
        return number
    return number.with_tree(cast(number.tree, "DOUBLE"), Kind.DOUBLE)


def _to_boolean(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    """Text by PostgreSQL's words for true and false, NULL for any other; an integer by being zero or not."""
    if value.kind == Kind.INTEGER:
        return value.with_tree(exp.NEQ(this=exp.Paren(this=value.tree), expression=integer(0).tree), Kind.BOOLEAN)
    if value.kind == Kind.TEXT and not value.literal:
        word = exp.Lower(this=exp.Trim(this=value.tree))
        ifs = [
            exp.If(
                this=exp.In(this=word.copy(), expressions=[text(w) for w in words]),
                true=exp.Boolean(this=truth),
            )
            for words, truth in ((_TRUE, True), (_FALSE, False))
        ]
        return value.with_tree(exp.Case(ifs=ifs), Kind.BOOLEAN)
    if value.unknown or value.kind in (Kind.BOOLEAN, Kind.TEXT):
        return as_boolean(low.shared, value, node.this, "CAST")
    return mismatch(low.shared, f"a {value.kind} cannot be cast to boolean", node)


def _to_date(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    return as_date(low.shared, value, node.this)


def _to_timestamp(value: Typed, params: list[str], node: exp.Expression, low: Lowering) -> Typed:
    return as_timestamp(low.shared, value, node.this)


Rule = Callable[[Typed, list[str], exp.Expression, Lowering], Typed]

_RULES: dict[object, Rule] = {
    **dict.fromkeys((_T.INT, _T.BIGINT, _T.SMALLINT, _T.TINYINT, _T.MEDIUMINT), _to_integer),
    **dict.fromkeys((_T.TEXT, _T.VARCHAR), _to_text),
    **dict.fromkeys((_T.DOUBLE, _T.FLOAT), _to_double),
    **dict.fromkeys((_T.TIMESTAMP, _T.TIMESTAMPNTZ), _to_timestamp),
    _T.DECIMAL: _to_decimal,
    _T.DATE: _to_date,
    _T.BOOLEAN: _to_boolean,
}
_KINDS: dict[Rule, Kind] = {
    _to_integer: Kind.INTEGER,
    _to_text: Kind.TEXT,
    _to_double: Kind.DOUBLE,
    _to_timestamp: Kind.TIMESTAMP,
    _to_decimal: Kind.DECIMAL,
    _to_date: Kind.DATE,
    _to_boolean: Kind.BOOLEAN,
}
_NULLS: dict[Rule, str] = {rule: str(kind) for rule, kind in _KINDS.items()} | {
    _to_integer: "BIGINT",
    _to_decimal: f"DECIMAL({MAX_DIGITS}, 0)",
}
