"""What the first rows of two sources suggest: key, amounts, dates, and how a CSV writes them. Pure functions.

A suggestion only fills a form in; the person decides, and the run counts everything anew.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Table = Mapping[str, object]  # a rows object: columns with names, rows of texts or None
Values = dict[str, list[str]]

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ].*)?")
_DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}")
_POINT = re.compile(r"-?\d{1,3}(,\d{3})*\.\d{1,4}|-?\d+\.\d{1,4}")
_COMMA = re.compile(r"-?\d{1,3}([. ]\d{3})*,\d{1,4}|-?\d+,\d{1,4}")

# choice -> words, decimal, thousands
NUMBERS = {
    "1250.00": ("1250.00", ".", ""),
    "1,250.00": ("1,250.00", ".", ","),
    "1250,00": ("1250,00", ",", ""),
    "1.250,00": ("1.250,00", ",", "."),
    "1 250,00": ("1 250,00", ",", " "),
    "1'250.00": ("1'250.00", ".", "'"),
}
PLAIN = "1250.00"  # as a workbook's sheet has them
DATES = {"ymd": "2026-01-31", "dmy": "31.01.2026", "mdy": "01/31/2026"}


@dataclass(frozen=True)
class Side:
    """What the rows of one side look like."""

    key: str
    amount: str
    date: str
    numbers: str
    dates: str


def values_of(table: Table) -> Values:
    """The texts of each column, empty cells left out."""
    names = [column["name"] for column in table["columns"]]  # type: ignore[attr-defined]
    rows: Sequence[Sequence[str | None]] = table["rows"]  # type: ignore[assignment]
    return {name: [row[at] for row in rows if row[at]] for at, name in enumerate(names)}  # type: ignore[misc]


def side(table: Table) -> Side:
    """Suggestions for one source alone; "" where the rows suggest nothing."""
    values = values_of(table)
    number = len(table["rows"])  # type: ignore[arg-type]
    unique = [name for name, found in values.items() if len(found) == number and len(set(found)) == number]
    amounts = [name for name, found in values.items() if _mostly(found, _POINT) or _mostly(found, _COMMA)]
    dates = [name for name, found in values.items() if _mostly(found, _ISO_DATE) or _mostly(found, _DAY_FIRST)]
    first = next(iter(values), "")
    texts = [text for name in amounts for text in values[name]]
    days = [text for name in dates for text in values[name]]
    key = unique[0] if unique else first
    return Side(key, _first(amounts), _first(dates), _numbers(texts), _dates(days))


def pair(left: Table, right: Table) -> tuple[str, str]:
    """The two columns that share most values; empty when none share any."""
    best, found = 0, ("", "")
    rights = {name: set(texts) for name, texts in values_of(right).items()}
    for name, texts in values_of(left).items():
        distinct = set(texts)
        for other, others in rights.items():
            shared = len(distinct & others) * (len(distinct) + len(others))  # of equals, the one with more values
            if len(distinct & others) > 0 and shared > best and _tells_apart(texts, distinct):
                best, found = shared, (name, other)
    return found


def _tells_apart(texts: list[str], distinct: set[str]) -> bool:
    """Currencies and statuses agree on every row and say nothing; amounts and dates have fields of their own."""
    dated = _mostly(texts, _ISO_DATE) or _mostly(texts, _DAY_FIRST) or _mostly(texts, _POINT) or _mostly(texts, _COMMA)
    return len(distinct) * 2 > len(texts) and not dated


def _mostly(texts: list[str], form: re.Pattern[str]) -> bool:
    return bool(texts) and sum(form.fullmatch(text.strip()) is not None for text in texts) * 10 >= len(texts) * 9


def _first(names: list[str]) -> str:
    return names[0] if names else ""


def _numbers(texts: list[str]) -> str:
    if _mostly(texts, _COMMA) and not _mostly(texts, _POINT):
        for choice, mark in (("1.250,00", "."), ("1 250,00", " ")):
            if any(mark in text for text in texts):
                return choice
        return "1250,00"
    return "1,250.00" if any("," in text for text in texts) else "1250.00"


def _dates(texts: list[str]) -> str:
    found = [match for match in map(_DAY_FIRST.fullmatch, texts) if match]
    if not found:
        return "ymd"
    return "mdy" if any(int(match[2]) > 12 for match in found) else "dmy"
