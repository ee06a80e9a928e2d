"""Limits found from differences: the smallest that covers what was confirmed, grown as far as its kind reaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

CENTS = Decimal("0.05")  # differences up to this are of one kind: rounding
_POINT = Decimal("0.01")
_SILENT_DAYS = 12


@dataclass(frozen=True)
class Limit:
    """A threshold, what it had to cover, and the next difference that it leaves out (None: there is none)."""

    threshold: Decimal
    covered: Decimal
    beyond: Decimal | None


def fitted(
    gaps: Iterable[Decimal], confirmed: Iterable[Decimal], rejected: Iterable[Decimal], *, small: Decimal = CENTS
) -> Limit:
    """The limit of differences that belong together.

    It covers every confirmed difference, then every further one that is at most twice the one before (or ``small``),
    and stops below the first rejected difference above the confirmed ones.
    """
    covered = max(confirmed, default=Decimal(0))
    stop = min((gap for gap in rejected if gap > covered), default=None)
    at, beyond = covered, None
    for gap in sorted(set(gaps)):
        if gap <= at:
            continue
        if gap > max(2 * at, small) or (stop is not None and gap >= stop):
            beyond = gap
            break
        at = gap
    return Limit(at, covered, beyond)


def is_proportional(amounts: Sequence[tuple[Decimal, Decimal]]) -> bool:
    """Whether differences grow with the amounts, as fees do, instead of being a few cents whatever the amount."""
    pairs = [(abs(a), abs(a - b)) for a, b in amounts if a and a != b and abs(a - b) * 10 <= abs(a)]
    if len(pairs) * 2 < len(amounts) or len(pairs) < 3:
        return False
    ratios = sorted(gap / amount for amount, gap in pairs)
    gaps = sorted(gap for _, gap in pairs)
    return _spread(ratios) * 2 < _spread(gaps)


def _spread(found: Sequence[Decimal]) -> Decimal:
    low, high = found[len(found) // 10], found[len(found) * 9 // 10]
    return high / low if low else Decimal("Infinity")


def percent_gap(one: Decimal, other: Decimal) -> Decimal:
    """The difference in per cent of the first, rounded up to a hundredth so that ``percent_match`` covers it."""
    if not one:
        return Decimal(0) if not other else Decimal("Infinity")
    return (abs(one - other) * 100 / abs(one)).quantize(_POINT, ROUND_CEILING)


def usual_days(lags: Sequence[int], others: Sequence[int]) -> int | None:
    """How many days apart partners usually lie: up to where no more of them are found than at random.

    Args:
        lags: days between likely partners; some of them met by chance.
        others: days between records put together at random.
    """
    if not lags:
        return None
    found, chance = Counter(lags), Counter(others)
    last = 0
    for width in (1, 3):  # days looked at together: single ones show an edge, three show what is spread thinly
        for start in range(0, max(lags) + 1, width):
            here = sum(found[day] for day in range(start, start + width))
            by_chance = sum(chance[day] for day in range(start, start + width)) / max(1, len(others)) * len(lags)
            if here > 2 * by_chance + max(1.0, 0.004 * len(lags)):
                last = max(last, *(day for day in range(start, start + width) if found[day]))
            elif start - last > _SILENT_DAYS:
                break
    return last


def separating(alike: Sequence[float], others: Sequence[float]) -> float | None:
    """The similarity that most partners reach and few records put together at random do; None where none is."""
    best: tuple[float, float] | None = None
    for tenths in range(3, 10):
        level = tenths / 10 - 0.05
        kept = sum(one >= level for one in alike) / max(1, len(alike))
        wrong = sum(one >= level for one in others) / max(1, len(others))
        if kept >= 0.8 and wrong <= 0.1 and (best is None or kept - 2 * wrong > best[0] + 0.005):
            best = kept - 2 * wrong, level
    return None if best is None else round(best[1], 2)


def plain(value: Decimal) -> str:
    """A limit as a literal.

    >>> plain(Decimal("0.020")), plain(Decimal("1E+2"))
    ('0.02', '100')
    """
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
