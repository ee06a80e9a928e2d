"""How two cells differ: which characters, and by how much in figures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from difflib import SequenceMatcher

Span = list[int]
_MOST_COMPARED = 400
_FIGURES = set("0123456789.,:-+TZ ")  # amounts and dates
_DIGITS = 80


def differing(left: str, right: str) -> tuple[list[Span], list[Span]]:
    """The characters of each text that the other has not, as ``[start, end]`` ranges."""
    start = _common_start(left, right)
    end = _common_start(left[start:][::-1], right[start:][::-1])
    middle = left[start : len(left) - end], right[start : len(right) - end]
    if len(left) == len(right) and not set(left + right) - _FIGURES:
        blocks = _by_place(*middle)
    elif max(map(len, middle)) > _MOST_COMPARED:  # comparing takes the square of their lengths
        blocks = [(0, len(middle[0]), 0, len(middle[1]))]
    else:
        codes = SequenceMatcher(None, *middle, autojunk=False).get_opcodes()
        blocks = [(a, b, c, d) for tag, a, b, c, d in codes if tag != "equal"]
    lefts = [[start + a, start + b] for a, b, _, _ in blocks if b > a]
    rights = [[start + c, start + d] for _, _, c, d in blocks if d > c]
    return lefts, rights


def _by_place(left: str, right: str) -> list[tuple[int, int, int, int]]:
    """Runs of places at which two texts of equal length differ: what is read digit under digit."""
    blocks: list[tuple[int, int, int, int]] = []
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        if a == b:
            continue
        if blocks and blocks[-1][1] == i:
            first = blocks.pop()[0]
            blocks.append((first, i + 1, first, i + 1))
        else:
            blocks.append((i, i + 1, i, i + 1))
    return blocks


def _common_start(left: str, right: str) -> int:
    number = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        number += 1
    return number


def difference(left: object, right: object) -> str | None:
    """How far two values are apart: ``15.00``, ``3 days``; None where distance means nothing."""
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        with localcontext() as context:
            context.prec = _DIGITS
            return shown_number(abs(first - second))
    if isinstance(left, date) and isinstance(right, date):
        return _time(left, right)
    return None


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def shown_number(number: Decimal) -> str:
    """All digits; zeros past the second decimal say nothing and are left out."""
    whole, point, fraction = format(number, "f").partition(".")
    return whole + point + fraction[:2] + fraction[2:].rstrip("0")


def _time(left: date, right: date) -> str:
    apart = abs(_moment(left) - _moment(right))
    if not apart % timedelta(days=1):
        return days(apart.days)
    rest = str(apart - timedelta(days=apart.days))
    return f"{days(apart.days)} {rest}" if apart.days else rest


def days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def _moment(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
