"""The style sheet: both palettes are readable, and both say the same names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEET = (Path(__file__).parents[3] / "webapp" / "pages" / "static" / "kalla.css").read_text(encoding="utf-8")
TEXTS = ("ink", "soft", "accent", "good", "warn", "bad")
GROUNDS = ("paper", "sheet")
TINTS = ("tint", "good-tint", "warn-tint", "bad-tint")


def palettes() -> list[dict[str, str]]:
    """The colours of each block that sets them: light, dark by the system, dark by choice."""
    blocks = re.findall(r":root[^{]*\{([^}]*--paper:[^}]*)\}", SHEET.partition("@media print")[0])
    return [dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block)) for block in blocks]


LIGHT, DARK, CHOSEN = palettes()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_are_readable(palette: dict[str, str]) -> None:
    for text in TEXTS:
        for ground in (*GROUNDS, "tint"):
            assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground)
    for tint in TINTS:
        assert contrast(palette["ink"], palette[tint]) >= 7, tint
        assert contrast(palette["accent"], palette[tint]) >= 4.5, tint
        assert contrast(palette["soft"], palette[tint]) >= 4.5, tint
    assert contrast(palette["on-accent"], palette["accent"]) >= 4.5


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_borders_of_fields_are_seen(palette: dict[str, str]) -> None:
    for ground in GROUNDS:
        assert contrast(palette["edge"], palette[ground]) >= 3, ground


def test_the_switch_gives_the_colours_of_the_system() -> None:
    assert DARK == CHOSEN
    assert LIGHT.keys() == DARK.keys()


def test_no_motion_for_those_who_want_none() -> None:
    before = SHEET.partition("@media (prefers-reduced-motion: no-preference)")[0]
    assert "transition" not in before
    assert "animation" not in before
    assert all(int(number) <= 150 for number in re.findall(r"transition[^;]*?(\d+)ms", SHEET))
