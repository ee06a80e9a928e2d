"""Evidence held against the oracle."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.helpers import Row, manifest, read_set, totals_of
from tests.oracle import Truth, Why

_DAYS = re.compile(r"(-?\d+) days?$")
Cell = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]


def plain(value: Any) -> Any:
    """A cell so that equal values compare equal whatever Arrow type held them."""
    if isinstance(value, dt.datetime) and value.time() == dt.time() and value.tzinfo is None:
        return value.date()
    if isinstance(value, float) and value != value:
        return "not a number"
    return value


def check(
    folder: Path, truth: Truth, left: Sequence[Row], right: Sequence[Row], outputs: Sequence[Cell],
    orders: Mapping[str, Sequence[str]],
) -> None:  # fmt: skip
    """Every cell of the evidence, every count and total. ``orders`` are the roles in file order a side."""
    rows = {"l": left, "r": right}
    check_matched(read_set(folder, "matched"), truth, left, right, outputs)
    for side, name in (("l", "unmatched_left"), ("r", "unmatched_right")):
        check_unmatched(read_set(folder, name), truth.unmatched[side], rows[side], orders[side])
    check_counts(folder, truth, len(left), len(right))


def check_matched(
    found: list[Row], truth: Truth, left: Sequence[Row], right: Sequence[Row], outputs: Sequence[Cell]
) -> None:
    assert [(row["_left_row"], row["_right_row"]) for row in found] == truth.pairs
    for row in found:
        i, j = row["_left_row"], row["_right_row"]
        assert row["_left_partners"] == truth.partners["l"][i]
        assert row["_right_partners"] == truth.partners["r"][j]
        cells = [plain(v) for v in list(row.values())[4:]]
        assert cells == [plain(cell(left[i - 1], right[j - 1])) for cell in outputs]


def check_unmatched(found: list[Row], expected: Mapping[int, Why], rows: Sequence[Row], order: Sequence[str]) -> None:
    assert [row["_row"] for row in found] == sorted(expected)
    for row in found:
        why = expected[row["_row"]]
        said = (row["_reason"], row["_failed"], _key(row["_nearest"], why), _gap(row["_gap"], why))
        key = None if why.nearest is None or why.nearest == (None,) else [text(v) for v in why.nearest]
        gap = None if why.gap is None else Decimal(why.gap)
        assert said == (why.reason, why.failed, key, gap), row
        assert [plain(v) for v in list(row.values())[5:]] == [plain(rows[row["_row"] - 1][role]) for role in order]


def check_counts(folder: Path, truth: Truth, left: int, right: int) -> None:
    found = manifest(folder)
    unmatched = {side: truth.unmatched[side] for side in "lr"}
    assert found["counts"] == {
        "left_record_count": left,
        "right_record_count": right,
        "matched_count": len(truth.pairs),
        "matched_left_count": left - len(unmatched["l"]),
        "matched_right_count": right - len(unmatched["r"]),
        "unmatched_left_count": len(unmatched["l"]),
        "unmatched_right_count": len(unmatched["r"]),
        "match_rate": (left - len(unmatched["l"])) / left if left else None,
    }
    for side, name in (("l", "left"), ("r", "right")):
        assert found["reasons"][name] == dict(Counter(w.reason for w in unmatched[side].values()))


def check_totals(
    folder: Path, truth: Truth, rows: Mapping[str, Sequence[Row]], numbers: Mapping[str, Mapping[str, Any]]
) -> None:
    """Control totals of every numeric column that the manifest names; ``numbers``: how each column gives one."""
    control = manifest(folder)["control_totals"]
    for side, name in (("l", "left"), ("r", "right")):
        for column, found in totals_of(control[name]).items():
            assert found == truth.totals(side, rows[side], numbers[side][column]), (side, column)


def text(value: Any) -> str | None:
    return None if value is None else str(value)


def _key(nearest: str | None, why: Why) -> list[Any] | None:
    if nearest is None:
        return None
    assert why.nearest is not None, f"{nearest!r} is named where no candidate is"
    return json.loads(nearest) if len(why.nearest) > 1 else [nearest]


def _gap(gap: str | None, why: Why) -> Decimal | None:
    if gap is None:
        return None
    if why.days:
        found = _DAYS.match(gap)
        assert found, f"{gap!r} is no number of days"
        assert gap.endswith(" day" if found[1] == "1" else " days")
        return Decimal(found[1])
    assert not re.search(r"\.\d\d\d*0$", gap), f"{gap!r} has zeros that say nothing"
    return Decimal(gap)
