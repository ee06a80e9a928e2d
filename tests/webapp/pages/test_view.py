"""Figures as people read them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.evidence import REASONS
from webapp.agent import guided_words
from webapp.pages import view

DECIMALS = st.decimals(min_value=Decimal("-1e20"), max_value=Decimal("1e20"), allow_nan=False, places=4)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (15000, "15,000"), (1204331, "1,204,331"), (-1200, "−1,200"), (None, "–"), (Decimal(7), "7")],
)
def test_counts(value: object, shown: str) -> None:
    assert view.count(value) == shown


def test_plural() -> None:
    assert view.plural(1, "record") == "1 record"
    assert view.plural(1200, "record") == "1,200 records"
    assert view.plural(2, "query", "queries") == "2 queries"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("47109.6400000000", "47,109.64"),
        ("-75.6", "−75.60"),
        ("15", "15"),
        ("0.0000", "0.00"),
        ("-0.010", "−0.01"),
        ("1234567890123456789012.125", "1,234,567,890,123,456,789,012.125"),
        ("n/a", "n/a"),
        (None, "–"),
    ],
)
def test_money(text: str | None, shown: str) -> None:
    assert view.money(text) == shown


@given(DECIMALS)
def test_money_keeps_the_value(value: Decimal) -> None:
    assert Decimal(view.money(format(value, "f")).replace(",", "").replace("−", "-")) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1250.00", "1,250.00"),
        ("-8485.5", "−8,485.5"),
        ("999", "999"),
        ("+1000", "1,000"),
        ("00123", "00123"),
        ("0.5", "0.5"),
        ("2026-01-05", "2026-01-05"),
        ("1e5", "1e5"),
        ("", ""),
        ("<b>", "<b>"),
    ],
)
def test_cells_keep_their_digits(text: str, shown: str) -> None:
    assert view.grouped(text) == shown


@given(st.text())
def test_texts_that_are_no_numbers_stay(text: str) -> None:
    if view.exact(text) is None:
        assert view.grouped(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0.0 %"),
        (1.0, "100.0 %"),
        (7 / 15, "46.7 %"),
        (0.99999, "99.9 %"),
        (0.00001, "0.1 %"),
        (0.9, "90.0 %"),
        (0.8995, "90.0 %"),
        (1, "100.0 %"),
    ],
)
def test_rates(value: float | None, shown: str) -> None:
    assert view.rate(value) == shown


@pytest.mark.parametrize(
    ("value", "word"),
    [(1.0, "Excellent"), (0.9, "Excellent"), (0.8999, "Fair"), (0.7, "Fair"), (0.6999, "Needs Review"), (None, None)],
)
def test_the_word_beside_a_rate(value: float | None, word: str | None) -> None:
    assert view.verdict(value) == word


def a_run(**changes: Any) -> dict[str, Any]:
    counts = {
        "left_record_count": 100,
        "right_record_count": 100,
        "unmatched_left_count": 0,
        "unmatched_right_count": 0,
    }
    return counts | {"match_rate": 1.0} | changes


@pytest.mark.parametrize(
    ("run", "number"),
    [
        (a_run(), 0),
        (a_run(match_rate=0.8, unmatched_left_count=20), 0),
        (a_run(match_rate=0.79, unmatched_left_count=21), 2),
        (a_run(unmatched_right_count=21), 1),
        (a_run(match_rate=None, left_record_count=0, right_record_count=0), 0),
    ],
)
def test_notices(run: dict[str, Any], number: int) -> None:
    assert len(view.notices(run)) == number


def test_notices_say_how_many() -> None:
    assert view.notices(a_run(left_record_count=4, unmatched_left_count=1)) == [
        "1 of 4 left records is unmatched: 25.0 %."
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (2.13, "2.1 s"),
        (59.9, "59.9 s"),
        (59.99, "1 min 00 s"),
        (192, "3 min 12 s"),
        (3840, "1 h 04 min"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert view.duration(seconds) == shown


def test_times() -> None:
    assert view.moment("2026-11-21T04:44:39.249Z") == "21 Nov 2026, 04:44 UTC"
    assert view.iso("2026-11-21T05:44:39+01:00") == "2026-11-21T04:44:39Z"
    assert view.moment(None) == "–"
    assert view.iso("yesterday") == ""
    assert view.seconds("2026-01-01T00:00:00Z", "2026-01-01T00:00:02.500Z") == 2.5
    assert view.seconds(None, "2026-01-01T00:00:00Z") is None


def test_bars_are_ordered_and_as_wide_as_their_counts() -> None:
    drawn = view.bars([("a", "A", 1, None), ("b", "B", 4, "10.00"), ("c", "C", 0, None)], 5)
    assert [(bar.key, bar.width, bar.share) for bar in drawn] == [
        ("b", "100", "80.0 %"),
        ("a", "25", "20.0 %"),
        ("c", "0", "0.0 %"),
    ]
    assert [bar.key for bar in view.bars([("z", "Z", 1, None), ("b", "B", 4, None)], 5, in_order=True)] == ["z", "b"]


@given(st.lists(st.integers(0, 10**12), max_size=8))
def test_bars_fit_the_drawing(counts: list[int]) -> None:
    for bar in view.bars([(str(n), str(n), n, None) for n in counts], sum(counts)):
        assert 0 <= Decimal(bar.width) <= 100
        assert (Decimal(bar.width) > 0) == (bar.count > 0)


@pytest.mark.parametrize(
    ("cell", "is_amount"), [("1.50", True), ("-3.2", True), ("2026", False), ("a.b", False), (None, False)]
)
def test_amounts_are_told_from_ids(cell: str | None, is_amount: bool) -> None:
    assert view.is_amount(cell) is is_amount


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("must be text", "Must be text."),
        ("is missing", "Is missing."),
        ("Choose a source.", "Choose a source."),
        ("recipe_id must stay r", "recipe_id must stay r."),
        ("", ""),
    ],
)
def test_what_is_wrong_with_a_field_is_a_sentence(said: str, shown: str) -> None:
    assert view.sentence(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "line 1, column 211: left_src.amount is text and is read as a number; leading zeros do not count then",
            "Left amount is text and is read as a number; leading zeros do not count then.",
        ),
        ("The rule has no key, right_src.x is compared.", "The rule has no key, right x is compared."),
    ],
)
def test_warnings_name_columns_by_their_side(said: str, shown: str) -> None:
    assert view.in_words(said) == shown


def test_every_reason_has_its_words_on_pages_and_in_the_conversation() -> None:
    """One more in the engine is one more here."""
    assert set(view.BRIEF_REASONS) == set(guided_words.REASONS) == set(REASONS)
    assert view.reason_words("predicate") == "A condition fails with every record it could match"
    assert view.reason_words("of_a_later_version") == "of_a_later_version"
