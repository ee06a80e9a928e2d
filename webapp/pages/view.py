"""Figures, times and bars as people read them: pure functions, no Flask, no database.

Texts that come from sources stay as they are unless they are plain numbers; nothing here makes HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

DASH = "–"
MINUS = "−"
_PLAIN_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
# How checks begin what they say about a field.
_PREDICATES = ("must", "is", "are", "has", "have", "needs", "cannot", "names", "does", "takes")
_PLACE = re.compile(r"^(?:match_sql: )?line \d+, column \d+: ")
_SIDE_COLUMN = re.compile(r"\b(left|right)_src\.")
_LEAST_BAR = Decimal("0.6")  # per cent of the width: a single record among millions is still seen

EXCELLENT, FAIR = Decimal("0.9"), Decimal("0.7")
LOW_RATE, MUCH_UNMATCHED = Decimal("0.8"), Decimal("0.2")

BRIEF_REASONS = {
    "no_key": "no such key",
    "null_key": "key is empty",
    "predicate": "a condition fails",
    "unparseable": "not readable",
    "excluded": "left out by its own side",
    "not_in_result": "not in the result",
    "other_side_empty": "nothing on the other side",
}
SETS = {"matched": "Matched", "unmatched_left": "Unmatched left", "unmatched_right": "Unmatched right"}
FINAL = ("completed", "failed", "cancelled")
STATUSES = {
    "pending": "Waiting to be sent",
    "submitted": "Waiting its turn",
    "running": "Running",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}
STAGES = {
    "staging": "Reading the sources",
    "matching": "Matching records",
    "writing_results": "Writing the evidence",
}
SOURCE_STATUSES = {
    "connected": "Registered",
    "active": "Uploaded",
    "ok": "Uploaded",
    "error": "Could not be reached",
}
SOURCE_TYPES = {
    "postgres": "PostgreSQL table",
    "csv": "CSV file",
    "csv_upload": "Uploaded CSV",
    "s3": "Object in S3",
    "parquet": "Parquet file",
    "file": "File",
    "elasticsearch": "Elasticsearch index",
    "bigquery": "BigQuery table",
    "sqlite": "SQLite table",
    "mysql": "MySQL or MariaDB table",
}
VERDICTS = {"Excellent": "good", "Fair": "warn", "Needs Review": "bad"}


def sentence(words: str) -> str:
    """What a check says about a field, as a sentence of its own: ``must be text`` -> ``Must be text.``"""
    first = words.partition(" ")[0]
    begun = words[:1].upper() + words[1:] if first in _PREDICATES else words
    return begun if not begun or begun[-1] in ".!?:" else f"{begun}."


def in_words(warning: str) -> str:
    """A warning about a rule without its place in the SQL, its columns named by their side.

    >>> in_words("line 1, column 211: left_src.amount is text and is read as a number")
    'Left amount is text and is read as a number.'
    """
    plain = _SIDE_COLUMN.sub(r"\1 ", _PLACE.sub("", warning))
    return sentence(plain[:1].upper() + plain[1:] if plain.startswith(("left ", "right ")) else plain)


def reason_words(key: str) -> str:
    """Why a record is unmatched, for people; a reason that is not known here as it is."""
    from pipelines.evidence import REASONS  # the engine behind it is loaded with the first run that is shown

    words = REASONS.get(key, key)
    return words[:1].upper() + words[1:] if key in REASONS else words


# --- numbers -------------------------------------------------------------------------------------------


def count(value: object) -> str:
    """``15000`` -> ``15,000``; a dash for what is not known."""
    return DASH if value is None else f"{int(str(value)):,}".replace("-", MINUS)


def plural(value: int, one: str, several: str = "") -> str:
    """``1 record``, ``1,200 records``."""
    return f"{count(value)} {one if value == 1 else several or one + 's'}"


def exact(value: object) -> Decimal | None:
    """The number that a plain decimal text holds; None for anything else."""
    text = "" if value is None else str(value).strip()
    return Decimal(text) if _PLAIN_NUMBER.fullmatch(text) else None


def is_amount(value: object) -> bool:
    """Whether a cell is a number with decimals: ids and years are whole numbers, and stay at the left."""
    return "." in str(value or "") and exact(value) is not None


def grouped(value: object) -> str:
    """A number with thousands separators and a true minus, its digits as written; other texts as they are."""
    text = "" if value is None else str(value)
    if exact(text) is None:
        return text
    bare = text.strip().lstrip("+")
    sign, digits = (MINUS, bare[1:]) if bare.startswith("-") else ("", bare)
    whole, point, fraction = digits.partition(".")
    places = len(whole) - len(whole.lstrip("0"))
    if places and len(whole) > 1:  # leading zeros mean something: 00123 is no amount
        return text
    head = len(whole) % 3 or 3
    groups = [whole[:head], *(whole[at : at + 3] for at in range(head, len(whole), 3))]
    return sign + ",".join(groups) + point + fraction


def money(value: object) -> str:
    """An exact total: thousands separators, a true minus, zeros beyond the second decimal left out.

    >>> money("-47109.6400000000")
    '−47,109.64'
    """
    number = exact(value)
    if number is None:
        return DASH if value is None else str(value)
    text = format(abs(number), "f")
    whole, point, fraction = text.partition(".")
    fraction = fraction.rstrip("0").ljust(2, "0") if point else ""
    signed = MINUS if number < 0 else ""
    return f"{signed}{int(whole):,}" + (f".{fraction}" if fraction else "")


def minus(left: object, right: object) -> str | None:
    """The exact difference of two decimal texts; None when one of them is no number."""
    first, second = exact(left), exact(right)
    if first is None or second is None:
        return None
    with localcontext(prec=100):
        return format(first - second, "f")


def is_zero(value: object) -> bool:
    """Whether a decimal text is a zero of any scale."""
    number = exact(value)
    return number is not None and not number


def rate(value: float | None) -> str:
    """``0.4667`` -> ``46.7 %``. Only everything is shown as 100.0 %, and only nothing as 0.0 %."""
    if value is None:
        return DASH
    percent = (Decimal(str(value)) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if 0 < value < 1:
        percent = min(max(percent, Decimal("0.1")), Decimal("99.9"))
    return f"{percent} %"


def share(part: int, whole: int) -> str:
    """A part as percentage of the whole; a dash of nothing."""
    return rate(part / whole) if whole else DASH


def verdict(value: float | None) -> str | None:
    """The word beside a match rate."""
    if value is None:
        return None
    exactly = Decimal(str(value))
    return "Excellent" if exactly >= EXCELLENT else "Fair" if exactly >= FAIR else "Needs Review"


def notices(run: Mapping[str, Any]) -> list[str]:
    """What a completed run wants looked at: a rate below 80 %, more than 20 % of one side unmatched."""
    found = []
    value = run.get("match_rate")
    if value is not None and Decimal(str(value)) < LOW_RATE:
        found.append(f"Fewer than 80 % of the left records are matched: {rate(value)}.")
    for side in ("left", "right"):
        read, unmatched = run.get(f"{side}_record_count") or 0, run.get(f"unmatched_{side}_count") or 0
        if read and Decimal(unmatched) > MUCH_UNMATCHED * read:
            verb = "is" if unmatched == 1 else "are"
            part = f"{count(unmatched)} of {plural(read, f'{side} record')}"
            found.append(f"{part} {verb} unmatched: {share(unmatched, read)}.")
    return found


# --- times ---------------------------------------------------------------------------------------------


def instant(text: object) -> datetime | None:
    """The moment of an ISO text; None for none."""
    if isinstance(text, datetime):
        return text
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC) if text else None
    except ValueError:
        return None


def moment(text: object) -> str:
    """``21 Nov 2026, 04:44 UTC``; the browser shows its own time where it can."""
    when = instant(text)
    return DASH if when is None else f"{when.day} {when:%b %Y, %H:%M} UTC"


def iso(text: object) -> str:
    """The machine form of a time."""
    when = instant(text)
    return "" if when is None else f"{when:%Y-%m-%dT%H:%M:%SZ}"


def seconds(start: object, end: object) -> float | None:
    """Seconds between two times; None when one is missing."""
    first, last = instant(start), instant(end)
    return None if first is None or last is None else max((last - first).total_seconds(), 0.0)


def duration(value: float | None) -> str:
    """``2.1 s``, ``3 min 12 s``, ``1 h 04 min``."""
    if value is None:
        return DASH
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


# --- bars --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bar:
    """One line of a bar chart; ``width`` in per cent of the longest."""

    label: str
    count: int
    share: str
    width: str
    key: str = ""
    value: str | None = None


def bars(items: Iterable[tuple[str, str, int, str | None]], whole: int, *, in_order: bool = False) -> list[Bar]:
    """Bars of (key, label, count, value), the largest first and equal ones by their label, unless given in order."""
    ordered = list(items) if in_order else sorted(items, key=lambda item: (-item[2], item[1]))
    most = max((item[2] for item in ordered), default=0)
    return [
        Bar(label, number, share(number, whole), _width(number, most), key, value)
        for key, label, number, value in ordered
    ]


def _width(number: int, most: int) -> str:
    if number <= 0:
        return "0"
    percent = max(Decimal(number * 100) / most, _LEAST_BAR).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return format(percent.normalize(), "f")
