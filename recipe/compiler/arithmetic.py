"""Rules for + - * / % and unary minus: exact numbers, whole days, never binary floats by accident."""

from __future__ import annotations

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.casts import as_date, as_exact, as_integer, as_number, as_time, mismatch, narrow, one_width, wide
from recipe.compiler.intervals import add_interval
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import INTEGER_DIVISION
from recipe.compiler.typed import (
    DERIVED_SCALE,
    MAX_DIGITS,
    Typed,
    call,
    cast,
    grouped,
    integer,
    merged,
    number_literal,
)

# A product keeps at most this many fractional digits; factors with more are rounded to DERIVED_SCALE before.
_MOST_SCALE = 24
_SHORT_DIGITS = 18


def lower_add_sub(node: exp.Expression, low: Lowering) -> Typed:
    interval = node.expression if isinstance(node.expression, exp.Interval) else None
    if interval is not None:
        moment = as_time(low.shared, low.lower(node.this), node.this, Kind.TIMESTAMP)
        return add_interval(low, moment, interval, type(node))
    if isinstance(node.this, exp.Interval) and isinstance(node, exp.Add):
        moment = as_time(low.shared, low.lower(node.expression), node.expression, Kind.TIMESTAMP)
        return add_interval(low, moment, node.this, exp.Add)
    left, right = low.lower(node.this), low.lower(node.expression)
    if left.kind.is_time or right.kind.is_time:
        return _days(node, left, right, low)
    return _sum(node, left, right, low)


def _sum(node: exp.Expression, left: Typed, right: Typed, low: Lowering) -> Typed:
    a, b = _exact_pair(node, left, right, low)
    if a.kind == b.kind == Kind.INTEGER:
        return merged(_binary(node, *_wide_pair(a, b)), Kind.INTEGER, [a, b], 0)
    return merged(_binary(node, a, b), _kind(a, b), [a, b], max(_scale(a), _scale(b)))


def _days(node: exp.Expression, left: Typed, right: Typed, low: Lowering) -> Typed:
    """date - date gives days; date + n and date - n give dates, as in PostgreSQL."""
    minus = isinstance(node, exp.Sub)
    if minus and left.kind.is_time and (right.kind.is_time or right.kind == Kind.TEXT):
        return _difference(node, left, right, low)
    if minus and right.kind.is_time and left.kind == Kind.TEXT:
        return _difference(node, left, right, low)
    moment, number = (left, right) if left.kind.is_time else (right, left)
    number_at = node.expression if left.kind.is_time else node.this
    if moment.kind != Kind.DATE or (minus and right.kind.is_time) or number.kind.is_time:
        message = "only date - date, date + days and timestamp + INTERVAL '...' can be computed"
        return mismatch(low.shared, f"{message}: {low.shared.findings.text_of(node)}", node)
    if number.kind in (Kind.DECIMAL, Kind.DOUBLE):
        return mismatch(low.shared, "a date plus or minus days needs a whole number of days", number_at)
    days = as_integer(low.shared, number, number_at, "INT")
    return merged(_binary(node, moment, days), Kind.DATE, [moment, days])


def _difference(node: exp.Expression, left: Typed, right: Typed, low: Lowering) -> Typed:
    clocks = [v for v in (left, right) if v.kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ)]
    if clocks:
        message = "the difference of timestamps is not supported: CAST both AS DATE for days, or use INTERVAL"
        return mismatch(low.shared, message, node)
    a = as_date(low.shared, left, node.this)
    b = as_date(low.shared, right, node.expression)
    return merged(_binary(node, a, b), Kind.INTEGER, [a, b], 0)


def lower_mul(node: exp.Expression, low: Lowering) -> Typed:
    a, b = _exact_pair(node, low.lower(node.this), low.lower(node.expression), low)
    if a.kind == b.kind == Kind.INTEGER:
        return merged(_binary(node, *_wide_pair(a, b)), Kind.INTEGER, [a, b], 0)
    if _scale(a) + _scale(b) > _MOST_SCALE:
        a, b = narrow(a), narrow(b)
    scale = _scale(a) + _scale(b)
    return merged(_binary(node, *_roomy(a, b)), _kind(a, b), [a, b], scale)


