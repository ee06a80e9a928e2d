"""What the first rows of two sources suggest to a form: key, amounts, dates, and how a CSV writes them.

A suggestion only fills the form in; the person decides, and the run counts everything anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recipe import CsvFormat, Kind

if TYPE_CHECKING:
    from webapp.inference.model import Table

RowsObject = Mapping[str, object]  # columns with names, rows of texts or None

# choice -> words, decimal, thousands
NUMBERS = {
    "1250.00": ("1250.00", ".", ""),
    "1,250.00": ("1,250.00", ".", ","),
    "1250,00": ("1250,00", ",", ""),
    "1.250,00": ("1.250,00", ",", "."),
    "1 250,00": ("1 250,00", ",", " "),
    "1'250.00": ("1'250.00", ".", "'"),
}
DATES = {"ymd": "2026-01-31", "dmy": "31.01.2026", "mdy": "01/31/2026"}


@dataclass(frozen=True)
class Side:
    """What the rows of one side look like."""

    key: str
    amount: str
    date: str
    numbers: str
    dates: str


def side(given: RowsObject) -> Side:
    """Suggestions for one source alone; "" where the rows suggest nothing."""
    # Imported here: it brings the engine, which the first page should not wait for.
    from webapp.inference.columns import Columns
    from webapp.inference.profiles import profile

    table = _table(given)
    columns = Columns(table, profile(table))
    keys = [names[0] for names in columns.profile.keys if len(names) == 1]
    written = {(decimal, thousands): choice for choice, (_, decimal, thousands) in NUMBERS.items()}
    form = table.format
    return Side(
        key=_first([*keys, *table.names]),
        amount=_first(columns.amounts),
        date=_first(columns.dates),
        numbers=written.get((form.decimal, form.thousands), "1250.00"),
        dates=str(form.date_order),
    )


def pair(left: RowsObject, right: RowsObject) -> tuple[str, str]:
    """The two columns that share a reference; empty where none do as they stand, or but for blanks and capitals."""
    from webapp.inference.links import analyse

    found = analyse(_table(left), _table(right))
    links = [link for key in found.keys for link in key if link.op in ("eq", "normalized")]
    return (links[0].left_col, links[0].right_col) if links else ("", "")


def _table(given: RowsObject) -> Table:
    from webapp.inference.model import Table
    from webapp.inference.values import settled_format

    names = tuple(column["name"] for column in given["columns"])  # type: ignore[attr-defined]
    rows: Sequence[Sequence[str | None]] = given["rows"]  # type: ignore[assignment]
    form = settled_format([[row[at] or None for row in rows] for at in range(len(names))], CsvFormat())
    cells = [[cell or None for cell in row] for row in rows]
    return Table(names, (Kind.TEXT,) * len(names), cells, form, len(cells))


def _first(names: Sequence[str]) -> str:
    return names[0] if names else ""
