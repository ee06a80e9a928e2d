"""The equation: what was read is matched or unmatched, by records and by value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.pages.equation import bridge, equation

CENTS = st.integers(-(10**15), 10**15)


def a_run(left: tuple[int, int, int] = (15, 7, 8), right: tuple[int, int, int] = (15, 7, 8)) -> dict[str, Any]:
    run: dict[str, Any] = {}
    for side, (read, matched, unmatched) in (("left", left), ("right", right)):
        run |= {f"{side}_record_count": read, f"matched_{side}_count": matched, f"unmatched_{side}_count": unmatched}
    return run


def a_total(read: str, matched: str, unmatched: str, empty: int = 0) -> dict[str, Any]:
    return {"source": {"sum": read, "empty": empty}, "matched": {"sum": matched}, "unmatched": {"sum": unmatched}}


def test_the_sample() -> None:
    totals = {"left": {"amount": a_total("47109.6400000000", "25614.64", "21495.00")}, "right": {}}
    lines = equation(a_run(), totals)
    records, amount = lines["left"]
    assert (records.read, records.matched, records.unmatched, records.difference) == ("15", "7", "8", "0")
    assert (records.share, records.width, records.holds) == ("46.7 %", "46.67", True)
    assert (amount.read, amount.matched, amount.unmatched, amount.difference) == (
        "47,109.64",
        "25,614.64",
        "21,495.00",
        "0.00",
    )
    assert (amount.what, amount.share, amount.holds) == ("amount", "54.4 %", True)
    assert [line.what for line in lines["right"]] == ["records"]


def test_an_open_line_is_told() -> None:
    line = equation(a_run(left=(15, 7, 7)))["left"][0]
    assert not line.holds
    assert line.difference == "1"


def test_nothing_read() -> None:
    line = equation(a_run(left=(0, 0, 0)))["left"][0]
    assert (line.read, line.share, line.width, line.holds) == ("0", "–", "0", True)


def test_sums_of_both_signs_have_no_share() -> None:
    totals = {"left": {"amount": a_total("10.00", "30.00", "-20.00", empty=2)}, "right": {}}
    line = equation(a_run(), totals)["left"][1]
    assert (line.share, line.width, line.holds, line.unmatched) == ("–", "0", True, "−20.00")
    assert line.note == "2 records without a number"


@given(CENTS, CENTS)
def test_sound_totals_close(matched: int, unmatched: int) -> None:
    texts = [format(Decimal(cents).scaleb(-2), "f") for cents in (matched + unmatched, matched, unmatched)]
    line = equation(a_run(), {"left": {"amount": a_total(*texts)}, "right": {}})["left"][1]
    assert line.holds
    assert line.difference in ("0.00", "0")
    assert 0 <= Decimal(line.width) <= 100


def test_the_way_from_left_to_right() -> None:
    totals = {
        "left": {"amount": a_total("47109.64", "25614.64", "21495.00")},
        "right": {"paid": a_total("43531.30", "25614.65", "17916.65")},
    }
    found = bridge(totals)
    assert found is not None
    assert (found.difference, found.unmatched_left, found.unmatched_right, found.between) == (
        "3,578.34",
        "21,495.00",
        "17,916.65",
        "−0.01",
    )


@pytest.mark.parametrize(
    "totals", [None, {}, {"left": {}, "right": {}}, {"left": {"a": a_total("1", "1", "0")}, "right": {}}]
)
def test_no_way_without_one_total_on_each_side(totals: Any) -> None:
    assert bridge(totals) is None
