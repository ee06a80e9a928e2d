"""How many records find a partner at each tolerance: the slider's curve, counted by running the statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from webapp.inference.columns import Analysis
from webapp.inference.engine import Bench, TooManyPairs
from webapp.inference.fitting import amount_gap
from webapp.inference.gaps import Limit, plain
from webapp.inference.model import Curve, Point, Rule
from webapp.inference.sentences import with_sentence
from webapp.inference.statements import Statement, match_sql
from webapp.inference.support import RowPair

_AMOUNTS = ("0", "0.01", "0.02", "0.05", "0.1", "0.5", "1", "5", "10", "50", "100")
_PERCENTS = ("0", "0.5", "1", "1.5", "2", "3", "5", "10")
_RANKED = 6  # points of a statement that has to be run for each of them


def curve_of(statement: Statement, analysis: Analysis, opened: Bench, limit: Limit | None) -> Curve | None:
    """The curve over the amounts' limit; None where the rule has none, or no key, or it cannot be counted."""
    rule = next((one for one in statement.rules if one.op in ("tolerance", "percent")), None)
    if rule is None or not any(one.is_key for one in statement.rules):
        return None  # without a key every record would be compared with every other
    marks = _marks(rule, limit)
    try:
        points = (
            _ranked(statement, rule, marks, analysis, opened)
            if _must_run(statement)
            else _counted(statement, rule, marks, analysis, opened)
        )
    except TooManyPairs:
        return None
    unit = "percent" if rule.op == "percent" else "amount"
    label = f"Largest difference between {rule.left_col} and {rule.right_col}"
    return Curve(label, unit, rule.threshold or "0", points)


def _must_run(statement: Statement) -> bool:
    return statement.one_to_one


def _marks(rule: Rule, limit: Limit | None) -> list[str]:
    """Round values, the limit itself, and the next difference that it leaves out; ascending."""
    extra = {rule.threshold or "0"}
    if limit is not None:
        extra |= {plain(limit.threshold)} | (
            {plain(limit.beyond)} if limit.beyond is not None and limit.beyond.is_finite() else set()
        )
    marks = {Decimal(text) for text in (*(_PERCENTS if rule.op == "percent" else _AMOUNTS), *extra)}
    return [plain(mark) for mark in sorted(marks)]


def _counted(
    statement: Statement, rule: Rule, marks: Sequence[str], analysis: Analysis, opened: Bench
) -> tuple[Point, ...]:
    """Pairs of all other rules are found once; the gap of each says from which limit on it counts."""
    others = tuple(one for one in statement.rules if one is not rule)
    pairs = opened.pairs(match_sql(replace(statement, rules=others), analysis.sides))
    gaps = [(amount_gap(rule, analysis.sides, *pair), pair) for pair in pairs]
    return tuple(
        _point(mark, [pair for gap, pair in gaps if gap is not None and gap <= Decimal(mark)]) for mark in marks
    )


def _ranked(
    statement: Statement, rule: Rule, marks: Sequence[str], analysis: Analysis, opened: Bench
) -> tuple[Point, ...]:
    points = []
    for mark in (
        marks[:_RANKED] if rule.threshold in marks[:_RANKED] else [*marks[: _RANKED - 1], rule.threshold or "0"]
    ):
        changed = with_sentence(replace(rule, threshold=mark))
        rules = tuple(changed if one is rule else one for one in statement.rules)
        pairs = opened.pairs(match_sql(replace(statement, rules=rules), analysis.sides))
        points.append(_point(mark, pairs))
    return tuple(points)


def _point(mark: str, pairs: Sequence[RowPair]) -> Point:
    return Point(mark, len({left for left, _ in pairs}), len({right for _, right in pairs}))
