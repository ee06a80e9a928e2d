"""Rules for aggregates and windows: exact sums, exact averages, and windows whose answer does not depend
on chance.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.builtins import BUILTINS
from recipe.compiler.calls import counted, is_written_out
from recipe.compiler.casts import alike, as_boolean, as_exact, as_integer, as_text, narrow
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.typed import DERIVED_SCALE, MAX_DIGITS, Typed, call, cast, merged, text, unknown

Wrap = Callable[[exp.Expression], exp.Expression]

_RANKS: dict[type[exp.Expression], str] = {
    exp.RowNumber: "ROW_NUMBER",
    exp.Rank: "RANK",
    exp.DenseRank: "DENSE_RANK",
    exp.Lag: "LAG",
    exp.Lead: "LEAD",
}
_AGGREGATES: dict[type[exp.Expression], str] = {
    exp.Sum: "SUM",
    exp.Count: "COUNT",
    exp.Min: "MIN",
    exp.Max: "MAX",
    exp.Avg: "AVG",
    exp.GroupConcat: "STRING_AGG",
}
# Equal rows of these get an arbitrary order; RANK and running sums over RANGE must see them as equal.
_NEED_ORDER = (exp.RowNumber, exp.Lag, exp.Lead)
_BOUNDS = ("UNBOUNDED", "CURRENT ROW")

AGGREGATES = tuple(_AGGREGATES)
WINDOW_FUNCTIONS = tuple(_RANKS)


def lower_aggregate(node: exp.Expression, low: Lowering) -> Typed:
    return _aggregate(node, low, lambda tree: tree)


def lower_filter(node: exp.Expression, low: Lowering) -> Typed:
    if type(node.this) not in _AGGREGATES:
        return low.problem(UNSUPPORTED, "FILTER belongs to an aggregate", node)
    return _aggregate(node.this, low, _filtered(node, low))


def _filtered(node: exp.Expression, low: Lowering) -> Wrap:
    condition = node.expression.this
    test = as_boolean(low.shared, low.within(aggregate=True).lower(condition), condition, "FILTER")
    return lambda tree: exp.Filter(this=tree, expression=exp.Where(this=test.tree.copy()))


def _aggregate(node: exp.Expression, low: Lowering, wrap: Wrap, window: bool = False) -> Typed:
    """``wrap`` puts FILTER and OVER around each raw aggregate (AVG becomes two of them)."""
    name = _AGGREGATES[type(node)]
    if low.inside_aggregate:
        return low.problem(UNSUPPORTED, f"the aggregate {name} cannot stand inside another aggregate", node)
    if not low.aggregates and not window:
        hint = ": use HAVING" if low.clause == "WHERE" else ""
        return low.problem(UNSUPPORTED, f"the aggregate {name} cannot stand in {low.clause}{hint}", node)
    if isinstance(node, exp.GroupConcat):
        return _string_agg(node, low, wrap)
    argument, distinct = _argument(node, low)
    if argument is None:
        return unknown()
    # A window may be over aggregates (SUM(SUM(x)) OVER ...); an aggregate may not be over aggregates.
    inner = low if window else low.within(aggregate=True)
    if isinstance(node, exp.Count) and isinstance(argument, exp.Star):
        return Typed(wrap(exp.Count(this=exp.Star(), big_int=True)), Kind.INTEGER, 0)
    value = inner.lower(argument)
    return _build(node, argument, value, distinct, wrap, low)


def _argument(node: exp.Expression, low: Lowering) -> tuple[exp.Expression | None, bool]:
    parts = [node.this, *node.expressions]
    distinct = isinstance(node.this, exp.Distinct)
    if distinct:
        parts = [*node.this.expressions, *node.expressions]
    if not counted(BUILTINS[_AGGREGATES[type(node)]], parts, node, low):
        return None, False
    return parts[0], distinct


def _build(
    node: exp.Expression, argument: exp.Expression, value: Typed, distinct: bool, wrap: Wrap, low: Lowering
) -> Typed:
    def of(kind: type[exp.Expression], typed: Typed) -> exp.Expression:
        inner = exp.Distinct(expressions=[typed.tree.copy()]) if distinct else typed.tree.copy()
        return wrap(kind(this=inner))

    if isinstance(node, exp.Count):
        return value.with_tree(of(exp.Count, value), Kind.INTEGER, 0)
    if isinstance(node, (exp.Min, exp.Max)):
        return value.with_tree(of(type(node), value), scale=value.scale)
    # Doubles are summed exactly too: a sum of floats depends on the order in which workers see the rows.
    number = as_exact(low.shared, value, argument)
    if isinstance(node, exp.Sum):
        total = of(exp.Sum, number)
        if number.kind == Kind.INTEGER:
            total = cast(total, f"DECIMAL({MAX_DIGITS}, 0)")
        return number.with_tree(total, Kind.UNKNOWN if number.unknown else Kind.DECIMAL, number.scale)
    average = call(
        "KALLA_DIVIDE", narrow(number.with_tree(of(exp.Sum, number), scale=number.scale)).tree, of(exp.Count, number)
    )
    return number.with_tree(average, Kind.UNKNOWN if number.unknown else Kind.DECIMAL, DERIVED_SCALE)


def _string_agg(node: exp.Expression, low: Lowering, wrap: Wrap) -> Typed:
    """Ordered as asked and then by the text itself, so that the same rows give the same text."""
    inner = low.within(aggregate=True)
    order = node.this if isinstance(node.this, exp.Order) else None
    content = order.this if order is not None else node.this
    separator = node.args.get("separator")
    if isinstance(content, exp.Distinct) or separator is None or not is_written_out(separator):
        return low.problem(WRONG_ARGUMENTS, "STRING_AGG takes a text and a separator that is written out", node)
    value = as_text(low.shared, inner.lower(content))
    keys = [lower_ordered(o, inner) for o in order.expressions] if order is not None else []
    if not value.constant:
        keys.append(exp.Ordered(this=value.tree.copy(), nulls_first=False))
    ordered = exp.Order(this=value.tree, expressions=keys) if keys else value.tree
    tree = wrap(exp.GroupConcat(this=ordered, separator=text(separator.name)))
    return value.with_tree(tree)


def lower_ordered(node: exp.Expression, low: Lowering) -> exp.Expression:
    """One ORDER BY key. NULLs count as larger than any value, as in PostgreSQL, and this is written out."""
    value = low.lower(node.this)
    descending = bool(node.args.get("desc"))
    nulls_first = node.args.get("nulls_first")
    return exp.Ordered(
        this=value.tree, desc=descending, nulls_first=descending if nulls_first is None else bool(nulls_first)
    )


def lower_window(node: exp.Expression, low: Lowering) -> Typed:
    if not low.windows or low.inside_aggregate or low.inside_window:
        return low.problem(UNSUPPORTED, f"a window (OVER) cannot stand in {low.clause}: put it in a sub-query", node)
    if node.args.get("alias") is not None or node.args.get("over") != "OVER":
        return low.problem(UNSUPPORTED, "a named window is not supported: write the window in OVER (...)", node)
    inner = low.within(window=True)
    function = node.this
    filtered = function if isinstance(function, exp.Filter) else None
    core = filtered.this if filtered is not None else function
    over = _over(node, core, inner)
    if over is None:
        return unknown()
    if type(core) in _RANKS:
        if filtered is not None:
            return low.problem(UNSUPPORTED, "FILTER belongs to an aggregate", node)
        return _ranked(core, inner, over)
    if type(core) not in _AGGREGATES or isinstance(core, exp.GroupConcat):
        return low.problem(UNSUPPORTED, f"{low.shared.findings.text_of(core)} cannot be used with OVER", node)
    if filtered is None:
        return _aggregate(core, inner, over, window=True)
    with_filter = _filtered(filtered, inner)
    return _aggregate(core, inner, lambda tree: over(with_filter(tree)), window=True)


def lower_lone_rank(node: exp.Expression, low: Lowering) -> Typed:
    return low.problem(WRONG_ARGUMENTS, f"{_RANKS[type(node)]} needs OVER (...)", node)


def _over(node: exp.Expression, core: exp.Expression, low: Lowering) -> Wrap | None:
    partition = [low.lower(p).tree for p in node.args.get("partition_by") or []]
    order_node = node.args.get("order")
    keys = [lower_ordered(o, low) for o in order_node.expressions] if order_node is not None else []
    spec = node.args.get("spec")
    frame = _frame(spec, low) if spec is not None else None
    if spec is not None and frame is None:
        return None
    if isinstance(core, _NEED_ORDER) or (spec is not None and str(spec.args.get("kind")).upper() == "ROWS"):
        keys += [exp.Ordered(this=tree, nulls_first=False) for tree in low.tie_break()]
    order = exp.Order(expressions=keys) if keys else None

    def wrap(tree: exp.Expression) -> exp.Expression:
        return exp.Window(
            this=tree,
            partition_by=[p.copy() for p in partition],
            order=order.copy() if order is not None else None,
            spec=frame.copy() if frame is not None else None,
            over="OVER",
        )

    return wrap


def _frame(spec: exp.Expression, low: Lowering) -> exp.Expression | None:
    kind, start, end = str(spec.args.get("kind")).upper(), spec.args.get("start"), spec.args.get("end")
    if kind not in ("ROWS", "RANGE") or spec.args.get("exclude") is not None:
        low.problem(UNSUPPORTED, "a window frame is ROWS or RANGE BETWEEN ... AND ...", spec)
        return None
    bounds: dict[str, exp.Expression | str | None] = {"kind": kind}
    for place, bound in (("start", start), ("end", end)):
        plain = bound is None or (isinstance(bound, str) and bound.upper() in _BOUNDS)
        counted_rows = isinstance(bound, exp.Literal) and bound.name.isdigit() and kind == "ROWS"
        if not plain and not counted_rows:
            low.problem(UNSUPPORTED, "a frame bound is UNBOUNDED, CURRENT ROW or, for ROWS, a number", spec)
            return None
        bounds[place] = exp.Literal.number(bound.name) if isinstance(bound, exp.Literal) else bound
        bounds[f"{place}_side"] = spec.args.get(f"{place}_side")
    return exp.WindowSpec(**bounds)


def _ranked(core: exp.Expression, low: Lowering, over: Wrap) -> Typed:
    name = _RANKS[type(core)]
    parts = [core.args[k] for k in ("this", "offset", "default") if core.args.get(k) is not None]
    if isinstance(core, (exp.Rank, exp.DenseRank)):
        parts = list(core.expressions)
    if not counted(BUILTINS[name], parts, core, low):
        return unknown()
    if not isinstance(core, (exp.Lag, exp.Lead)):
        return Typed(over(type(core)()), Kind.INTEGER, 0)
    value = low.lower(core.this)
    offset = core.args.get("offset")
    if offset is not None and not (isinstance(offset, exp.Literal) and offset.name.isdigit()):
        return low.problem(WRONG_ARGUMENTS, f"{name} needs a whole number of rows, written out", core)
    default = core.args.get("default")
    values, places = [value], [core.this]
    if default is not None:
        places.append(default)
        values = alike(low.shared, [value, low.lower(default)], core, places)
    shift = as_integer(low.shared, low.lower(offset), offset).tree if offset is not None else None
    tree = type(core)(this=values[0].tree, offset=shift, default=values[1].tree if default is not None else None)
    return merged(over(tree), values[0].kind, values, values[0].scale)
