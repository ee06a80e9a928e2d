"""The curve of the tolerance: a stair through its points, with figures that say the same."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.pages.curve import HEIGHT, WIDTH, curve

POINTS = [("0", 1010), ("0.01", 1102), ("1000", 1190)]


def found(threshold: str = "0.01", points: Any = POINTS) -> dict[str, Any]:
    return {
        "label": "Apart",
        "unit": "EUR",
        "threshold": threshold,
        "points": [{"threshold": value, "matched_left": number} for value, number in points],
    }


def test_points_say_what_they_match() -> None:
    drawn = curve(found(), 1240)
    assert drawn is not None
    assert [(p.value, p.words, p.matched, p.share) for p in drawn.points] == [
        ("0", "0 EUR", "1,010", "81.5 %"),
        ("0.01", "0.01 EUR", "1,102", "88.9 %"),
        ("1000", "1,000 EUR", "1,190", "96.0 %"),
    ]
    assert (drawn.chosen, drawn.low, drawn.high, drawn.total) == (1, "1,010", "1,190", "1,240")
    assert drawn.words == "From 0 EUR to 1,000 EUR the matched left records go from 1,010 to 1,190 of 1,240."


def test_the_line_is_a_stair_inside_the_drawing() -> None:
    drawn = curve(found(), 1240)
    assert drawn is not None
    assert drawn.line.startswith("M6 90 H200 V")
    assert all(0 <= float(p.x) <= WIDTH and 0 <= float(p.y) <= HEIGHT for p in drawn.points)
    heights = [float(p.y) for p in drawn.points]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("nothing", [None, {}, found(points=[("0", 5)])])
def test_nothing_to_choose_from(nothing: Any) -> None:
    assert curve(nothing, 10) is None


def test_a_tolerance_that_changes_nothing_is_a_level_line() -> None:
    drawn = curve(found(points=[("0", 5), ("1", 5)]), 5)
    assert drawn is not None
    assert {p.y for p in drawn.points} == {"48"}


def test_an_unknown_proposal_starts_at_the_strictest() -> None:
    drawn = curve(found(threshold="7"), 1240)
    assert drawn is not None
    assert drawn.chosen == 0


def test_an_amount_has_no_unit() -> None:
    drawn = curve(found() | {"unit": "amount"}, 1240)
    assert drawn is not None
    assert drawn.points[1].words == "0.01"
