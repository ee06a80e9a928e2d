"""Texts as numbers and dates: exactly what the recipe's parsers say."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import CsvFormat, DateOrder, Kind, parse_date, parse_number
from webapp.inference import values
from webapp.inference.gaps import Limit, fitted, is_proportional, percent_gap, usual_days
from webapp.inference.references import extracted, patterns, plain

GERMAN = CsvFormat(decimal=",", thousands=".", date_order=DateOrder.DMY)
CELLS = st.one_of(st.text(max_size=12), st.from_regex(r"[-+]?[0-9]{1,6}([.,][0-9]{1,6})?(e[0-9])?", fullmatch=True))


@given(CELLS, st.sampled_from([CsvFormat(), GERMAN, CsvFormat(thousands=",")]))
def test_numbers_are_those_of_the_recipe(text: str, form: CsvFormat) -> None:
    expected = parse_number(text, form.decimal, form.thousands)
    assert values.number(text, form) == expected
    if expected is not None:
        assert values.cleaned_number(text, form) == expected


@given(st.text(max_size=10) | st.dates().map(str), st.sampled_from(list(DateOrder)))
def test_days_are_those_of_the_recipe(text: str, order: DateOrder) -> None:
    expected = parse_date(text, str(order))
    if expected is not None:
        assert values.day(text, CsvFormat(date_order=order)) == expected


@pytest.mark.parametrize(
    ("text", "form", "amount"),
    [
        ("$100", CsvFormat(), "100"),
        ("1,234.50", CsvFormat(thousands=","), "1234.50"),
        ("EUR 1.234,50", GERMAN, "1234.50"),
        ("-12,00 €", GERMAN, "-12.00"),
        ("\u2212" + "5", CsvFormat(), "-5"),
    ],
)
def test_amounts_with_marks_and_signs(text: str, form: CsvFormat, amount: str) -> None:
    assert values.cleaned_number(text, form) == Decimal(amount)


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1.50", "2.25"], "number"),
        (["00123", "00124"], "text"),
        (["INV-1000", "INV-1001"], "text"),
        (["2026-01-31", "2026-02-01"], "date"),
        (["31.01.2026", "01.02.2026"], "text"),
        ([], "text"),
        (["abc", "1.50"], "text"),
    ],
)
def test_kinds_by_content(cells: list[str], kind: str) -> None:
    assert values.kind_of(cells, Kind.TEXT, CsvFormat()) == kind


def test_a_declared_kind_counts() -> None:
    assert values.kind_of(["1"], Kind.INTEGER, CsvFormat()) == "number"
    assert values.kind_of(["2026-01-01"], Kind.TIMESTAMPTZ, CsvFormat()) == "date"


def test_the_format_by_which_most_cells_read() -> None:
    found = values.settled_format([["1.234,50 €", "3,00 €"], ["31.01.2026", "01.02.2026"], ["x", None]], CsvFormat())
    assert (found.decimal, found.thousands, found.date_order) == (",", ".", DateOrder.DMY)
    kept = CsvFormat(decimal=",")
    assert values.settled_format([["a", "b"]], kept) == kept


@given(st.text(max_size=30))
def test_plain_is_normalize_ref(text: str) -> None:
    from udfs import normalize_ref

    assert plain(text) == normalize_ref(text)
    assert plain(text, True) == normalize_ref(text, True)


@pytest.mark.parametrize(
    ("cells", "text", "found"),
    [
        (["INV-1001", "INV-1002", "INV-1003"], "Zahlung inv 1002, danke", "INV1002"),
        (["RE-2026-00017", "RE-2026-00018"], "re2026/00018", "RE202600018"),
        (["100042", "100043"], "Order 100043 of 2026", "100043"),
        (["R00001/26", "R00002/26"], "Rg. R00002-26 vom 1.2.", "R0000226"),
    ],
)
def test_a_pattern_learnt_from_references_finds_them_in_text(cells: list[str], text: str, found: str) -> None:
    assert extracted(text, patterns(cells, is_code=True)[0]) == found


def test_no_pattern_without_references() -> None:
    assert patterns(["Rent March", "Salary"], is_code=False) == ()
    assert patterns([], is_code=True) == ()


@given(st.lists(st.decimals(0, 100, places=2), max_size=30), st.lists(st.decimals(0, 100, places=2), max_size=4))
def test_a_limit_covers_what_was_confirmed(gaps: list[Decimal], confirmed: list[Decimal]) -> None:
    limit = fitted(gaps, confirmed, [])
    assert all(gap <= limit.threshold for gap in confirmed)
    assert limit.beyond is None or limit.beyond > limit.threshold


@given(st.lists(st.decimals(0, 100, places=2), max_size=30), st.decimals("0.01", 100, places=2))
def test_a_limit_stays_below_what_was_rejected(gaps: list[Decimal], rejected: Decimal) -> None:
    assert fitted(gaps, [], [rejected]).threshold < rejected


def test_a_limit_grows_over_differences_of_its_kind_only() -> None:
    gaps = [Decimal(text) for text in ("0", "0.01", "0.02", "15.00")]
    assert fitted(gaps, [], []) == Limit(Decimal("0.02"), Decimal(0), Decimal("15.00"))
    assert fitted(gaps, [Decimal("15.00")], []).threshold == 15


def test_fees_are_proportional_and_cents_are_not() -> None:
    fees = [(Decimal(n * 100), Decimal(n * 98)) for n in range(1, 20)]
    cents = [(Decimal(n * 100), Decimal(n * 100) - Decimal("0.02")) for n in range(1, 20)]
    assert is_proportional(fees)
    assert not is_proportional(cents)
    assert percent_gap(Decimal(3), Decimal(2)) == Decimal("33.34")


def test_usual_days_end_where_chance_begins() -> None:
    lags = [at % 10 for at in range(200)] + list(range(0, 100, 7))
    assert usual_days(lags, list(range(0, 100))) in range(8, 15)
    assert usual_days([], []) is None
