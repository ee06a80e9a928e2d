"""Pairs that may belong together under a fit, each with how far it is from doing so. For samples and questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from webapp.inference.columns import Columns
from webapp.inference.fitting import Fit, amount_gap, day_gap, holds
from webapp.inference.links import joined
from webapp.inference.model import Rule
from webapp.inference.support import similarity

_MOST = 20_000
_WIDER = 2  # times the usual days, where pairs are looked for that may be too late
_NONE = Decimal(-1)


@dataclass(frozen=True)
class Candidate:
    """Two rows with the same key or amount.

    ``gap`` is between the amounts (-1 where one is missing or none are compared), ``days`` between the dates, ``alike``
    how alike the texts are (1 where none are compared); ``is_inside`` when every condition holds; ``is_single`` when
    neither row is in another candidate that is inside; ``is_form`` when the key is written differently.
    """

    left: int
    right: int
    gap: Decimal
    days: Decimal
    alike: float
    is_inside: bool
    is_single: bool
    is_form: bool


def candidates(fitted: Fit, sides: tuple[Columns, Columns]) -> list[Candidate]:
    """Every candidate among the rows of two sides, in row order, up to a bound."""
    pairs = joined(fitted.key, *sides, most=_MOST) if fitted.key else _same_amount(fitted, sides)
    rules = [rule for rule in fitted.conditions if not (fitted.key and rule.is_key)]  # a key holds where it joins
    inside = [pair for pair in pairs if all(holds(rule, sides, *pair) for rule in rules)]
    counts = Counter(left for left, _ in inside), Counter(right for _, right in inside)
    known = set(inside)
    found = []
    for left, right in pairs:
        is_single = counts[0][left] <= 1 and counts[1][right] <= 1
        found.append(_candidate(fitted, sides, left, right, (left, right) in known, is_single))
    return found


def _same_amount(fitted: Fit, sides: tuple[Columns, Columns]) -> list[tuple[int, int]]:
    """Rows of equal amount whose dates lie not much further apart than usual."""
    if fitted.amount is None:
        return []
    amount, dates = fitted.amount, _rule(fitted, "date_within")
    places: dict[Decimal, list[int]] = {}
    for at, value in enumerate(sides[1].numbers(amount.right_col)):
        if value is not None:
            places.setdefault(-value if amount.negated else value, []).append(at)
    pairs: list[tuple[int, int]] = []
    for at, value in enumerate(sides[0].numbers(amount.left_col)):
        for other in places.get(value, ()) if value is not None else ():
            days = day_gap(dates, sides, at, other) if dates is not None else None
            if days is None or dates is None or days <= _WIDER * Decimal(dates.threshold or "0"):
                pairs.append((at, other))
        if len(pairs) > _MOST:
            break
    return pairs


def _rule(fitted: Fit, op: str) -> Rule | None:
    return next((rule for rule in (*fitted.conditions, *fitted.closest) if rule.op == op), None)


def _candidate(
    fitted: Fit, sides: tuple[Columns, Columns], left: int, right: int, is_inside: bool, is_single: bool
) -> Candidate:
    amounts, dates, texts = fitted.amount_rule, _rule(fitted, "date_within"), _rule(fitted, "similarity")
    gap = amount_gap(amounts, sides, left, right) if amounts is not None else None
    days = day_gap(dates, sides, left, right) if dates is not None else None
    alike = 1.0
    if texts is not None:
        one = sides[0].table.column(texts.left_col)[left], sides[1].table.column(texts.right_col)[right]
        alike = similarity(*one)
    return Candidate(
        left,
        right,
        _NONE if gap is None else gap,
        _NONE if days is None else days,
        alike,
        is_inside,
        is_single,
        _is_form(fitted, sides, left, right),
    )


def _is_form(fitted: Fit, sides: tuple[Columns, Columns], left: int, right: int) -> bool:
    return any(
        sides[0].table.column(link.left_col)[left] != sides[1].table.column(link.right_col)[right]
        for link in fitted.key
    )


def spread(found: Sequence[Candidate], number: int) -> list[Candidate]:
    """So many of them, evenly from first to last."""
    if number <= 0 or not found:
        return []
    if len(found) <= number:
        return list(found)
    return [found[at * len(found) // number] for at in range(number)]
