"""Results of tools as the history keeps them: without most of the rows, which live in the samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST_ROWS = 20
_MOST_TEXT = 4000
_MOST_ITEMS = 200


def compact(value: Any, name: str = "") -> Any:
    """``value`` with long lists of rows, long lists and long texts cut; what was left out is said.

    >>> compact({"rows": [["1"]] * 30})["rows_left_out"]
    10
    """
    if isinstance(value, str):
        return value if len(value) <= _MOST_TEXT else f"{value[:_MOST_TEXT]}…"
    if isinstance(value, Mapping):
        kept = {str(key): compact(member, str(key)) for key, member in value.items()}
        rows = value.get("rows")
        if isinstance(rows, list) and len(rows) > MOST_ROWS:
            kept["rows_left_out"] = len(rows) - MOST_ROWS
        return kept
    if isinstance(value, list | tuple):
        most = MOST_ROWS if name == "rows" else _MOST_ITEMS
        return [compact(item) for item in value[:most]]
    return value
