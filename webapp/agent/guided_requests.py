"""What a person writes in guided mode, understood by plain patterns: nothing is guessed beyond them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from recipe import Kind
from webapp.inference import Analysis

_OTHER_FILE = re.compile(
    r"\b(?:use|take|try|choose|upload|send|want)?\s*(?:an(?:other)?|a different|the other|a new|different|new|wrong)"
    r"\s+(?:file|source|statement|table|data)\b|\bwrong (?:file|source)\b|\breplace\b.*\b(?:file|source|left|right)\b",
    re.IGNORECASE,
)
_SWAP = re.compile(
    r"\bswap\b|\bswitch (?:sides|them|left|the)\b|\bother way (?:a)?round\b|"
    r"\b(?:left|right) is the (?:other|right|left)\b|"
    r"\bexchange (?:sides|them)\b|\bmix(?:ed)? up\b",
    re.IGNORECASE,
)
_GO_ON = re.compile(
    r"\s*(?:go on|continue|next|ok(?:ay)?|yes|y|proceed|please|start|hello|hi|hallo|weiter|carry on|let'?s go)[\s.!]*",
    re.IGNORECASE,
)
_OTHER_PAIRS = re.compile(r"\b(?:other|more|different|new|again)\b.*\bpairs?\b|\bask (?:me )?again\b", re.IGNORECASE)
_ALL_ROWS = re.compile(
    r"\b(?:all|every)\s+(?:the\s+)?(?:rows?|records?)\b|\bno filters?\b|\bremove (?:the )?filters?\b", re.IGNORECASE
)
_TOLERANCE = re.compile(
    r"(?:tolerance|allow|accept|differ\w*|apart|up to|at most|within|max\w*)\D{0,30}?"
    r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<unit>cents?|ct|days?)?",
    re.IGNORECASE,
)
_PLAIN_NUMBER = re.compile(r"\s*[€$£]?\s*(\d+(?:[.,]\d+)?)\s*(cents?|ct|%|eur|usd|€)?\s*", re.IGNORECASE)
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:only|just|in|from|of|for)?\s*(20\d\d|19\d\d)\b", re.IGNORECASE)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH = re.compile(rf"\b({'|'.join(name[:3] + f'(?:{name[3:]})?' for name in _MONTHS)})\b", re.IGNORECASE)
_NUMERIC_MONTH = re.compile(r"\b(20\d\d)-(\d\d)\b(?!-)")
_SINCE = re.compile(r"\b(since|after|from|before|until|up to)\s+(\d{4}-\d{2}-\d{2})\b", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\b(over|above|more than|greater than|larger than|at least|from|under|below|less than|smaller than|at most)\s+"
    r"[€$£]?\s*(\d[\d,]*(?:\.\d+)?)(?!\d|-)",
    re.IGNORECASE,
)
_AMOUNT_OPS = {
    **dict.fromkeys(("over", "above", "more than", "greater than", "larger than"), "gt"),
    **dict.fromkeys(("under", "below", "less than", "smaller than"), "lt"),
    **dict.fromkeys(("at least", "from"), "gte"),
    "at most": "lte",
}
Condition = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What was asked for. ``kind`` is swap, other_file, other_pairs, filter, all_rows, go_on, side or unknown; ``side``
    is the side that it names; ``conditions`` are filters by side; ``problem`` says why a filter cannot be used."""

    kind: str
    side: str | None = None
    conditions: dict[str, list[Condition]] = field(default_factory=dict)
    problem: str = ""


def understood(text: str, analysis: Analysis | None) -> Request:
    """What a message asks for. Filters need to know the columns, so without an analysis there are none."""
    named = _SIDE.search(text)
    side = named[1].lower() if named else None
    if _SWAP.search(text):
        return Request("swap")
    if _OTHER_FILE.search(text):
        return Request("other_file", side)
    if _OTHER_PAIRS.search(text):
        return Request("other_pairs")
    if re.fullmatch(r"\W*(?:the\s+)?(left|right)(?:\s+(?:one|side|file))?\W*", text, re.IGNORECASE):
        return Request("side", side)
    if _GO_ON.fullmatch(text):
        return Request("go_on")
    if _ALL_ROWS.search(text):
        return Request("all_rows")
    if analysis is not None:
        found = _filters(text, analysis, side)
        if found is not None:
            return found
    return Request("unknown", side)


def tolerance_in(text: str) -> str | None:
    """The limit of amounts that a text asks for, exact; None where it names none.

    >>> tolerance_in("allow 5 cents"), tolerance_in("0,05"), tolerance_in("within 3 days")
    ('0.05', '0.05', None)
    """
    found = _PLAIN_NUMBER.fullmatch(text)
    number, unit = (found[1], found[2]) if found else ("", "")
    if not found:
        said = _TOLERANCE.search(text)
        if said is None or (said["unit"] or "").lower().startswith("day"):
            return None
        number, unit = said["number"], said["unit"]
    plain = number.replace(",", ".")
    if (unit or "").lower() in ("cent", "cents", "ct"):
        whole, _, rest = plain.partition(".")
        return f"0.{whole.zfill(2)}{rest}" if len(whole) <= 2 else f"{whole[:-2]}.{whole[-2:]}{rest}"
    return plain


