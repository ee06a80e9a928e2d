"""What a text means as a number, date or timestamp, and how a value is written in JSON rows (contract 1.5).

These functions are the reference: every engine and connector must agree with them, value for value. A text
that does not parse gives None; nothing is ever rounded or guessed.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from recipe.json_text import write_json

MAX_INTEGER_DIGITS = 28
MAX_FRACTION_DIGITS = 10
MAX_EXPONENT = 6_000  # of numbers outside cells; beyond it their plain notation would fill the memory

_BLANKS = " \t\n\r\v\f\u00a0\u202f"
_ANY_BLANK = (" ", "\u00a0", "\u202f")


def parse_number(text: str, decimal: str = ".", thousands: str = "") -> Decimal | None:
    """The exact number that a cell holds, or None.

    Accepted, between optional blanks: a sign (+, - or U+2212), ASCII digits, plain or in groups of three
    split by ``thousands``, a decimal part that may be empty or stand alone (``12.``, ``.5``), an exponent.
    The value must fit DECIMAL(38,10) exactly: at most 28 integer and 10 fractional digits that count.

    >>> parse_number("-1.234,50", ",", ".")
    Decimal('-1234.50')
    >>> parse_number("0.12345678901") is None
    True
    """
    parts = _number_parts(text, decimal, thousands)
    if parts is None:
        return None
    negative, digits, exponent = parts
    if digits == "0":
        return Decimal(0)
    if len(digits) + exponent > MAX_INTEGER_DIGITS or -exponent > MAX_FRACTION_DIGITS:
        return None
    return Decimal(f"{'-' if negative else ''}{digits}E{exponent}")


def parse_exact(text: str) -> Decimal | None:
    """A number in the same notation with ``.`` and no grouping, of any size up to 10^6000; for filter
    values."""
    parts = _number_parts(text, ".", "")
    if parts is None:
        return None
    negative, digits, exponent = parts
    if abs(exponent) > MAX_EXPONENT or len(digits) > MAX_EXPONENT:
        return None
    return Decimal(f"{'-' if negative else ''}{digits}E{exponent}")


def _number_parts(text: str, decimal: str, thousands: str) -> tuple[bool, str, int] | None:
    """(negative, digits without outer zeros, exponent); zero is ("0", 0)."""
    found = _number_pattern(decimal, thousands).fullmatch(text.strip(_BLANKS))
    if found is None:
        return None
    whole = re.sub(r"[^0-9]", "", found["whole"] or "")
    fraction = found["fraction"] or found["only_fraction"] or ""
    digits = (whole + fraction).lstrip("0")
    trimmed = digits.rstrip("0")
    if not trimmed:
        return False, "0", 0
    exponent_text = found["exponent"] or "0"
    if len(exponent_text.lstrip("+-0")) > 9:
        return found["sign"] in ("-", "\u2212"), trimmed, -(10**9) if exponent_text.startswith("-") else 10**9
    exponent = int(exponent_text) - len(fraction)
    # zeros written behind the last digit are dropped only where they lie behind the point, so 1.50 stays 1.50
    kept = digits if -MAX_FRACTION_DIGITS <= exponent <= 0 else trimmed
    return found["sign"] in ("-", "\u2212"), kept, exponent + len(digits) - len(kept)


@lru_cache(maxsize=64)
def _number_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    whole = "[0-9]+"
    if thousands:
        blank = thousands in _ANY_BLANK
        separator = f"[{''.join(_ANY_BLANK)}]" if blank else re.escape(thousands)
        whole = f"[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{3}})+"
    point = re.escape(decimal)
    return re.compile(
        rf"(?P<sign>[+\-\u2212]?)"
        rf"(?:(?P<whole>{whole})(?:{point}(?P<fraction>[0-9]*))?|{point}(?P<only_fraction>[0-9]+))"
        rf"(?:[eE](?P<exponent>[+-]?[0-9]+))?"
    )


_ISO_DATE = r"(?P<y>[0-9]{4})-(?P<m>[0-9]{2})-(?P<d>[0-9]{2})"
_DATES: dict[str, tuple[str, ...]] = {
    "iso": (_ISO_DATE,),
    "ymd": (
        _ISO_DATE,
        r"(?P<y>[0-9]{4})(?P<s>[/.])(?P<m>[0-9]{2})(?P=s)(?P<d>[0-9]{2})",
        r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})",
    ),
    "dmy": (_ISO_DATE, r"(?P<d>[0-9]{1,2})(?P<s>[-/.])(?P<m>[0-9]{1,2})(?P=s)(?P<y>[0-9]{4})"),
    "mdy": (_ISO_DATE, r"(?P<m>[0-9]{1,2})(?P<s>[-/.])(?P<d>[0-9]{1,2})(?P=s)(?P<y>[0-9]{4})"),
}
_TIME = (
    r"(?:[ T](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<micro>[0-9]{1,6}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_DATE_PATTERNS = {order: tuple(map(re.compile, forms)) for order, forms in _DATES.items()}
_TIMESTAMP_PATTERNS = {order: tuple(re.compile(form + _TIME) for form in forms) for order, forms in _DATES.items()}


def parse_date(text: str, order: str = "ymd") -> date | None:
    """The calendar date that a cell holds, or None.

    ``2026-03-01`` always; for ``ymd`` also ``2026/03/01``, ``2026.03.01``, ``20260301``; for ``dmy`` and
    ``mdy`` one or two digits each and four for the year, split twice by the same one of ``- / .``. ``order``
    "iso" takes the first form only.

    >>> parse_date("1.3.2026", "dmy")
    datetime.date(2026, 3, 1)
    """
    for pattern in _DATE_PATTERNS[order]:
        if found := pattern.fullmatch(text.strip(_BLANKS)):
            return _real_date(found)
    return None


def parse_timestamp(text: str, order: str = "ymd") -> datetime | None:
    """A date by the same rules, optionally followed by ``HH:MM[:SS[.ffffff]]`` and ``Z`` or ``+HH:MM``; or
    None.

    The value has no zone; with an offset it is the moment in UTC.

    >>> parse_timestamp("2026-03-01T00:30+01:00")
    datetime.datetime(2026, 2, 28, 23, 30)
    """
    for pattern in _TIMESTAMP_PATTERNS[order]:
        if found := pattern.fullmatch(text.strip(_BLANKS)):
            day = _real_date(found)
            return None if day is None else _moment(day, found)
    return None


def _real_date(found: re.Match[str]) -> date | None:
    try:
        return date(int(found["y"]), int(found["m"]), int(found["d"]))
    except ValueError:
        return None  # such as 30 February: the text is no date


def _moment(day: date, found: re.Match[str]) -> datetime | None:
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    offset_hour, offset_minute = map(int, (found["zone"] or "Z").replace("Z", "+00:00")[1:].split(":"))
    if hour > 23 or minute > 59 or second > 59 or offset_hour > 23 or offset_minute > 59:
        return None
    written = datetime.combine(day, time(hour, minute, second, int((found["micro"] or "0").ljust(6, "0"))))
    offset = timedelta(hours=offset_hour, minutes=offset_minute)
    try:
        return written + offset if (found["zone"] or "Z").startswith("-") else written - offset
    except OverflowError:
        return None  # the moment in UTC lies before year 1 or after 9999


def format_cell(value: object) -> str | None:
    """The text of a value in JSON rows: exact digits, ISO dates, ``Z`` for moments in UTC; None for NULL.

    A double gets its shortest text, a decimal never an exponent, bytes become hex, lists and objects JSON.

    >>> format_cell(Decimal("1E+3")), format_cell(True), format_cell(0.1)
    ('1000', 'true', '0.1')
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return _format_double(value)
    if isinstance(value, datetime):
        aware = value.tzinfo is not None
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z" if aware else value.isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value.hex()
    if isinstance(value, (list, tuple, dict)):
        return write_json(_json_ready(value))
    return str(value)


def _format_double(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value).removesuffix(".0")


def _json_ready(value: object) -> Any:
    """Nested values as JSON can hold them; what JSON has no form for becomes its cell text."""
    if isinstance(value, dict):
        return {str(k): _json_ready(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(v) for v in value]
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (float, Decimal)) and math.isfinite(value):
        return value
    return format_cell(value)
