"""Whether pairs of records agree in what they hold, more than records put together at random."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cpdist

from webapp.inference.columns import Columns
from webapp.inference.model import Link
from webapp.inference.values import days_apart

NEAR_DAYS = 31
_LOOK = 300
_FEW = 4  # columns of a kind that are tried on each side
RowPair = tuple[int, int]


@dataclass(frozen=True)
class Companion:
    """Two columns that agree where a key joins records: share of pairs that are near, and of random pairs."""

    left_col: str
    right_col: str
    kind: str  # amount | date | text
    near: float
    by_chance: float
    negated: bool = False

    @property
    def lift(self) -> float:
        return self.near - self.by_chance


def agreement(
    pairs: Sequence[RowPair],
    left: Columns,
    right: Columns,
    links: Iterable[Link],
    chance: Sequence[RowPair] | None = None,
) -> float | None:
    """The best lift of any two columns beside the links; None where no two can be compared or no pair is there.
    ``chance`` are pairs to compare with, in place of the same records put together at random."""
    found = companions(pairs, left, right, links, chance)
    return max((companion.lift for companion in found), default=None)


def companions(
    pairs: Sequence[RowPair],
    left: Columns,
    right: Columns,
    links: Iterable[Link] = (),
    chance: Sequence[RowPair] | None = None,
) -> list[Companion]:
    """Every two columns of one kind with how well they agree over the pairs, best first within a kind."""
    some = _some(pairs)
    if not some:
        return []
    others = _some(chance) if chance else shuffled(some)
    used = {(link.left_col, link.right_col) for link in links}
    found = [_amounts(one, other, left, right, some, others) for one in left.amounts for other in right.amounts]
    found += [_dates(one, other, left, right, some, others) for one in left.dates for other in right.dates]
    found += [
        _texts(one, other, left, right, some, others)
        for one in _compared_texts(left)
        for other in _compared_texts(right)
        if (one, other) not in used
    ]
    return sorted((c for c in found if c is not None), key=lambda c: (c.kind, -c.lift, c.left_col, c.right_col))


def _some(pairs: Sequence[RowPair]) -> list[RowPair]:
    return list(pairs[:: max(1, len(pairs) // _LOOK)])[:_LOOK]


def _compared_texts(side: Columns) -> list[str]:
    names = [name for name in side.texts if not side.profile.column(name).is_code]
    codes = [name for name in side.texts if side.profile.column(name).is_code]
    return [*names[: _FEW + 2], *codes[:_FEW]]


def shuffled(pairs: Sequence[RowPair]) -> list[RowPair]:
    """The left rows with right rows of other pairs, from different places so that near ones do not meet."""
    shift = max(1, len(pairs) * 3 // 8)
    return [(pairs[at][0], pairs[(at + shift) % len(pairs)][1]) for at in range(len(pairs))]


def _amounts(
    one: str, other: str, left: Columns, right: Columns, pairs: Sequence[RowPair], others: Sequence[RowPair]
) -> Companion | None:
    lefts, rights = left.numbers(one), right.numbers(other)
    straight = [_share(near_amounts(lefts[a], rights[b]) for a, b in some) for some in (pairs, others)]
    turned = [_share(near_amounts(lefts[a], _minus(rights[b])) for a, b in some) for some in (pairs, others)]
    if straight[0] is None and turned[0] is None:
        return None
    negated = (turned[0] or 0) > (straight[0] or 0) + 0.1
    near, chance = turned if negated else straight
    return Companion(one, other, "amount", near or 0.0, chance or 0.0, negated)


def _minus(one: Decimal | None) -> Decimal | None:
    return None if one is None else -one


def near_amounts(one: Decimal | None, other: Decimal | None) -> bool | None:
    """Within 5 % of the first (0.05 where that is 0), as contract 4.2 says; None where one is missing."""
    if one is None or other is None:
        return None
    return abs(one - other) <= (abs(one) * 5 / 100 if one else Decimal("0.05"))


def _dates(
    one: str, other: str, left: Columns, right: Columns, pairs: Sequence[RowPair], others: Sequence[RowPair]
) -> Companion | None:
    lefts, rights = left.days(one), right.days(other)

    def near(a: int, b: int) -> bool | None:
        first, second = lefts[a], rights[b]
        return None if first is None or second is None else days_apart(first, second) <= NEAR_DAYS

    shares = [_share(near(a, b) for a, b in some) for some in (pairs, others)]
    return None if shares[0] is None else Companion(one, other, "date", shares[0], shares[1] or 0.0)


def _texts(
    one: str, other: str, left: Columns, right: Columns, pairs: Sequence[RowPair], others: Sequence[RowPair]
) -> Companion | None:
    lefts, rights = left.table.column(one), right.table.column(other)

    def alike(some: Sequence[RowPair]) -> float | None:
        found = similarities([(lefts[a], rights[b]) for a, b in some])
        return sum(found) / len(found) if found else None

    shares = [alike(pairs), alike(others)]
    return None if shares[0] is None else Companion(one, other, "text", shares[0], shares[1] or 0.0)


def similarity(one: str | None, other: str | None) -> float:
    """``text_similarity(UPPER(one), UPPER(other))`` of udfs as a float, for ranking; 0 where one is missing."""
    if one is None or other is None:
        return 0.0
    return float(Levenshtein.normalized_similarity(one.upper(), other.upper()))


def similarities(pairs: Iterable[tuple[str | None, str | None]]) -> list[float]:
    """``similarity`` of the pairs that have both texts."""
    both = [(one.upper(), other.upper()) for one, other in pairs if one is not None and other is not None]
    if not both:
        return []
    ones, others = zip(*both, strict=True)
    found: list[float] = cpdist(ones, others, scorer=Levenshtein.normalized_similarity, dtype=np.float64).tolist()
    return found


def _share(flags: Iterable[bool | None]) -> float | None:
    found = [flag for flag in flags if flag is not None]
    return sum(found) / len(found) if found else None
