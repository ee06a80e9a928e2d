"""INTERVAL, EXTRACT and DATE_TRUNC: the calendar, in units that every engine counts alike."""

from __future__ import annotations

import re

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.casts import as_time, as_timestamp, utc
from recipe.compiler.lowering import Lowering
from recipe.compiler.report import UNSUPPORTED, WRONG_ARGUMENTS
from recipe.compiler.typed import DERIVED_SCALE, Typed, call, cast, grouped, integer, text

# Each unit in the three that calendars need; PostgreSQL applies months, then days, then seconds.
_UNITS = {
    "YEAR": ("MONTH", 12),
    "MONTH": ("MONTH", 1),
    "WEEK": ("DAY", 7),
    "DAY": ("DAY", 1),
    "HOUR": ("SECOND", 3600),
    "MINUTE": ("SECOND", 60),
    "SECOND": ("SECOND", 1),
}
_SHORT = {
    "Y": "YEAR",
    "MON": "MONTH",
    "W": "WEEK",
    "D": "DAY",
    "H": "HOUR",
    "MIN": "MINUTE",
    "SEC": "SECOND",
    "S": "SECOND",
}
_AMOUNT = re.compile(r"\s*([+-]?\d+)\s*([A-Za-z]+)\s*")
_FIELDS = (
    "YEAR",
    "ISOYEAR",
    "QUARTER",
    "MONTH",
    "WEEK",
    "DAY",
    "DOW",
    "ISODOW",
    "DOY",
    "HOUR",
    "MINUTE",
    "SECOND",
)
_CLOCK = ("HOUR", "MINUTE", "SECOND")
_TRUNCATES = ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")


def add_interval(low: Lowering, moment: Typed, interval: exp.Interval, sign: type[exp.Expression]) -> Typed:
    """A date or timestamp moved by an interval: a timestamp, as in PostgreSQL."""
    steps = _steps(low, interval)
    if steps is None or moment.unknown:
        return moment.with_tree(moment.tree, Kind.TIMESTAMP if not moment.unknown else Kind.UNKNOWN)
    tree = grouped(utc(moment).tree)
    for amount, unit in steps:
        step = exp.Interval(this=text(str(amount)), unit=exp.Var(this=unit))
        tree = sign(this=tree, expression=step)
    return moment.with_tree(cast(tree, "TIMESTAMP"), Kind.TIMESTAMP)


def _steps(low: Lowering, interval: exp.Interval) -> list[tuple[int, str]] | None:
    amount, unit = interval.this, interval.args.get("unit")
    written = amount.name if isinstance(amount, exp.Literal) else ""
    if unit is not None:
        written = f"{written} {unit.name}"
    steps = {"MONTH": 0, "DAY": 0, "SECOND": 0}
    at = 0
    while (found := _AMOUNT.match(written, at)) is not None:
        name = found[2].upper()
        name = _SHORT.get(name, name.removesuffix("S"))
        if name not in _UNITS:
            break
        unit_name, times = _UNITS[name]
        steps[unit_name] += int(found[1]) * times
        at = found.end()
    if at != len(written) or at == 0:
        units = ", ".join(u.lower() for u in _UNITS)
        message = f"INTERVAL {written!r} is not understood: write whole numbers of {units}"
        low.problem(WRONG_ARGUMENTS, message, interval)
        return None
    return [(count, name) for name, count in steps.items() if count] or [(0, "DAY")]


def lower_lone_interval(node: exp.Expression, low: Lowering) -> Typed:
    return low.problem(UNSUPPORTED, "INTERVAL can only be added to or taken from a date or timestamp", node)


def lower_extract(node: exp.Expression, low: Lowering) -> Typed:
    field = node.this.name.upper()
    # A text keeps its clock only where the clock is asked for: a plain date is then still a date.
    target = Kind.TIMESTAMP if field in _CLOCK else Kind.DATE
    moment = utc(as_time(low.shared, low.lower(node.expression), node.expression, target))
    if field not in _FIELDS:
        message = f"EXTRACT knows {', '.join(_FIELDS)}; not {field}"
        return low.problem(WRONG_ARGUMENTS, message, node)
    if field == "SECOND":  # with its fraction, which engines would drop
        micro = exp.Extract(this=exp.Var(this="MICROSECONDS"), expression=moment.tree)
        tree = call("KALLA_DIVIDE", micro, integer(1_000_000).tree)
        return moment.with_tree(tree, Kind.DECIMAL, DERIVED_SCALE)
    return moment.with_tree(exp.Extract(this=exp.Var(this=field), expression=moment.tree), Kind.INTEGER, 0)


def lower_date_trunc(node: exp.Expression, low: Lowering) -> Typed:
    unit = node.args["unit"].name.upper() if node.args.get("unit") is not None else ""
    moment = as_timestamp(low.shared, low.lower(node.this), node.this)
    if unit not in _TRUNCATES or node.args.get("zone") is not None:
        return low.problem(WRONG_ARGUMENTS, f"DATE_TRUNC knows {', '.join(_TRUNCATES)}; not {unit or 'this'}", node)
    tree = exp.TimestampTrunc(this=moment.tree, unit=exp.Var(this=unit))
    return moment.with_tree(cast(tree, "TIMESTAMP"), Kind.TIMESTAMP)
