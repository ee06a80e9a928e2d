"""A cell's stored value and format -> its text in a CSV. Nothing is rounded that Excel itself would show.

Numbers: digits as stored, without exponent; fractions of more than 15 digits, which stem from binary arithmetic,
rounded to the 15 that Excel keeps. Percentages are the number behind them (19 % is 0.19). Dates are ISO, by the
workbook's calendar.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum

DIGITS = 15
_SHOWN = Context(prec=DIGITS)
_LARGEST_EXPONENT = 310
_DAY = timedelta(days=1)
_LAST_DAY = 2_958_465  # 31 December 9999
_LEAP_DAY = 60  # 29 February 1900, which Excel's calendar has and no other
# Formats with a number of their own; the others up to 49 show numbers.
_DATES = {*range(14, 18), *range(27, 32), 36, *range(50, 59)}
_MOMENTS, _TIMES, _ELAPSED = {22}, {*range(18, 22), *range(32, 36), 45, 47}, {46}
_PERCENT = {9, 10}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!(?:h+|m+|s+)\])[^\[\]]*\]', re.I | re.S)
_ELAPSED_FORMAT = re.compile(r"\[(h+|m+|s+)\]", re.I)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


class Shape(StrEnum):
    """How a format shows a number."""

    NUMBER = "number"
    PERCENT = "percent"
    DATE = "date"
    MOMENT = "timestamp"
    TIME = "time"
    ELAPSED = "duration"


def shape_of(number: int, code: str | None) -> Shape:
    """Of a format by its number and, for one that the workbook defines, its code."""
    if code is None:
        for shape, numbers in (
            (Shape.DATE, _DATES),
            (Shape.MOMENT, _MOMENTS),
            (Shape.TIME, _TIMES),
            (Shape.ELAPSED, _ELAPSED),
            (Shape.PERCENT, _PERCENT),
        ):
            if number in numbers:
                return shape
        return Shape.NUMBER
    plain = _LITERAL.sub("", code.split(";")[0])
    if _ELAPSED_FORMAT.search(plain):
        return Shape.ELAPSED
    letters = re.sub(r"general|am/pm|a/p|e[+-]", "", plain, flags=re.I).lower()
    has_day, has_time = re.search(r"[yd]|mmm", letters), re.search(r"[hs]", letters)
    if has_day or has_time or "m" in letters:
        return Shape.MOMENT if has_day and has_time else Shape.TIME if has_time else Shape.DATE
    return Shape.PERCENT if "%" in plain else Shape.NUMBER


def number_text(stored: str) -> str:
    """Raises ValueError for a text that is no number."""
    number = _number(stored)
    if number.is_zero():
        return "0"
    if len(number.as_tuple().digits) > DIGITS and number != number.to_integral_value():
        number = _SHOWN.plus(number)
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _number(stored: str) -> Decimal:
    try:
        number = Decimal(stored.strip())
    except InvalidOperation:
        raise ValueError("is no number") from None
    if not number.is_finite() or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("is no number that can be written")
    return number


def date_text(stored: str, shape: Shape, from_1904: bool) -> str:
    """The date, moment or time of a serial number, to the millisecond. A date's format with a time behind it gives a
    moment. Raises ValueError where the calendar has none."""
    number = _number(stored)
    milliseconds = int((number * 86_400_000).to_integral_value())
    if milliseconds < 0 or milliseconds >= (_LAST_DAY + 1) * 86_400_000:
        raise ValueError("is shown as a date and is none")
    days, rest = divmod(milliseconds, 86_400_000)
    clock = _clock(rest)
    if shape is Shape.ELAPSED:
        hours, tail = milliseconds // 3_600_000, clock.partition(":")[2]
        return f"{hours:02}:{tail}"
    if shape is Shape.TIME and not days:
        return clock
    day = _day(days, from_1904)
    return day if shape is Shape.DATE and not rest else f"{day}T{clock}"


def _day(days: int, from_1904: bool) -> str:
    if from_1904:
        first = datetime(1904, 1, 1)
    elif days == _LEAP_DAY:
        raise ValueError("holds 29 February 1900, which there never was")
    else:
        first = datetime(1899, 12, 31) if days < _LEAP_DAY else datetime(1899, 12, 30)
    try:
        return (first + days * _DAY).date().isoformat()
    except OverflowError:
        raise ValueError("is shown as a date and is none") from None


def _clock(milliseconds: int) -> str:
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}" + (f".{fraction:03}" if fraction else "")


def plain_text(stored: str) -> str:
    """A text without the escapes that stand for characters XML cannot hold."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), stored) if "_x" in stored else stored
