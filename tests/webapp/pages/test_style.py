"""The style sheet: both palettes are readable, and stand in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).parents[3] / "webapp" / "pages" / "static" / "kalla.css").read_text(encoding="utf-8")
TEXTS = ("ink", "soft", "accent", "good", "warn", "bad")
GROUNDS = ("paper", "sheet")
TINTS = ("tint", "good-tint", "warn-tint", "bad-tint")


def palette(place: int) -> dict[str, str]:
    """Colour by name: the first or the second of each ``light-dark`` pair."""
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", SHEET)
    return {pair[0]: pair[place] for pair in pairs}


LIGHT, DARK = palette(1), palette(2)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_are_readable(colours: dict[str, str]) -> None:
    for text in TEXTS:
        for ground in (*GROUNDS, "tint"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for tint in TINTS:
        assert contrast(colours["ink"], colours[tint]) >= 7, tint
        assert contrast(colours["accent"], colours[tint]) >= 4.5, tint
        assert contrast(colours["soft"], colours[tint]) >= 4.5, tint
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_borders_of_fields_are_seen(colours: dict[str, str]) -> None:
    for ground in GROUNDS:
        assert contrast(colours["edge"], colours[ground]) >= 3, ground


def test_each_colour_is_set_once_for_both() -> None:
    """Bare colours stand in the palette, on paper and behind dialogs only."""
    rules = SHEET.partition("@media print")[0]
    assert len(LIGHT) == len(re.findall(r"--[\w-]+:\s*light-dark", rules)) >= 15
    assert not re.findall(r"#[0-9a-f]{3,6}\b", re.sub(r"light-dark\([^)]*\)", "", rules))


def test_no_motion_for_those_who_want_none() -> None:
    before = SHEET.partition("@media (prefers-reduced-motion: no-preference)")[0]
    assert "transition" not in before
    assert "animation" not in before
    assert all(int(number) <= 150 for number in re.findall(r"transition[^;]*?(\d+)ms", SHEET))