def lower_div(node: exp.Expression, low: Lowering) -> Typed:
    """integer / integer truncates as in PostgreSQL; by zero gives NULL, so that the row stays, unmatched."""
    shared = low.shared
    left = as_number(shared, low.lower(node.this), node.this)
    right = as_number(shared, low.lower(node.expression), node.expression)
    if left.kind == right.kind == Kind.INTEGER:
        message = f"{shared.findings.text_of(node)} divides integers and drops the rest; write 1.0 * to keep it"
        shared.findings.warn(INTEGER_DIVISION, message, node)
        left, right = wide(left), wide(right)
        tree: exp.Expression = exp.IntDiv(this=grouped(left.tree), expression=_not_zero(right))
        return merged(tree, Kind.INTEGER, [left, right], 0)
    if left.kind == right.kind == Kind.DOUBLE:
        tree = exp.Div(this=grouped(left.tree), expression=_not_zero(right), typed=False, safe=False)
        return merged(tree, Kind.DOUBLE, [left, right])
    a = narrow(as_exact(shared, left, node.this))
    b = narrow(as_exact(shared, right, node.expression))
    return merged(call("KALLA_DIVIDE", a.tree, b.tree), _kind(a, b), [a, b], DERIVED_SCALE)


def lower_mod(node: exp.Expression, low: Lowering) -> Typed:
    """The rest of a division, with the sign of the dividend; NULL by zero."""
    pair = _exact_pair(node, low.lower(_plain(node.this)), low.lower(_plain(node.expression)), low)
    a, b = one_width([wide(number) for number in pair])
    tree = exp.Mod(this=grouped(a.tree), expression=_not_zero(b))
    kind = Kind.INTEGER if a.kind == b.kind == Kind.INTEGER else _kind(a, b)
    return merged(tree, kind, [a, b], max(_scale(a), _scale(b)))


def lower_neg(node: exp.Expression, low: Lowering) -> Typed:
    if isinstance(node.this, exp.Literal) and not node.this.is_string:
        number = number_literal("-" + node.this.name)
        return number if number is not None else low.lower(node.this)
    inner = wide(as_number(low.shared, low.lower(node.this), node.this))
    return inner.with_tree(exp.Neg(this=grouped(inner.tree)), scale=inner.scale)


def _exact_pair(node: exp.Expression, left: Typed, right: Typed, low: Lowering) -> tuple[Typed, Typed]:
    return as_exact(low.shared, left, node.this), as_exact(low.shared, right, node.expression)


def _binary(node: exp.Expression, left: Typed, right: Typed) -> exp.Expression:
    return type(node)(this=grouped(left.tree), expression=grouped(right.tree))


def _kind(a: Typed, b: Typed) -> Kind:
    return Kind.UNKNOWN if a.unknown or b.unknown else Kind.DECIMAL


def _scale(value: Typed) -> int:
    return value.scale if value.scale is not None else DERIVED_SCALE


def _wide_pair(a: Typed, b: Typed) -> tuple[Typed, Typed]:
    """Two integers of which at least one has 64 bits, and so the result has."""
    a, b = wide(a), wide(b)
    if isinstance(a.tree, exp.Literal) and isinstance(b.tree, exp.Literal):
        return a.with_tree(cast(a.tree, "BIGINT"), scale=0), b
    return a, b


def _roomy(a: Typed, b: Typed) -> tuple[Typed, Typed]:
    """Factors whose product cannot overflow early: engines keep short decimals within 18 digits."""
    digits = [_digits(value) for value in (a, b)]
    if MAX_DIGITS in digits or sum(digits) <= _SHORT_DIGITS or Kind.UNKNOWN in (a.kind, b.kind):
        return a, b
    return (_widened(a), b) if a.kind == Kind.DECIMAL else (a, _widened(b))


def _widened(value: Typed) -> Typed:
    return value.with_tree(cast(value.tree, f"DECIMAL({MAX_DIGITS}, {_scale(value)})"), scale=_scale(value))


def _digits(value: Typed) -> int:
    """How many digits a value can have, as far as its tree says."""
    tree = value.tree
    if isinstance(tree, exp.Literal):
        return len(tree.name.replace(".", ""))
    if isinstance(tree, exp.Anonymous) and tree.name.startswith("KALLA_"):
        return MAX_DIGITS
    precision = tree.meta.get("precision")
    return precision if isinstance(precision, int) else MAX_DIGITS - 1


def _not_zero(value: Typed) -> exp.Expression:
    """A divisor, NULL instead of zero: engines differ in what they do with zero."""
    if isinstance(value.tree, exp.Literal) and value.tree.name.strip("0."):
        return value.tree
    return exp.Nullif(this=value.tree, expression=integer(0).tree)


def _plain(node: exp.Expression) -> exp.Expression:
    return node.this if isinstance(node, exp.Paren) else node
