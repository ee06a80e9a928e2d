"""What a match card shows of two records: conditions with their fields, and all fields side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from sqlglot import exp

from pipelines.evidence.columns import SIDES, source_places
from pipelines.evidence.differences import difference, differing
from pipelines.evidence.reader import Evidence
from pipelines.evidence.rule import columns_in, conditions_of, readings
from pipelines.matching import REASONS
from recipe import MatchPlan, format_cell, parse_date, parse_number, parse_timestamp

Verdict = tuple[bool | None, str | None]
Row = dict[str, Any]
_PARSERS: dict[str, Callable[..., Any]] = {
    "KALLA_NUMBER": parse_number,
    "KALLA_DATE": parse_date,
    "KALLA_TIMESTAMP": parse_timestamp,
}


@dataclass(frozen=True)
class Record:
    """One record: what is known of it by its source's column names, and the fixed columns of its unmatched set.

    ``table`` holds the row itself, in the columns of that set.
    """

    side: str
    set_name: str
    row: int
    values: dict[str, Any]
    fixed: dict[str, Any]
    table: pa.Table


def sentence(fixed: Row) -> str:
    """Why a record is unmatched, for people."""
    reason = str(REASONS.get(fixed["_reason"], fixed["_reason"]))
    text = f"{reason.capitalize()}."
    if fixed["_nearest"] is not None:
        text += f" The nearest one is {fixed['_nearest']}."
    if fixed["_failed"] is not None:
        by = f" by {fixed['_gap']}" if fixed["_gap"] is not None else ""
        text += f" It fails {fixed['_failed']}{by}."
    return text


def comparisons(
    evidence: Evidence, plan: MatchPlan, own: Record, near: Record | None, verdicts: Sequence[Verdict]
) -> list[Row]:
    """The recipe's keys and conditions, each with the fields it is over and whether it holds.

    ``holds`` is None where a column that it needs is not known; ``gap`` says by how much it fails.
    """
    both = _Both(evidence, plan, own, near)
    found = []
    asked = [("key", key.sql, [key.left, key.right]) for key in plan.keys]
    asked += [("condition", c.sql, [c.tree]) for c in conditions_of(plan)]
    for (role, text, trees), (holds, gap) in zip(asked, verdicts, strict=True):
        cells = {side: [both.cell(side, name) for name in columns_in(trees, side)] for side in SIDES}
        left, right = cells["left"], cells["right"]
        apart = both.compare(left[0], right[0]) if len(left) == len(right) == 1 else {"equal": None, "difference": None}
        failing = gap if holds is False else None
        found.append({"role": role, "text": text, "holds": holds, "gap": failing, "left": left, "right": right} | apart)
    return found


def fields(evidence: Evidence, plan: MatchPlan, own: Record, near: Record | None) -> list[Row]:
    """Every column once: those that the rule compares one against one, then those of the same name, then the rest.

    ``role`` is ``key``, ``compared``, ``same_name`` or ``single``.
    """
    both = _Both(evidence, plan, own, near)
    found = []
    for role, left_name, right_name in _paired(evidence, plan):
        left = None if left_name is None else both.cell("left", left_name)
        right = None if right_name is None else both.cell("right", right_name)
        found.append({"role": role, "left": left, "right": right} | both.compare(left, right))
    return found


def _paired(evidence: Evidence, plan: MatchPlan) -> list[tuple[str, str | None, str | None]]:
    left, right = (list(source_places(evidence, side)) for side in SIDES)
    found: list[tuple[str, str | None, str | None]] = []
    wanted: list[tuple[str, list[exp.Expr]]] = [("key", [key.left, key.right]) for key in plan.keys]
    wanted += [("compared", [condition.tree]) for condition in plan.conditions]
    for role, trees in wanted:
        names = [columns_in(trees, side) for side in SIDES]
        if len(names[0]) == len(names[1]) == 1 and names[0][0] in left and names[1][0] in right:
            left.remove(names[0][0])
            right.remove(names[1][0])
            found.append((role, names[0][0], names[1][0]))
    folded = {name.casefold(): name for name in reversed(right)}
    for name in list(left):
        if (same := folded.pop(name.casefold(), None)) is not None:
            left.remove(name)
            right.remove(same)
            found.append(("same_name", name, same))
    return found + [("single", name, None) for name in left] + [("single", None, name) for name in right]


class _Both:
    """The cells of two records."""

    def __init__(self, evidence: Evidence, plan: MatchPlan, own: Record, near: Record | None) -> None:
        self._records = {record.side: record for record in (own, near) if record is not None}
        self._readings = {side: readings(plan, side) for side in SIDES}

    def cell(self, side: str, name: str) -> Row:
        """A field: its text, None for an empty or an unknown one; ``marks`` are the characters that differ."""
        record = self._records.get(side)
        known = record is not None and name in record.values
        value = record.values[name] if record is not None and known else None
        return {"column": name, "side": side, "value": format_cell(value), "known": known, "marks": []}

    def compare(self, left: Row | None, right: Row | None) -> Row:
        """Whether two cells are equal, as the rule reads them, and how far apart; marks what differs in their texts.

        ``equal`` is None where a cell is missing or not known.
        """
        if left is None or right is None or not (left["known"] and right["known"]):
            return {"equal": None, "difference": None}
        values = self._read(left), self._read(right)
        equal = left["value"] == right["value"] or _same(*values)
        if not equal:
            left["marks"], right["marks"] = differing(left["value"] or "", right["value"] or "")
        return {"equal": equal, "difference": None if equal else difference(*values)}

    def _read(self, cell: Row) -> Any:
        """The value that the rule takes a cell for; the cell's own where it takes it as it is."""
        value = self._records[cell["side"]].values[cell["column"]]
        reading = self._readings[cell["side"]].get(cell["column"])
        if reading is None or not isinstance(value, str):
            return value
        return _PARSERS[reading.name](value, *(argument.name for argument in reading.expressions[1:]))


def _same(left: Any, right: Any) -> bool:
    try:
        return left is not None and bool(left == right)
    except TypeError:  # a moment with a zone against one without
        return False
