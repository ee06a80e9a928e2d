"""The match rate over the tolerance as a drawn curve with its figures: what the slider of the rule card moves along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webapp.pages.view import count, grouped, share

WIDTH, HEIGHT = 400, 96  # units of the drawing; it is stretched to its place
_EDGE = 6  # so that dots at the border are seen whole
_UNITS = {"amount": ""}  # amounts are in the currency of their column, which nobody states


@dataclass(frozen=True)
class Point:
    """One tolerance: where it is drawn, and what it would match. ``value`` is what a reply carries."""

    value: str
    words: str
    x: str
    y: str
    matched: str
    share: str

    @property
    def figures(self) -> str:
        """``1,180 records, 95.2 %``."""
        return f"{self.matched} matched, {self.share}"


@dataclass(frozen=True)
class Curve:
    """Points from the strictest tolerance to the loosest, the line through them, and the one that is proposed."""

    label: str
    unit: str
    points: list[Point]
    line: str
    chosen: int
    low: str
    high: str
    total: str

    @property
    def words(self) -> str:
        """The curve in a sentence, for those who do not see it."""
        first, last = self.points[0], self.points[-1]
        return (
            f"From {first.words} to {last.words} the matched left records go from {first.matched} to {last.matched} "
            f"of {self.total}."
        )


def curve(found: Mapping[str, Any] | None, left_total: int) -> Curve | None:
    """The curve of a rule card; None where there is nothing to choose from."""
    points = list((found or {}).get("points") or ())
    if found is None or len(points) < 2:
        return None
    unit = _UNITS.get(str(found.get("unit") or ""), str(found.get("unit") or ""))
    numbers = [int(point["matched_left"]) for point in points]
    least, most = min(numbers), max(numbers)
    drawn = [
        _point(point, unit, _across(at, len(points)), _up(number, least, most), left_total)
        for at, (point, number) in enumerate(zip(points, numbers, strict=True))
    ]
    values = [str(point["threshold"]) for point in points]
    current = str(found.get("threshold", ""))
    chosen = values.index(current) if current in values else 0
    line = " ".join(_steps(drawn))
    return Curve(str(found.get("label") or ""), unit, drawn, line, chosen, count(least), count(most), count(left_total))


def _point(point: Mapping[str, Any], unit: str, x: str, y: str, total: int) -> Point:
    value, number = str(point["threshold"]), int(point["matched_left"])
    return Point(value, f"{grouped(value)} {unit}".strip(), x, y, count(number), share(number, total))


def _across(at: int, points: int) -> str:
    return _short(_EDGE + (WIDTH - 2 * _EDGE) * at / (points - 1))


def _up(number: int, least: int, most: int) -> str:
    part = (number - least) / (most - least) if most > least else 0.5
    return _short(HEIGHT - _EDGE - (HEIGHT - 2 * _EDGE) * part)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _steps(points: list[Point]) -> list[str]:
    """A tolerance between two points matches what the stricter one does: the line is a stair."""
    found = [f"M{points[0].x} {points[0].y}"]
    for point in points[1:]:
        found += [f"H{point.x}", f"V{point.y}"]
    return found
