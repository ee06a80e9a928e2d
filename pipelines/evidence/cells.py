"""What a cell of evidence becomes in a file for people: safe text in a CSV, a number or a date in a workbook."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.evidence.reader import is_ids
from recipe import format_cell, parse_number

# What spreadsheets take for the beginning of a formula, also in its full-width forms.
_FORMULA = "^[=+\\-@\t\r\n＝＋－＠]"
_PLAIN_NUMBER = r"^[+-]?[0-9.,]*[0-9]([eE][+-]?[0-9]+)?$"
_EXACT_DIGITS = 15
_FIRST_DAY = date(1900, 3, 1)  # spreadsheets believe in 29 February 1900: days before it move by one
_LEADING_ZERO = re.compile(r"\s*[+\-\u2212]?0[0-9]")
_NOT_XML = re.compile("[\ufffe\uffff]")

Cell = str | float | date | datetime | None


def neutral(texts: pa.Array) -> pa.Array:
    """Texts with an apostrophe before those that a spreadsheet would run as a formula; plain numbers stay."""
    risky = pc.and_(
        pc.match_substring_regex(texts, _FORMULA), pc.invert(pc.match_substring_regex(texts, _PLAIN_NUMBER))
    )
    if not pc.any(risky).as_py():
        return texts
    marked = pc.binary_join_element_wise(pa.scalar("'", texts.type), texts, pa.scalar("", texts.type))
    return pc.if_else(risky, marked, texts)


@dataclass(frozen=True)
class NumberTexts:
    """How a text column is to be read as a number."""

    decimal: str
    thousands: str


def cell_maker(kind: pa.DataType, texts: NumberTexts | None = None) -> Callable[[Any], Cell]:
    """Python value -> workbook cell, for a column of type ``kind``.

    Numbers of more than 15 digits stay text, since a workbook would round them; so do moments finer than a
    millisecond, days before March 1900, and number texts with leading zeros.
    """
    if is_ids(kind):
        return lambda value: None if value is None else " ".join(map(str, value))
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind):
        return _number_cell
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _time_cell
    if texts is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return lambda value: _number_text_cell(value, texts)
    return _text_cell


def _text_cell(value: Any) -> Cell:
    text = format_cell(value)
    # These two characters cannot stand in XML; their escaped form is what workbooks use.
    return None if text is None else _NOT_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def _number_cell(value: Any) -> Cell:
    if value is None:
        return None
    text = format_cell(value)
    assert text is not None, "only None has no text"
    exact = Decimal(text)
    if not exact.is_finite():
        return text
    digits = "".join(map(str, exact.as_tuple().digits)).strip("0")
    small = not exact or abs(exact.adjusted()) < 290
    return float(exact) if len(digits) <= _EXACT_DIGITS and small else text


def _number_text_cell(value: str | None, texts: NumberTexts) -> Cell:
    if value is None or _LEADING_ZERO.match(value):
        return _text_cell(value)
    number = parse_number(value, texts.decimal, texts.thousands)
    if number is None:
        return _text_cell(value)
    cell = _number_cell(number)
    return cell if isinstance(cell, float) else value


def _time_cell(value: Any) -> Cell:
    if value is None:
        return None
    day = value.date() if isinstance(value, datetime) else value
    if day < _FIRST_DAY:
        return format_cell(value)
    if isinstance(value, datetime):
        if value.microsecond % 1000:
            return format_cell(value)
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return day


def number_pattern(kind: pa.DataType, texts: NumberTexts | None) -> str:
    """The workbook's format for a column; "" for general."""
    if pa.types.is_decimal(kind) and kind.scale > 0:
        return f"0.{'0' * min(kind.scale, 2)}{'#' * (kind.scale - 2)}"
    if texts is not None and pa.types.is_string(kind):
        return "0.00########"
    if pa.types.is_timestamp(kind):
        return 'yyyy-mm-dd hh:mm:ss"Z"' if kind.tz else "yyyy-mm-dd hh:mm:ss"
    return "yyyy-mm-dd" if pa.types.is_date(kind) else ""
