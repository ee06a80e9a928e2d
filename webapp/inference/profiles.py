"""What each column of a side holds: kind, forms, uniqueness, and whether it looks personal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from recipe import CsvFormat, Kind
from webapp.inference import values
from webapp.inference.model import Cells, ColumnProfile, Profile, Table

_EXAMPLES = 3
_CODE = re.compile(r"[\w\-/.#:]{2,40}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")
_IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{10,30}")
_PHONE = re.compile(r"(\+|00)\d[\d ()/-]{7,18}\d")
_CARD = re.compile(r"\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}")
_NAME = re.compile(r"[^\W\d_][\w'’.&, -]{2,60}")
_NAME_HINTS = re.compile(
    r"name|customer|client|payer|payee|debtor|creditor|beneficiary|contact|person|kunde|auftraggeber|empf|zahler|"
    r"schuldner|partner|inhaber|holder|nom\b|nombre|cliente|sender|recipient|owner|employee|address|adresse|street",
    re.IGNORECASE,
)
_PERSONAL = 0.6  # of the filled cells
_WIDE = 12  # columns that may be tried as parts of a composite key
_LOOK = 200


def profile(table: Table) -> Profile:
    """What one side holds; counts are over ``table.rows``. A table is looked at once."""
    if "profile" not in table.memory:
        columns = tuple(_column(table, at) for at in range(len(table.names)))
        table.memory["profile"] = Profile(columns, _keys(table, columns), len(table.rows))
    known: Profile = table.memory["profile"]
    return known


def _column(table: Table, at: int) -> ColumnProfile:
    cells = table.column(table.names[at])
    filled = [cell for cell in cells if cell is not None]
    distinct = set(filled)
    kind = values.kind_of(filled, table.kinds[at], table.format)
    first, last = _range(list(distinct), kind, table.format)
    return ColumnProfile(
        name=table.names[at],
        kind=kind,
        rows=len(cells),
        filled=len(filled),
        distinct=len(distinct),
        is_unique=bool(cells) and len(filled) == len(cells) == len(distinct),
        is_constant=len(distinct) <= 1,
        is_code=_is_code(filled, kind),
        forms=_forms(filled, kind, table.format),
        cleaning=_cleaning(filled, kind, table.kinds[at], table.format),
        looks_personal=_personal(table.names[at], filled, kind),
        examples=tuple(dict.fromkeys(filled[:_LOOK]))[:_EXAMPLES],
        first=first,
        last=last,
    )


def _look(filled: Sequence[str]) -> Sequence[str]:
    return filled[:: max(1, len(filled) // _LOOK)]


def _is_code(filled: Sequence[str], kind: str) -> bool:
    """References: short texts with digits and no blanks, or whole numbers without a sign."""
    look = _look(filled)
    if not look or kind == "date":
        return False
    if kind == "number":
        return all(text.isdigit() for text in look)
    fits = sum(_CODE.fullmatch(text) is not None and any(c.isdigit() for c in text) for text in look)
    return fits >= 0.8 * len(look)


def _range(distinct: list[str], kind: str, form: CsvFormat) -> tuple[str, str]:
    if kind == "date":
        days = [day for day in values.column_days(distinct, form) if day is not None]
        return (min(days).isoformat(), max(days).isoformat()) if days else ("", "")
    if kind == "number":
        numbers = [one for one in values.column_numbers(distinct, form, clean=True) if one is not None]
        return (format(min(numbers), "f"), format(max(numbers), "f")) if numbers else ("", "")
    return "", ""


def _forms(filled: Sequence[str], kind: str, form: CsvFormat) -> tuple[str, ...]:
    look, found = _look(filled), []
    if kind == "number":
        if form.decimal == "," and any("," in text for text in look):
            found.append("decimal comma")
        if form.thousands and any(form.thousands in text for text in look):
            found.append("thousands marks")
        if any(map(values.has_currency, look)):
            found.append("currency signs")
    if kind == "date" and look and not any(re.match(r"\s*\d{4}", text) for text in look):
        found.append("month first" if str(form.date_order) == "mdy" else "day first")
    return tuple(found)


def _cleaning(filled: Sequence[str], kind: str, declared: Kind, form: CsvFormat) -> tuple[str, ...]:
    """Examples of cells that SQL must clean before they can be read."""
    if kind != "number" or declared is not Kind.TEXT:
        return ()
    odd = [text for text in filled if values.number(text, form) is None and values.cleaned_number(text, form)]
    return tuple(dict.fromkeys(odd))[:_EXAMPLES]


def _personal(name: str, filled: Sequence[str], kind: str) -> str:
    look = _look(filled)
    if not look:
        return ""
    for pattern, words in ((_EMAIL, "an e-mail address"), (_PHONE, "a phone number")):
        if sum(pattern.search(text) is not None for text in look) >= _PERSONAL * len(look):
            return words
    if sum(_is_iban(text) for text in look) >= _PERSONAL * len(look):
        return "a bank account"
    if sum(_is_card(text) for text in look) >= _PERSONAL * len(look):
        return "a card number"
    named = sum(_NAME.fullmatch(text) is not None for text in look) >= _PERSONAL * len(look)
    if kind == "text" and named and _NAME_HINTS.search(name):
        return "a name"
    return ""


def _is_iban(text: str) -> bool:
    plain = re.sub(r"\s", "", text).upper()
    if _IBAN.fullmatch(plain) is None or not plain.isascii():
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def _is_card(text: str) -> bool:
    if _CARD.fullmatch(text) is None:
        return False
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d if at % 2 == 0 else d * 2 - 9 * (d > 4) for at, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _keys(table: Table, columns: Sequence[ColumnProfile]) -> tuple[tuple[str, ...], ...]:
    """Columns that alone tell the rows apart, else pairs and triples of them; references first."""
    alone = [column for column in columns if column.is_unique]
    if alone or not table.rows:
        ranked = sorted(alone, key=lambda c: (not c.is_code, c.kind != "text", table.place(c.name)))
        return tuple((column.name,) for column in ranked)
    full = [c for c in columns if c.filled == c.rows and not c.is_constant]
    full = sorted(full, key=lambda c: (-c.distinct, table.place(c.name)))[:_WIDE]
    for size in (2, 3):
        found = [names for names in combinations([c.name for c in full], size) if is_key(table, names)]
        if found:
            return tuple(sorted(found, key=lambda names: _preference(names, columns)))
    return ()


def _preference(names: Sequence[str], columns: Sequence[ColumnProfile]) -> tuple[int, int]:
    """A key of references and dates before one of amounts and free texts."""
    by_name = {column.name: column for column in columns}
    places = {column.name: at for at, column in enumerate(columns)}
    return (
        sum(not by_name[name].is_code and by_name[name].kind != "date" for name in names),
        sum(places[name] for name in names),
    )


def is_key(table: Table, names: Sequence[str]) -> bool:
    """Whether the named columns are filled and unique together over the rows read."""
    places = [table.place(name) for name in names]
    seen: set[tuple[Cells, ...] | tuple[str | None, ...]] = set()
    for row in table.rows:
        key = tuple(row[at] for at in places)
        if None in key or key in seen:
            return False
        seen.add(key)
    return True
