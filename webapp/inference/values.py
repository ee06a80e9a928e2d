"""Texts read as exact numbers and dates, by the same parsers as runs (``recipe.values``)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import TypeVar

from recipe import CsvFormat, DateOrder, Kind, parse_date, parse_number, parse_timestamp

_T = TypeVar("_T")
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,9}[1-9]|\.[0-9][1-9]?)?", re.ASCII)

# What may stand around an amount and must be taken off in SQL before it can be read: signs and codes of currencies.
CURRENCY = "[^0-9.,'+\u2212-]"
_SIGNS = (
    "EUR|USD|GBP|CHF|JPY|CNY|SEK|NOK|DKK|PLN|CZK|HUF|RON|BGN|ISK|TRY|AUD|CAD|NZD|INR|BRL|MXN|ZAR|SGD|HKD|KRW|ILS|AED|"
    r"[$€£¥₹]|Fr\.|kr|zł"
)
_CURRENCY = re.compile(CURRENCY)
_MONEY = re.compile(
    rf"\s*(?P<before>{_SIGNS})?\s*(?P<number>[+\-−]?\s?[0-9][0-9.,'’\u00a0\u202f ]*)\s*(?P<after>{_SIGNS})?\s*"
)
_DATED = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\s*[12]\d{7}\s*")
_ENOUGH = 0.95  # of the filled cells must read as a kind for the column to be of it
_LOOK = 400
# decimal, thousands; in the order in which a tie is decided
_NUMBER_FORMS = ((".", ""), (",", ""), (".", ","), (",", "."), (",", " "), (".", "'"), (".", "’"), (".", " "))


def number(text: str, form: CsvFormat) -> Decimal | None:
    """The exact number of a cell, None where SQL would need to clean it first or it is none."""
    if form.decimal == "." and _PLAIN.fullmatch(text):  # what parse_number gives, five times as fast
        return Decimal(text)
    return parse_number(text, form.decimal, form.thousands)


def cleaned_number(text: str, form: CsvFormat) -> Decimal | None:
    """The same with signs and codes of currencies taken off, exactly as the SQL of a draft does it.

    >>> cleaned_number("EUR 1,250.50", CsvFormat(thousands=","))
    Decimal('1250.50')
    """
    plain = number(text, form)
    return plain if plain is not None else parse_number(_CURRENCY.sub("", text), form.decimal, form.thousands)


def has_currency(text: str) -> bool:
    """Whether an amount carries the sign or code of a currency.

    >>> has_currency("$100"), has_currency("1,234.50")
    (True, False)
    """
    found = _MONEY.fullmatch(text)
    return found is not None and bool(found["before"] or found["after"])


def day(text: str, form: CsvFormat) -> date | None:
    """The calendar day of a cell; of a moment its day in UTC."""
    order = str(form.date_order)
    found = parse_date(text, order)
    if found is not None:
        return found
    moment = parse_timestamp(text, order)
    return moment.date() if moment is not None else None


def column_days(cells: Iterable[str | None], form: CsvFormat) -> list[date | None]:
    """The days of a column. Texts that repeat are read once."""
    return _each(cells, lambda text: day(text, form))


def column_numbers(cells: Iterable[str | None], form: CsvFormat, *, clean: bool = False) -> list[Decimal | None]:
    """The numbers of a column. Texts that repeat are read once."""
    if not clean:
        return _each(cells, lambda text: number(text, form))
    return _each(cells, lambda text: cleaned_number(text, form))


def _each(cells: Iterable[str | None], read: Callable[[str], _T | None]) -> list[_T | None]:
    known: dict[str | None, _T | None] = {None: None}
    found = []
    for cell in cells:
        if cell not in known:
            known[cell] = read(cell) if cell is not None else None
        found.append(known[cell])
    return found


def kind_of(cells: Sequence[str], kind: Kind, form: CsvFormat) -> str:
    """``number``, ``date`` or ``text``: what the filled cells of a column are by their content.

    A column that its source declares keeps its kind; texts are numbers or dates when almost all of them read so, and
    text when leading zeros say that digits are a name, as in 00123.
    """
    if kind.is_number:
        return "number"
    if kind.is_time:
        return "date"
    look = cells[:: max(1, len(cells) // _LOOK)]
    if kind is not Kind.TEXT or not look:
        return "text"
    if _share(day(text, form) is not None for text in look) >= _ENOUGH and _share(map(_is_dated, look)) >= _ENOUGH:
        return "date"
    if any(len(text) > 1 and text[0] == "0" and text.isdigit() for text in look):
        return "text"
    is_number = [_MONEY.fullmatch(text) is not None and cleaned_number(text, form) is not None for text in look]
    return "number" if _share(is_number) >= _ENOUGH else "text"


def _is_dated(text: str) -> bool:
    return _DATED.fullmatch(text) is not None


def _share(flags: Iterable[bool]) -> float:
    found = list(flags)
    return sum(found) / len(found) if found else 0.0


def settled_format(columns: Sequence[Sequence[str | None]], given: CsvFormat) -> CsvFormat:
    """The format by which most amounts and dates of a side read; ``given`` where the cells prove nothing better.

    A sniffer sees the beginning of a file only, and no cell with a currency sign.
    """
    looks = [[cell for cell in cells[:: max(1, len(cells) // _LOOK)] if cell] for cells in columns]
    money = [look for look in looks if look and _share(_MONEY.fullmatch(text) is not None for text in look) >= _ENOUGH]
    money = [look for look in money if any(not text.isdigit() for text in look)]
    dated = [look for look in looks if look and _share(map(_is_dated, look)) >= _ENOUGH]
    forms = [(given.decimal, given.thousands), *_NUMBER_FORMS]
    decimal, thousands = max(forms, key=lambda form: _read_numbers(money, form)) if money else forms[0]
    orders = [given.date_order, DateOrder.DMY, DateOrder.MDY, DateOrder.YMD]
    order = max(orders, key=lambda one: _read_days(dated, one)) if dated else given.date_order
    return given.model_copy(update={"decimal": decimal, "thousands": thousands, "date_order": order})


def _read_numbers(looks: Sequence[Sequence[str]], form: tuple[str, str]) -> int:
    clean = [[re.sub(CURRENCY if form[1] != " " else r"[^0-9.,'+ -]", "", text) for text in look] for look in looks]
    return sum(parse_number(text, *form) is not None for look in clean for text in look)


def _read_days(looks: Sequence[Sequence[str]], order: DateOrder) -> int:
    form = CsvFormat(date_order=order)
    return sum(day(text, form) is not None for look in looks for text in look)


def days_apart(one: date, other: date) -> int:
    """Whole days between two dates, never negative."""
    return abs((one - other).days)


__all__ = [
    "CURRENCY",
    "cleaned_number",
    "column_days",
    "column_numbers",
    "day",
    "days_apart",
    "has_currency",
    "kind_of",
    "number",
    "settled_format",
]
