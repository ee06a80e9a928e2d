"""How a CSV is written, found from a sample of its beginning. The rules are exact and documented, never a
score: what the sample does not prove keeps its default, so that a wrong guess cannot turn 1.234 into 1234.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from connectors.csv.records import MalformedRecord, Record, records
from recipe import CsvFormat, DateOrder

MAX_RECORDS = 1000
DELIMITERS = (",", ";", "\t", "|")
# Of equally good delimiters the rarer one in ordinary text wins: commas also stand in numbers and names.
_PREFERENCE = ("\t", "|", ";", ",")


def sample_records(data: bytes, delimiter: str, complete: bool) -> list[Record]:
    """Up to ``MAX_RECORDS`` records of a sample; the last one is dropped unless the sample is the
    ``complete`` file."""
    found: list[Record] = []
    try:
        found.extend(islice(records(data, delimiter.encode()), MAX_RECORDS))
    except MalformedRecord:
        return found  # the sample cuts a quoted field, or this is not the delimiter; what came before counts
    if found and found[-1].end == len(data) and not complete:
        found.pop()
    return found


def sniff_delimiter(data: bytes, complete: bool) -> str:
    """Comma, semicolon, tab or pipe.

    Only a delimiter that the header contains outside quotes can be it. Among those, the one under which most
    records are as wide as the header wins, then the one with the widest header, then the order tab, pipe,
    semicolon, comma. For a header of one field: the first of comma, semicolon, tab, pipe that leaves every
    record one field.
    """
    samples = {mark: sample_records(data, mark, complete) for mark in DELIMITERS}
    scores = {mark: _score(found) for mark, found in samples.items() if found and len(found[0].fields) > 1}
    if scores:
        return max(scores, key=lambda mark: (*scores[mark], -_PREFERENCE.index(mark)))
    # a header that is malformed under a delimiter left no records: reading on with it reports the fault
    single = [mark for mark, found in samples.items() if all(len(record.fields) == 1 for record in found)]
    return single[0] if single else ","


def _score(found: Sequence[Record]) -> tuple[float, int]:
    width = len(found[0].fields)
    return sum(len(record.fields) == width for record in found) / len(found), width


def sniff_values(cells: Iterable[str], delimiter: str, encoding: str) -> CsvFormat:
    """Decimal mark, grouping mark and date order that the cells prove; defaults where they prove nothing."""
    texts = [cell.strip() for cell in cells]
    decimal, thousands = _sniff_numbers(texts)
    return CsvFormat(
        delimiter=delimiter,
        encoding=encoding,
        decimal=decimal,
        thousands=thousands,
        date_order=_sniff_dates(texts),
    )


_NUMBER = re.compile(r"[+-]?\d+(?:([ ,.'’\u00a0\u202f])\d+)*(?:[.,]\d+)?")
_MARK = re.compile(r"[^\d+-]")


def _sniff_numbers(texts: Iterable[str]) -> tuple[str, str]:
    decimals: Counter[str] = Counter()
    groups: Counter[tuple[str, str]] = Counter()
    for text in texts:
        if _NUMBER.fullmatch(text) is None:
            continue
        decimal, group = _marks_of(text)
        if decimal:
            decimals[decimal] += 1
        if group:
            groups[(group, decimal)] += 1
    found = decimals.most_common()
    grouped_only = [group for (group, decimal), _ in groups.most_common() if not decimal]
    if not found and grouped_only:
        # 1.234.567 proves that the point groups, so the comma is the only decimal mark left; 1,234,567
        # likewise
        return ("," if grouped_only[0] == "." else "."), grouped_only[0]
    tie = len(found) > 1 and found[0][1] == found[1][1]
    decimal = "." if not found or tie else found[0][0]
    fitting = [group for (group, beside), _ in groups.most_common() if group != decimal and beside in ("", decimal)]
    return decimal, fitting[0] if fitting else ""


def _marks_of(text: str) -> tuple[str, str]:
    """(decimal, thousands) that one number proves; "" where it proves nothing. 1,234 and 1.234 prove
    nothing."""
    marks = _MARK.findall(text)
    parts = _MARK.split(text.lstrip("+-"))
    if not marks:
        return "", ""
    if len(set(marks)) == 1:
        return _single_mark(marks, parts)
    *inner, last = marks
    grouped = len(set(inner)) == 1 and last in ".," and inner[0] != last and _is_grouped(parts[:-1])
    return (last, inner[0]) if grouped else ("", "")


def _single_mark(marks: list[str], parts: list[str]) -> tuple[str, str]:
    mark = marks[0]
    if len(marks) > 1:
        return ("", mark) if _is_grouped(parts) else ("", "")
    if mark not in ".,":
        return ("", mark) if _is_grouped(parts) else ("", "")
    whole, fraction = parts
    could_group = len(fraction) == 3 and len(whole) <= 3 and not whole.startswith("0")
    return ("", "") if could_group else (mark, "")


def _is_grouped(parts: Sequence[str]) -> bool:
    head, *tail = parts
    return 1 <= len(head) <= 3 and bool(tail) and all(len(part) == 3 for part in tail)


_DATE = re.compile(r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:[ T].*)?")


def _sniff_dates(texts: Iterable[str]) -> DateOrder:
    """Year first is ymd. Day and month: a part above 12 proves the order, and points are only written day
    first."""
    votes: Counter[DateOrder] = Counter()
    for text in texts:
        found = _DATE.fullmatch(text)
        if found is None:
            continue
        first, mark, second, third = found.groups()
        if len(first) == 4 and len(third) <= 2:
            votes[DateOrder.YMD] += 1
        elif len(first) <= 2 and len(third) in (2, 4):
            order = _day_or_month_first(int(first), int(second), mark)
            votes.update([order] if order else [])
    found_orders = votes.most_common()
    tie = len(found_orders) > 1 and found_orders[0][1] == found_orders[1][1]
    return DateOrder.YMD if not found_orders or tie else found_orders[0][0]


def _day_or_month_first(first: int, second: int, mark: str) -> DateOrder | None:
    if 12 < first <= 31 and 1 <= second <= 12:
        return DateOrder.DMY
    if 12 < second <= 31 and 1 <= first <= 12:
        return DateOrder.MDY
    return DateOrder.DMY if mark == "." and 1 <= first <= 12 and 1 <= second <= 12 else None