# --- filters -------------------------------------------------------------------------------------------


def _filters(text: str, analysis: Analysis, side: str | None) -> Request | None:
    sides = [name for name in ("left", "right") if side in (None, name)]
    for read in (_by_amount, _by_moment, _by_period, _by_value):
        conditions: dict[str, list[Condition]] = {}
        problem = ""
        for name in sides:
            found = read(text, analysis, ("left", "right").index(name))
            if isinstance(found, str):
                problem = problem or found
            elif found:
                conditions[name] = found
        if conditions:
            return Request("filter", side, conditions)
        if problem:
            return Request("filter", side, {}, problem)
    return None


Found = list[Condition] | str | None


def _by_amount(text: str, analysis: Analysis, at: int) -> Found:
    said = _AMOUNT.search(text)
    if said is None:
        return None
    columns = analysis.sides[at]
    if not columns.amounts:
        return None
    name = columns.amounts[0]
    declared = columns.table.kind(name)
    if declared is Kind.TEXT and (columns.table.format.decimal != "." or columns.profile.column(name).cleaning):
        return f"The amounts in {name} are written in a way that cannot be filtered yet; filter them before the export."
    number = said[2].replace(",", "")
    return [{"column": name, "op": _AMOUNT_OPS[said[1].lower()], "value": _number(number)}]


def _number(text: str) -> Any:
    return int(text) if text.isdigit() else Decimal(text)


def _date_column(analysis: Analysis, at: int) -> tuple[str, bool] | None:
    """The first date column, and whether its cells are texts that are not in ISO form."""
    columns = analysis.sides[at]
    if not columns.dates:
        return None
    name = columns.dates[0]
    is_text = columns.table.kind(name) is Kind.TEXT
    examples = columns.profile.column(name).examples
    return name, is_text and not all(re.match(r"\d{4}-\d{2}-\d{2}", one) for one in examples)


def _by_moment(text: str, analysis: Analysis, at: int) -> Found:
    said, column = _SINCE.search(text), _date_column(analysis, at)
    if said is None or column is None:
        return None
    name, is_odd = column
    if is_odd:
        return f"The dates in {name} cannot be compared by day here; name a year or a month, such as “only March 2026”."
    op = {"since": "gte", "from": "gte", "after": "gt", "before": "lt"}.get(said[1].lower(), "lte")
    return [{"column": name, "op": op, "value": said[2]}]


def _by_period(text: str, analysis: Analysis, at: int) -> Found:
    """A year, a month, or both."""
    numeric, year, month = _NUMERIC_MONTH.search(text), _YEAR.search(text), _MONTH.search(text)
    column = _date_column(analysis, at)
    if column is None or not (numeric or year or (month and month[1].lower() != "may")):
        return None
    name, is_odd = column
    which = int(numeric[2]) if numeric else _month_number(month[1]) if month else 0
    when = int(numeric[1]) if numeric else int(year[1]) if year else _only_year(analysis, at, name)
    if which > 12 or not when:
        return "Name the year as well, such as “only March 2026”."
    if is_odd:
        return [{"column": name, "op": "like", "value": _like(analysis, at, when, which)}]
    first = date(when, which or 1, 1)
    last = date(when + 1, 1, 1) if which in (0, 12) else date(when, which + 1, 1)
    if analysis.sides[at].table.kind(name) is Kind.DATE:
        until = {"op": "lte", "value": (last - timedelta(days=1)).isoformat()}
    else:
        until = {"op": "lt", "value": last.isoformat()}
    return [{"column": name, "op": "gte", "value": first.isoformat()}, {"column": name, **until}]


def _month_number(text: str) -> int:
    return next(at for at, name in enumerate(_MONTHS, start=1) if name.startswith(text.lower()[:3]))


def _only_year(analysis: Analysis, at: int, name: str) -> int:
    """The year of a column all of whose dates lie in one; else 0."""
    about = analysis.sides[at].profile.column(name)
    return int(about.first[:4]) if about.first and about.first[:4] == about.last[:4] else 0


def _like(analysis: Analysis, at: int, year: int, month: int) -> str:
    """A pattern for texts of the side's order of day and month."""
    if not month:
        return f"%{year}%"
    return (
        f"{month:02}_%_{year}%" if str(analysis.sides[at].table.format.date_order) == "mdy" else f"%_{month:02}_{year}%"
    )


def _by_value(text: str, analysis: Analysis, at: int) -> Found:
    """``currency is EUR``, ``company = DE01``: a column by its name, and a value."""
    names: Sequence[str] = sorted(analysis.sides[at].table.names, key=len, reverse=True)
    for name in names:
        said = re.search(
            rf"\b{re.escape(name)}\s*(?:=|is|equals|:)\s*[\"“']?([^\"”']+?)[\"”']?\s*[.!]?\s*$", text, re.IGNORECASE
        )
        if said:
            return [{"column": name, "op": "eq", "value": said[1]}]
    return None
