"""Output: tables and sentences for people, one JSON object for programs, and nothing that a terminal would obey.

Cells, file names and messages come from anywhere. Every text is escaped before it is printed, and nothing is read as
rich's markup.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

# C0, DEL and C1; then characters that reverse, join or break what a person sees.
_HOSTILE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_WIDE = 20_000  # without a terminal nothing is folded or cut
NOTHING = "·"


def printable(value: object) -> str:
    """The text with every control character written out.

    >>> printable("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return _HOSTILE.sub(_escaped, str(value))


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def out() -> Console:
    """The console of results. Without a terminal it is wide, so that nothing is cut."""
    return _console(sys.stdout)


def err() -> Console:
    """The console of progress and errors."""
    return _console(sys.stderr)


def _console(file: Any) -> Console:
    # A file name may hold bytes that are no text, and a terminal may not know every character: print them escaped.
    if hasattr(file, "reconfigure"):
        file.reconfigure(errors="backslashreplace")
    terminal = file.isatty()
    width = None if terminal else _WIDE
    return Console(file=file, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not terminal)


def styled(value: object, style: str = "") -> Text:
    """Escaped text in a style."""
    return Text(printable(value), style=style)


def line(console: Console, *parts: object) -> None:
    """Print one line put together from texts, escaped unless they are styled already."""
    console.print(Text.assemble(*(p if isinstance(p, Text) else styled(p) for p in parts)))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> Table:
    """A plain table; columns whose places stand in ``right`` are aligned there."""
    found = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, header in enumerate(headers):
        found.add_column(styled(header), justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        found.add_row(*(cell if isinstance(cell, Text) else styled(NOTHING if cell is None else cell) for cell in row))
    return found


def print_rows(
    console: Console, headers: Sequence[str], rows: Sequence[Sequence[object]], right: Sequence[int]
) -> None:
    """A table; where it is wider than the terminal, the rows one below the other as ``name  value``."""
    found = table(headers, rows, right)
    if console.measure(found, options=console.options.update(width=_WIDE)).maximum <= console.width:
        console.print(found)
        return
    for number_, row in enumerate(rows, 1):
        line(console, styled(f"--- {number_} ---", "dim"))
        pairs = table(["", ""], [(styled(h, "bold"), cell) for h, cell in zip(headers, row, strict=True)])
        pairs.show_header = False
        console.print(pairs)


def print_json(document: object) -> None:
    """One JSON object on standard output, in ASCII: no terminal and no locale can misread it."""
    click.echo(json.dumps(document, ensure_ascii=True, indent=1, default=_plain))


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def number(value: int | None) -> str:
    """``1234567`` as ``1,234,567``."""
    return "–" if value is None else f"{value:,}"


def amount(text: str | Decimal) -> str:
    """A sum with groups of three and a true minus; zeros past the second decimal are left out.

    >>> amount("-8507.0000000000")
    '−8,507.00'
    """
    whole, point, fraction = format(Decimal(text), ",f").partition(".")
    shown = whole + point + fraction[:2] + fraction[2:].rstrip("0") if point else whole
    return shown.replace("-", "−")


def percent(rate: float | None) -> str:
    """``0.4666`` as ``46.7 %``. Never rounded up to 100 % or down to 0 %: one open record is not none."""
    if rate is None:
        return "–"
    text = f"{rate * 100:.1f}"
    if (text == "100.0") != (rate == 1) or (text == "0.0") != (rate == 0):
        text = f"{rate * 100:.6f}".rstrip("0")
    return f"{text} %"


def plural(count: int, noun: str) -> str:
    """``1 record``, ``2 records``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
