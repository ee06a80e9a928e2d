"""The equation of a run: read = matched + unmatched, by records and by every control total."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from webapp.pages.view import DASH, count, exact, is_zero, minus, money, plural, rate, share


def width_of(part: object, whole: object) -> str:
    """A part of a whole in per cent, for a bar; "0" for no whole."""
    first, second = exact(part), exact(whole)
    if not first or not second:
        return "0"
    return format(min((first / second * 100).quantize(Decimal("0.01")), Decimal(100)), "f")


@dataclass(frozen=True)
class Line:
    """One line of the equation: read = matched + unmatched, and what is left over.

    ``share`` is the matched part of what was read, ``width`` the same for a bar.
    """

    side: str
    what: str
    is_count: bool
    read: str
    matched: str
    unmatched: str
    difference: str
    holds: bool
    share: str
    width: str
    note: str = ""


def equation(run: Mapping[str, Any], totals: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, list[Line]]:
    """The lines of both sides: the records first, then each control total."""
    found: dict[str, list[Line]] = {}
    for side in ("left", "right"):
        own = (totals or {}).get(side) or {}
        found[side] = [_count_line(run, side), *(_total_line(side, name, total) for name, total in own.items())]
    return found


def _count_line(run: Mapping[str, Any], side: str) -> Line:
    names = (f"{side}_record_count", f"matched_{side}_count", f"unmatched_{side}_count")
    read, matched, unmatched = (int(run.get(name) or 0) for name in names)
    over = read - matched - unmatched
    part, width = share(matched, read), width_of(matched, read)
    return Line(
        side, "records", True, count(read), count(matched), count(unmatched), count(over), over == 0, part, width
    )


def _total_line(side: str, name: str, total: Mapping[str, Any]) -> Line:
    read, matched, unmatched = (total[part]["sum"] for part in ("source", "matched", "unmatched"))
    over = minus(minus(read, matched), unmatched)
    empty = int(total["source"].get("empty") or 0)
    note = f"{plural(empty, 'record')} without a number" if empty else ""
    one_sign = _same_sign(read, matched, unmatched)
    width = width_of(matched, read) if one_sign else "0"
    part = rate(float(width) / 100) if one_sign and not is_zero(read) else DASH
    closed = is_zero(over)
    return Line(
        side, name, False, money(read), money(matched), money(unmatched), money(over), closed, part, width, note
    )


def _same_sign(*values: object) -> bool:
    """Whether parts of a sum can be drawn as parts of a bar."""
    signs = {number > 0 for number in map(exact, values) if number}
    return len(signs) <= 1


@dataclass(frozen=True)
class Bridge:
    """Why the two sides' totals differ: unmatched on each side, and what is between matched records."""

    left: str
    right: str
    difference: str
    unmatched_left: str
    unmatched_right: str
    between: str


def bridge(totals: Mapping[str, Mapping[str, Any]] | None) -> Bridge | None:
    """The way from the left total to the right one, where each side has exactly one."""
    sides = [list(((totals or {}).get(side) or {}).values()) for side in ("left", "right")]
    if any(len(found) != 1 for found in sides):
        return None
    (left,), (right,) = sides
    figures = [
        minus(left["source"]["sum"], right["source"]["sum"]),
        minus(left["matched"]["sum"], right["matched"]["sum"]),
    ]
    return Bridge(
        money(left["source"]["sum"]),
        money(right["source"]["sum"]),
        money(figures[0]),
        money(left["unmatched"]["sum"]),
        money(right["unmatched"]["sum"]),
        money(figures[1]),
    )
