"""Where the two rows of a proposed pair agree and differ, column by column, for the card that asks about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from recipe import CsvFormat
from webapp.agent.session import Pair
from webapp.inference import Analysis
from webapp.inference.references import plain
from webapp.inference.values import cleaned_number, day

_FAR_DAYS = 60
_FAR_SHARE = Decimal("0.2")


def differences(analysis: Analysis, pair: Pair) -> list[dict[str, Any]]:
    """``{left, right, kind, gap}`` of the columns that belong together: shared references, amounts, dates.

    ``kind`` is ``equal``, ``form`` (the same, written otherwise), ``amount``, ``days`` or ``text``; ``gap`` is the
    difference as text, None where there is none or it has no size.
    """
    found: list[dict[str, Any]] = []
    left_used: set[str] = set()
    right_used: set[str] = set()

    def keep(left: str, right: str, kind: str, gap: str | None) -> None:
        if left not in left_used and right not in right_used:
            left_used.add(left)
            right_used.add(right)
            found.append({"left": left, "right": right, "kind": kind, "gap": gap})

    key = analysis.keys[0] if analysis.keys else ()
    for link in (*key, *analysis.links):
        one, other = pair["left"].get(link.left_col), pair["right"].get(link.right_col)
        kind = _text_kind(one, other) if one and other else ""
        is_chance = kind == "text" and link.op in ("contains", "regex") and link not in key
        if kind and not is_chance:  # numbers that stand in both lists by chance say nothing of this pair
            keep(link.left_col, link.right_col, kind, None)
    for left, right, gap in _nearest(analysis, pair, "number", _amount, _amount_gap):
        keep(left, right, "equal" if not gap else "amount", str(gap) if gap else None)
    for left, right, days in _nearest(analysis, pair, "date", day, _days_gap):
        keep(left, right, "equal" if not days else "days", str(days) if days else None)
    return found


def _text_kind(one: str, other: str) -> str:
    if one == other:
        return "equal"
    short, long = sorted((plain(one) or "", plain(other) or ""), key=len)
    return "form" if short and short in long else "text"


def _amount(text: str, form: CsvFormat) -> Decimal | None:
    return cleaned_number(text, form)


def _amount_gap(one: Decimal, other: Decimal) -> Decimal | None:
    """Signs may be the other way round on a statement."""
    gap = min(abs(one - other), abs(one + other))
    return gap if gap <= _FAR_SHARE * max(abs(one), abs(other)) else None


def _days_gap(one: date, other: date) -> Decimal | None:
    days = abs((one - other).days)
    return Decimal(days) if days <= _FAR_DAYS else None


def _nearest(
    analysis: Analysis,
    pair: Pair,
    kind: str,
    read: Callable[[str, CsvFormat], Any],
    gap_of: Callable[[Any, Any], Decimal | None],
) -> list[tuple[str, str, Decimal]]:
    """Columns of a kind whose values in this pair lie near each other, the nearest first."""
    sides = (
        (analysis.left, analysis.left_profile, pair["left"]),
        (analysis.right, analysis.right_profile, pair["right"]),
    )
    values = [
        [(c.name, read(row[c.name] or "", table.format)) for c in profile.columns if c.kind == kind and row.get(c.name)]
        for table, profile, row in sides
    ]
    pairs = [
        (left, right, gap)
        for left, one in values[0]
        for right, other in values[1]
        if one is not None and other is not None and (gap := gap_of(one, other)) is not None
    ]
    return sorted(pairs, key=lambda found: found[2])
