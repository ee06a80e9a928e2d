"""What texts mean as numbers and dates, and how values print."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe import format_cell, parse_date, parse_exact, parse_number, parse_timestamp

NUMBERS = [
    ("1", "1"),
    ("00123", "123"),
    ("+1.50", "1.50"),
    ("-1.5", "-1.5"),
    ("\u22121.5", "-1.5"),
    ("12.", "12"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("1e3", "1000"),
    ("1.5E-2", "0.015"),
    ("1E+2", "100"),
    (" \t1\u00a0\u202f\n", "1"),
    ("-0", "0"),
    ("0e999999999999", "0"),
    ("9" * 28 + "." + "9" * 10, "9" * 28 + "." + "9" * 10),
    ("0" * 50 + "1", "1"),
    ("1." + "0" * 40, "1"),
    ("1.1234567890000", "1.123456789"),
    ("1e27", "1" + "0" * 27),
    ("1e-10", "0.0000000001"),
    ("0.1e10", "1000000000"),
    ("123456789012345678901234567890e-5", "1234567890123456789012345.6789"),
]
NO_NUMBERS = [
    "", " ", ".", "-", "+", "e5", "1e", "1e+", "1 2", "- 1", "--1", "1.2.3", "1,5", "1,234", "1_000", "0x10",
    "NaN", "Infinity", "inf", "\u0661", "\uff11", "\u00bd", "1\u2003", "1-", "(1)", "1%", "€1",
    "1" + "0" * 28, "9" * 29, "0.00000000001", "1.12345678901",
    "1e28", "1e-11", "1e99999999999", "1e-99999999999",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), NUMBERS)
def test_numbers(text: str, expected: str):
    assert parse_number(text) == Decimal(expected)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number(text: str):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "expected"),
    [
        ("1.234,50", ",", ".", "1234.50"),
        ("-1.234.567", ",", ".", "-1234567"),
        ("1234,5", ",", ".", "1234.5"),
        ("1.5", ",", ".", None),
        ("1.23,5", ",", ".", None),
        ("1234.567,0", ",", ".", None),
        (".234,0", ",", ".", None),
        ("1..234", ",", ".", None),
        ("1,234.5", ".", ",", "1234.5"),
        ("1,234", ".", ",", "1234"),
        ("0,001", ".", ",", "1"),
        ("12,34", ".", ",", None),
        ("1.234,567", ".", ",", None),
        ("1 234,5", ",", " ", "1234.5"),
        ("1\u00a0234,5", ",", " ", "1234.5"),
        ("1\u202f234\u202f567,5", ",", " ", "1234567.5"),
        ("1'234.5", ".", "'", "1234.5"),
        ("1’234.5", ".", "'", None),
        ("1,5e3", ",", "", "1500"),
        ("1,234e2", ".", ",", "123400"),
    ],
)  # fmt: skip
def test_numbers_in_other_notations(text: str, decimal: str, thousands: str, expected: str | None):
    assert parse_number(text, decimal, thousands) == (None if expected is None else Decimal(expected))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=10, min_value=-(10**27), max_value=10**27))
def test_every_decimal_of_the_range_comes_back(number: Decimal):
    assert parse_number(format(number, "f")) == number
    assert parse_number(f"{number:e}") == number


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_agrees_with_the_decimal_module_and_never_rounds(number: Decimal):
    digits = number.normalize().as_tuple() if len(number.as_tuple().digits) <= 28 else number.as_tuple()
    parsed = parse_number(str(number))
    fits = not number or (number.adjusted() < 28 and int(digits.exponent) >= -10)
    assert parsed == (number if fits else None)


@given(st.integers(-(10**20), 10**20), st.sampled_from([".", ",", " ", "'"]), st.integers(0, 999))
def test_grouped_and_plain_notation_agree(whole: int, separator: str, cents: int):
    decimal = "." if separator != "." else ","
    grouped = f"{whole:,}".replace(",", separator) + f"{decimal}{cents:03}"
    assert parse_number(grouped, decimal, separator) == parse_number(f"{whole}{decimal}{cents:03}", decimal)


@given(st.text(alphabet="0123456789+-.,eE \u00a0\u2212'", max_size=12))
def test_any_text_gives_a_number_that_fits_or_none(text: str):
    number = parse_number(text, ",", ".")
    if number is not None:
        assert abs(number) < Decimal(10) ** 28
        assert number == number.quantize(Decimal("1e-10"), context=_WIDE)


_WIDE = Context(prec=60)


def test_exact_numbers_have_no_size_limit_that_matters():
    assert parse_exact("1e400") == Decimal("1e400")
    assert parse_exact("0.123456789012345678901234567890") == Decimal("0.123456789012345678901234567890")
    assert parse_exact("1,5") is None
    assert parse_exact("1e99999") is None


DATES = [
    ("2026-03-01", "ymd", date(2026, 3, 1)),
    ("2026-03-01", "dmy", date(2026, 3, 1)),
    ("2026-03-01", "mdy", date(2026, 3, 1)),
    (" 2026-03-01\u00a0", "dmy", date(2026, 3, 1)),
    ("2026/03/01", "ymd", date(2026, 3, 1)),
    ("2026.03.01", "ymd", date(2026, 3, 1)),
    ("20260301", "ymd", date(2026, 3, 1)),
    ("20260301", "dmy", None),
    ("2026/03/01", "dmy", None),
    ("2026/03.01", "ymd", None),
    ("2026-3-1", "ymd", None),
    ("01.03.2026", "dmy", date(2026, 3, 1)),
    ("1.3.2026", "dmy", date(2026, 3, 1)),
    ("1/3/2026", "dmy", date(2026, 3, 1)),
    ("1-3-2026", "dmy", date(2026, 3, 1)),
    ("1/3.2026", "dmy", None),
    ("1.3.26", "dmy", None),
    ("1 3 2026", "dmy", None),
    ("3/1/2026", "mdy", date(2026, 3, 1)),
    ("13/1/2026", "mdy", None),
    ("13/1/2026", "dmy", date(2026, 1, 13)),
    ("1.3.2026", "ymd", None),
    ("29.02.2024", "dmy", date(2024, 2, 29)),
    ("29.02.2023", "dmy", None),
    ("0001-01-01", "ymd", date(1, 1, 1)),
    ("0000-01-01", "ymd", None),
    ("9999-12-31", "ymd", date(9999, 12, 31)),
    ("2026-03-01T00:00", "ymd", None),
    ("\u0662\u0660\u0662\u0666-03-01", "ymd", None),
    ("", "ymd", None),
]


@pytest.mark.parametrize(("text", "order", "expected"), DATES)
def test_dates(text: str, order: str, expected: date | None):
    assert parse_date(text, order) == expected


@pytest.mark.parametrize("text", ["2026/03/01", "20260301", "1.3.2026"])
def test_iso_alone_takes_nothing_else(text: str):
    assert parse_date(text, "iso") is None


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("2026-03-01", "ymd", datetime(2026, 3, 1)),
        ("2026-03-01 10:20", "ymd", datetime(2026, 3, 1, 10, 20)),
        ("2026-03-01T10:20:30", "dmy", datetime(2026, 3, 1, 10, 20, 30)),
        ("2026-03-01T10:20:30.5", "ymd", datetime(2026, 3, 1, 10, 20, 30, 500000)),
        ("2026-03-01T10:20:30.123456Z", "ymd", datetime(2026, 3, 1, 10, 20, 30, 123456)),
        ("2026-03-01T10:20:30.1234567", "ymd", None),
        ("2026-03-01T10:20+02:00", "ymd", datetime(2026, 3, 1, 8, 20)),
        ("2026-03-01T23:20-05:30", "ymd", datetime(2026, 3, 2, 4, 50)),
        ("2026-03-01Z", "ymd", None),
        ("2026-03-01T10:20z", "ymd", None),
        ("2026-03-01T10:20 Z", "ymd", None),
        ("2026-03-01T10:20+0200", "ymd", None),
        ("2026-03-01T24:00", "ymd", None),
        ("2026-03-01T10:60", "ymd", None),
        ("2026-03-01T10:20:60", "ymd", None),
        ("2026-03-01T10:20+24:00", "ymd", None),
        ("2026-03-01T10", "ymd", None),
        ("1.3.2026 07:08", "dmy", datetime(2026, 3, 1, 7, 8)),
        ("20260301 07:08", "ymd", datetime(2026, 3, 1, 7, 8)),
        ("30.02.2026 07:08", "dmy", None),
        ("0001-01-01T00:00+01:00", "ymd", None),
        ("9999-12-31T23:59-01:00", "ymd", None),
    ],
)
def test_timestamps(text: str, order: str, expected: datetime | None):
    assert parse_timestamp(text, order) == expected


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31)), st.integers(-1439, 1439))
def test_timestamps_agree_with_the_standard_library(moment: datetime, minutes: int):
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_timestamp(aware.isoformat()) == aware.astimezone(UTC).replace(tzinfo=None)
    assert parse_timestamp(moment.isoformat(" ")) == moment
    assert parse_date(moment.strftime("%d.%m.") + f"{moment.year:04}", "dmy") == moment.date()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("00123", "00123"),
        (12345678901234567890, "12345678901234567890"),
        (Decimal("100.00"), "100.00"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-10"), "0.0000000001"),
        (True, "true"),
        (False, "false"),
        (0.1, "0.1"),
        (100.0, "100"),
        (1e22, "1e+22"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (date(2026, 3, 1), "2026-03-01"),
        (datetime(2026, 3, 1, 10, 20), "2026-03-01T10:20:00"),
        (datetime(2026, 3, 1, 10, 20, 0, 5, tzinfo=UTC), "2026-03-01T10:20:00.000005Z"),
        (datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-02-28T23:00:00Z"),
        (time(10, 20), "10:20:00"),
        (b"\x00\xff", "00ff"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (
            ["a", None, Decimal("1.50"), 0.1, float("nan"), {"é": True}],
            '["a", null, 1.50, 0.1, "NaN", {"é": true}]',
        ),
    ],
)
def test_cells(value: object, expected: str | None):
    assert format_cell(value) == expected
