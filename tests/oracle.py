"""What a reconciliation must give, in plain Python: loops over rows, nothing borrowed from the product.

A row is a dict from a column's role to its value (int, Decimal, float, str, bool, date or None). A rule says which
values must be equal (keys) and which checks two rows must pass. Row ids count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

Row = Mapping[str, Any]
Gap = Decimal | int | None


@dataclass(frozen=True)
class Key:
    """``left(l) = right(r)``; a None on either side equals nothing."""

    sql: str
    left: Callable[[Row], Any]
    right: Callable[[Row], Any]


@dataclass(frozen=True)
class Check:
    """One condition as evidence names it; ``written`` is how it stands in the statement, where that has parentheses.

    ``side`` is "l" or "r" where it asks about one side only; ``holds`` may say None for unknown."""

    sql: str
    holds: Callable[[Row, Row], bool | None]
    gap: Callable[[Row, Row], Gap] | None = None
    days: bool = False
    side: str | None = None
    written: str = ""


@dataclass(frozen=True)
class Rule:
    """``unreadable[side]`` tells rows with a text that the rule needs as a number or date and that is none."""

    keys: Sequence[Key]
    checks: Sequence[Check]
    primary_key: Mapping[str, Sequence[str]]
    unreadable: Mapping[str, Sequence[Callable[[Row], bool]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Why:
    """Why a row is in no pair. ``nearest`` is the candidate's primary key, cell by cell."""

    reason: str
    failed: str | None = None
    nearest: tuple[Any, ...] | None = None
    gap: Gap = None
    days: bool = False


@dataclass
class Truth:
    pairs: list[tuple[int, int]]
    unmatched: dict[str, dict[int, Why]]
    partners: dict[str, list[int]]

    def totals(self, side: str, rows: Sequence[Row], number: Callable[[Row], Decimal | None]) -> dict[str, Any]:
        """(sum, rows, empty) of one column over all rows, the matched and the unmatched."""
        found = {"source": [Decimal(0), 0, 0], "matched": [Decimal(0), 0, 0], "unmatched": [Decimal(0), 0, 0]}
        with localcontext() as context:
            context.prec = 80  # the default of 28 digits would round sums
            for i, row in enumerate(rows, 1):
                value = number(row)
                for which in ("source", "unmatched" if i in self.unmatched[side] else "matched"):
                    found[which][0] += value or 0
                    found[which][1] += 1
                    found[which][2] += value is None
        return {which: tuple(three) for which, three in found.items()}


def reconcile(rule: Rule, left: Sequence[Row], right: Sequence[Row]) -> Truth:
    """Compare every row with every other."""
    order = _reporting_order(rule)
    pairs: list[tuple[int, int]] = []
    near: dict[str, dict[int, list[tuple[Any, ...]]]] = {"l": {}, "r": {}}
    for i, a in enumerate(left, 1):
        for j, b in enumerate(right, 1):
            if not all(_equal(k.left(a), k.right(b)) for k in rule.keys):
                continue
            failed = [n for n, check in enumerate(order) if check.holds(a, b) is not True]
            if not failed:
                pairs.append((i, j))
                continue
            check = order[failed[0]]
            gap = None if check.gap is None else check.gap(a, b)
            rank = (len(failed), failed[0], gap is None, gap or 0)
            near["l"].setdefault(i, []).append((*rank, j, check, gap))
            near["r"].setdefault(j, []).append((*rank, i, check, gap))
    partners = {"l": [0] * (len(left) + 1), "r": [0] * (len(right) + 1)}
    for i, j in pairs:
        partners["l"][i] += 1
        partners["r"][j] += 1
    rows = {"l": left, "r": right}
    unmatched = {
        side: {
            n: _why(rule, side, row, near[side].get(n), rows["r" if side == "l" else "l"])
            for n, row in enumerate(rows[side], 1)
            if not partners[side][n]
        }
        for side in ("l", "r")
    }
    return Truth(pairs, unmatched, partners)


def _reporting_order(rule: Rule) -> list[Check]:
    """Conditions over both sides come first, then those of the left, then those of the right."""
    return [c for side in (None, "l", "r") for c in rule.checks if c.side == side]


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    if isinstance(a, float) and a != a:
        return isinstance(b, float) and b != b
    return bool(a == b)


def _why(rule: Rule, side: str, row: Row, near: list[tuple[Any, ...]] | None, others: Sequence[Row]) -> Why:
    if any(unreadable(row) for unreadable in rule.unreadable.get(side, ())):
        return Why("unparseable")
    if any((k.left if side == "l" else k.right)(row) is None for k in rule.keys):
        return Why("null_key")
    for check in rule.checks:
        if check.side == side and check.holds(row, row) is not True:
            return Why("excluded", check.sql)
    if not near:
        return Why("no_key" if rule.keys else "other_side_empty")
    best = min(near, key=lambda candidate: candidate[:5])
    other, check, gap = best[4:]
    key = tuple(others[other - 1][c] for c in rule.primary_key["r" if side == "l" else "l"])
    return Why("predicate", check.sql, key, gap, check.days)
