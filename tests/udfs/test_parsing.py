"""KALLA_NUMBER, KALLA_DATE and KALLA_TIMESTAMP give in DuckDB what recipe gives in Python."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recipe import parse_date, parse_number, parse_timestamp
from tests.udfs.conftest import Evaluate
from udfs import UdfError

FORMATS = [
    (".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'"), (",", "\u00a0"), (".", "\u202f"),
]  # fmt: skip
ORDERS = ["ymd", "dmy", "mdy", "iso"]
BLANKS = [" ", "\t", "\n", "\r", "\v", "\f", "\u00a0", "\u202f", "\u2003", "\x1c", "\x85", "\ufeff"]

NUMBERS = [
    "", " ", "0", "-0", "+0", "007", "1", "-1", "+1", "--1", "+-1", "- 1", "1 2", "5.", ".5", "+.5", "-.5",
    ".", "-", "+", "1_000", "1,234.5", "1.234,5", "1.234,50", "12,34", "1,23,456", "1234,567", "1,234,56",
    ",123", "1,,234", "NaN", "nan", "inf", "-Infinity", "１２", "٣", "1e400", "1e-400", "1e5", "1E5",
    "1.5e3", "1.5E+03", "1.5e-3", "12e-10", "12e-11", "120e-11", "0e99999999999999999999",
    "1e99999999999999999999", "1e-99999999999999999999", "00e-5", "e5", "1e", "1e+", "1e5.0", "0x1F",
    "1f", "1d", "$1", "1%", "(1)", "1-", "−1", "−1.5e2", "1\u00a0234,5", "1\u202f234,5", "1 234,5",
    "1'234.5", " 1.5 ", "\u00a01.5\u202f", "\v1\f", "\ufeff1", "1\x00", "1.2.3", "1..2", "9" * 28, "9" * 29,
    "0" * 50 + "1", "9" * 28 + "." + "9" * 10, "9" * 28 + "." + "9" * 11, "0." + "0" * 10 + "1",
    "1." + "0" * 40, "0.1234567890", "0.12345678901", "0.123456789000000", "1234567890123",
    "123456789012e-1", "1e27", "1e28", "9.9e27", "99e27", "0.00000000000000001e20",
    "100000000000000000000000000000e-5", "1.0e-10", "0.1e-9", "0.1e-10", "10e-11",
    "1e-0000000000000000010", "1e+0000000000000000010", "12345678901234567890.12",
]  # fmt: skip

DATES = [
    "", "2026-03-01", "2026-02-29", "2024-02-29", "1900-02-29", "2000-02-29", "2026-13-01", "2026-00-10",
    "2026-01-00", "0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "-001-01-01", "+001-01-01",
    "2026-3-1", "2026-03-1", "2026-03-01 ", " 2026-03-01", "\u00a02026-03-01", "2026/03/01", "2026.03.01",
    "2026/03.01", "20260301", "2026031", "202603011", "01.03.2026", "1.3.2026", "1/3/2026", "1-3-2026",
    "1.3/2026", "31.12.2025", "12.31.2025", "31.4.2026", "001.3.2026", "1.3.26", "1.3.02026",
    "01.03.2026 ", " 1.3.2026", "\u202f1.3.2026", "2026-03-01x", "x2026-03-01", "epoch", "infinity",
    "today", "2026-03-01 (BC)", "１.3.2026", "2026-03-01T", "29.02.2024", "29.02.2023", "0.0.0000",
    "1. 3.2026", " 026-03-01", "2026- 3-01", "2026-03- 1", "2026-03-1 ", "01.01.0000", "01.01.0001",
    "2026–03–01",
]  # fmt: skip

TIMES = [
    "", " ", "T", "T10:20", " 10:20", " 10:20:30", "T10:20:30.5", "T10:20:30.123456", "T10:20:30.1234567",
    "T10:20Z", " 10:20:30+01:00", " 10:20:30-11:30", " 10:20:30+1:00", " 10:20:30+0100",
    " 10:20:30 +01:00", "T24:00", "T23:60", "T23:59:60", "T23:59:59.999999", "t10:20", "T1:20",
    "T10:20:30.", "T10:20:30z", "Z", "+01:00", "T00:00+23:59", "T00:00-23:59", "T00:00+24:00", " 10:20 ",
    "  10:20", "T10:20:30,5", "T10", "T10:2", "T10:20:3", " BC",
]  # fmt: skip


def number_sql(decimal: str, thousands: str) -> str:
    return "KALLA_NUMBER(c0, '{}', '{}')".format(decimal, thousands.replace("'", "''"))


def check_numbers(evaluate: Evaluate, texts: list[str], decimal: str, thousands: str) -> None:
    found = evaluate(number_sql(decimal, thousands), ["VARCHAR"], [[t] for t in texts])
    expected = [parse_number(t, decimal, thousands) for t in texts]
    assert [(t, f, e) for t, f, e in zip(texts, found, expected, strict=True) if f != e] == []


@pytest.mark.parametrize(("decimal", "thousands"), FORMATS)
def test_numbers_agree_on_known_traps(evaluate: Evaluate, decimal: str, thousands: str) -> None:
    swapped = [t.translate(str.maketrans({".": decimal, ",": thousands or ","})) for t in NUMBERS]
    check_numbers(evaluate, NUMBERS + swapped, decimal, thousands)


grouped = r"[ \t]?[+-]?[0-9]{0,4}([.,' ][0-9]{3}){0,3}[.,]?[0-9]{0,12}([eE][+-]?[0-9]{1,2})?"
number_like = st.one_of(
    st.text(alphabet="0019.,eE+-−_ '\u00a0\u202f１x", max_size=14),
    st.from_regex(grouped, fullmatch=True),
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.floats().map(repr),
    st.text(max_size=6),
).filter(lambda t: "\x00" not in t)


@settings(max_examples=80, deadline=None)
@given(st.lists(number_like, min_size=1, max_size=80), st.sampled_from(FORMATS))
def test_numbers_agree_on_anything(evaluate: Evaluate, texts: list[str], form: tuple[str, str]) -> None:
    check_numbers(evaluate, texts, *form)


def test_a_number_is_decimal_38_10_and_null_stays_null(evaluate: Evaluate) -> None:
    for form in FORMATS:
        sql = number_sql(*form)
        assert evaluate(f"TYPEOF({sql})", ["VARCHAR"], [["1"]]) == ["DECIMAL(38,10)"]
        assert evaluate(sql, ["VARCHAR"], [[None]]) == [None]


@pytest.mark.parametrize(
    ("decimal", "thousands"), [(".", "."), ("5", ""), ("", ""), (".", "e"), (".", "_"), (",", "-")]
)
def test_separators_that_cannot_be_told_apart(evaluate: Evaluate, decimal: str, thousands: str) -> None:
    with pytest.raises(UdfError, match=r"udf\.invalid_argument"):
        evaluate(number_sql(decimal, thousands), ["VARCHAR"], [["1"]])


def check_dates(evaluate: Evaluate, texts: list[str], order: str) -> None:
    found = evaluate(f"KALLA_DATE(c0, '{order}')", ["VARCHAR"], [[t] for t in texts])
    expected = [parse_date(t, order) for t in texts]
    assert [(t, f, e) for t, f, e in zip(texts, found, expected, strict=True) if f != e] == []


def check_timestamps(evaluate: Evaluate, texts: list[str], order: str) -> None:
    found = evaluate(f"KALLA_TIMESTAMP(c0, '{order}')", ["VARCHAR"], [[t] for t in texts])
    expected = [parse_timestamp(t, order) for t in texts]
    assert [(t, f, e) for t, f, e in zip(texts, found, expected, strict=True) if f != e] == []


@pytest.mark.parametrize("order", ORDERS)
def test_dates_agree_on_known_traps(evaluate: Evaluate, order: str) -> None:
    padded = [blank + text + blank for text in ("2026-03-01", "1.3.2026", "20260301") for blank in BLANKS]
    check_dates(evaluate, DATES + padded, order)


@pytest.mark.parametrize("order", ORDERS)
def test_timestamps_agree_on_known_traps(evaluate: Evaluate, order: str) -> None:
    check_timestamps(evaluate, [d + t for d in DATES for t in TIMES], order)


date_like = st.one_of(
    st.from_regex(r"[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}", fullmatch=True),
    st.from_regex(r"[ ]?[012][09][0-9]{2}[-/.]?[01][0-9][-/.]?[0-3][0-9][ ]?", fullmatch=True),
    st.from_regex(r"[0-3]?[0-9]([./-])[01]?[0-9]\1[12][09][0-9]{2}", fullmatch=True),
    st.text(alphabet="0123-/. ", max_size=11),
)
clock = r"[ T][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,7})?)?(Z|[+-][0-2][0-9]:[0-6][0-9])?"
time_like = st.one_of(st.just(""), st.from_regex(clock, fullmatch=True), st.text(alphabet="012:.TZ+- ", max_size=9))


@settings(max_examples=80, deadline=None)
@given(st.lists(date_like, min_size=1, max_size=80), st.sampled_from(ORDERS))
def test_dates_agree_on_anything(evaluate: Evaluate, texts: list[str], order: str) -> None:
    check_dates(evaluate, texts, order)


@settings(max_examples=80, deadline=None)
@example([("0001-01-01", "T00:00+01:00"), ("9999-12-31", "T23:59-01:00")], "ymd")
@given(st.lists(st.tuples(date_like, time_like), min_size=1, max_size=80), st.sampled_from(ORDERS))
def test_timestamps_agree_on_anything(evaluate: Evaluate, texts: list[tuple[str, str]], order: str) -> None:
    check_timestamps(evaluate, [day + clock for day, clock in texts], order)


def test_kinds_of_dates_and_unknown_orders(evaluate: Evaluate) -> None:
    assert evaluate("TYPEOF(KALLA_DATE(c0, 'dmy'))", ["VARCHAR"], [["x"]]) == ["DATE"]
    assert evaluate("TYPEOF(KALLA_TIMESTAMP(c0, 'dmy'))", ["VARCHAR"], [["x"]]) == ["TIMESTAMP"]
    assert evaluate("KALLA_DATE(c0, 'dmy')", ["VARCHAR"], [[None]]) == [None]
    assert evaluate("KALLA_TIMESTAMP(c0, 'ymd')", ["VARCHAR"], [[None]]) == [None]
    with pytest.raises(UdfError, match="ydm"):
        evaluate("KALLA_DATE(c0, 'ydm')", ["VARCHAR"], [["x"]])
