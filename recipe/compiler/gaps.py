"""How far apart the values of a condition are when it fails: a number, or days."""

from __future__ import annotations

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.plan import GapUnit
from recipe.compiler.typed import call, cast, grouped

_COMPARISONS = (exp.EQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ)
_BY_NUMBER = ("TOLERANCE_MATCH", "PERCENT_MATCH")
_BY_DAYS = ("DATE_WITHIN",)

Gap = tuple[exp.Expression | None, GapUnit]
_NO_GAP: Gap = (None, GapUnit.NONE)


def gap_of(tree: exp.Expression) -> Gap:
    """The distance that a lowered condition compares; none where distance has no meaning."""
    tree = _bare(tree)
    if isinstance(tree, exp.Anonymous) and len(tree.expressions) >= 2:
        return _of_function(tree)
    if isinstance(tree, _COMPARISONS):
        return _of_comparison(_bare(tree.this), _bare(tree.expression))
    if isinstance(tree, exp.Between):
        return _of_range(_bare(tree.this), _bare(tree.args["low"]), _bare(tree.args["high"]))
    return _NO_GAP


def _of_function(tree: exp.Anonymous) -> Gap:
    a, b = tree.expressions[:2]
    if tree.name in _BY_NUMBER:
        return _distance(a, b), GapUnit.NUMBER
    if tree.name in _BY_DAYS:
        return _distance(_day(a), _day(b)), GapUnit.DAYS
    return _NO_GAP


def _of_comparison(a: exp.Expression, b: exp.Expression) -> Gap:
    """A distance against a limit (ABS(x - y) <= 5) is that distance; else the difference of both sides."""
    for value, limit in ((a, b), (b, a)):
        if _constant(limit) and (found := _absolute(value)) is not None:
            return found.copy(), GapUnit.DAYS if _is_days(_bare(found.this)) else GapUnit.NUMBER
    kinds = {_kind(a), _kind(b)}
    if _is_days(a) and _constant(b):
        return exp.Abs(this=a.copy()), GapUnit.DAYS
    if all(k.is_number for k in kinds):
        return _distance(_exact(a), _exact(b)), GapUnit.DAYS if _is_days(a) or _is_days(b) else GapUnit.NUMBER
    if all(k.is_time for k in kinds):
        return _distance(_day(a), _day(b)), GapUnit.DAYS
    return _NO_GAP


def _of_range(value: exp.Expression, low: exp.Expression, high: exp.Expression) -> Gap:
    """The distance to the nearer bound; 0 inside."""
    kinds = {_kind(part) for part in (value, low, high)}
    if all(k.is_number for k in kinds):
        unit = GapUnit.DAYS if _is_days(value) else GapUnit.NUMBER
        parts = [_exact(part) for part in (value, low, high)]
    elif all(k.is_time for k in kinds):
        unit = GapUnit.DAYS
        parts = [_day(part) for part in (value, low, high)]
    else:
        return _NO_GAP
    at, least, most = parts
    below = exp.If(this=exp.LT(this=grouped(at.copy()), expression=grouped(least.copy())), true=_minus(least, at))
    above = exp.If(this=exp.GT(this=grouped(at.copy()), expression=grouped(most.copy())), true=_minus(at, most))
    within = exp.Between(this=grouped(at.copy()), low=grouped(least.copy()), high=grouped(most.copy()))
    inside = exp.If(this=within, true=exp.Literal.number(0))
    return exp.Case(ifs=[below, above, inside]), unit


def _absolute(tree: exp.Expression) -> exp.Expression | None:
    """ABS(x - y), by itself or as the dividend of a relative difference."""
    tree = _bare(tree)
    if isinstance(tree, exp.Abs) and isinstance(_bare(tree.this), exp.Sub):
        return tree
    if isinstance(tree, exp.Anonymous) and tree.name == "KALLA_DIVIDE":
        return _absolute(tree.expressions[0])
    return _absolute(tree.this) if isinstance(tree, exp.Div) else None


def _is_days(tree: exp.Expression) -> bool:
    return isinstance(tree, exp.Sub) and _kind(_bare(tree.this)).is_time and _kind(_bare(tree.expression)).is_time


def _distance(a: exp.Expression, b: exp.Expression) -> exp.Expression:
    return exp.Abs(this=_minus(a, b))


def _minus(a: exp.Expression, b: exp.Expression) -> exp.Expression:
    return exp.Sub(this=grouped(a.copy()), expression=grouped(b.copy()))


def _exact(tree: exp.Expression) -> exp.Expression:
    return call("KALLA_EXACT", tree.copy()) if _kind(tree) == Kind.DOUBLE else tree


def _day(tree: exp.Expression) -> exp.Expression:
    return tree if _kind(tree) == Kind.DATE else cast(tree.copy(), "DATE")


def _constant(tree: exp.Expression) -> bool:
    return tree.find(exp.Column) is None


def _kind(tree: exp.Expression) -> Kind:
    kind = tree.meta.get("kind")
    return kind if isinstance(kind, Kind) else Kind.UNKNOWN


def _bare(tree: exp.Expression) -> exp.Expression:
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return tree
