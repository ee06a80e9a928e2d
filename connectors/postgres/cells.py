"""Cell texts of a preview, straight from what the server printed."""

from __future__ import annotations

from datetime import date, datetime

from recipe import Kind, format_cell


def printed_cell(text: str | None, kind: Kind) -> str | None:
    """The cell as contract 1.5 prints it. Dates beyond Python's (infinity, BC, year 10000) stay as they are.

    >>> printed_cell("2026-01-31 12:00:00+00", Kind.TIMESTAMPTZ), printed_cell("t", Kind.BOOLEAN)
    ('2026-01-31T12:00:00Z', 'true')
    """
    if text is None:
        return None
    if kind is Kind.BOOLEAN:
        return format_cell(text == "t")
    if kind is Kind.DOUBLE:
        return format_cell(float(text))
    if not kind.is_time:
        return text
    try:
        return format_cell(date.fromisoformat(text) if kind is Kind.DATE else datetime.fromisoformat(text))
    except ValueError:
        return text
