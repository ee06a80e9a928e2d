"""CSV: cells stay the texts they are, and are read as numbers and dates exactly where a statement needs them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import REQUIRE_ALL, whole_runs
from tests.end_to_end import judge
from tests.helpers import document, drive, manifest, source, write_csv
from tests.oracle import Check, Key, Row, Rule, reconcile

Cells = Mapping[str, Any]
COLUMNS = ("id", "k", "amt", "d", "note")
POINT: Cells = {
    "0.01": D("0.01"), "0.02": D("0.02"), "99.99": D("99.99"), "100.00": D(100), "100": D(100), "1e2": D(100), " 5 ": D(5), "+7": D(7),
    "-0.00": D(0), "00123.50": D("123.5"), "-100.00": D(-100), "12345678901234567890.12": D("12345678901234567890.12"), ".5": D("0.5"),
    "0.0000000001": D("0.0000000001"), "abc": None, "1,5": None, "--": None, "0.00000000001": None, "1 000": None, "NaN": None, "12.": D(12),
    "\u22125": D(-5), "1_000": None, "0x10": None, "٣": None,
}  # fmt: skip
COMMA: Cells = {
    "0,01": D("0.01"), "0,02": D("0.02"), "99,99": D("99.99"), "100,00": D(100), "1.234,50": D("1234.5"), "1234,5": D("1234.5"), "1.2": None,
    "-1.000.000,01": D("-1000000.01"), "1.234": D(1234), "12.34,5": None, "100": D(100), "x": None, "1,2,3": None, ",5": D("0.5"),
}  # fmt: skip
ISO: Cells = {
    "2024-02-28": dt.date(2024, 2, 28), "2024-03-01": dt.date(2024, 3, 1), "20240229": dt.date(2024, 2, 29), "2024/02/27": dt.date(2024, 2, 27),
    "2023-02-29": None, "28.02.2024": None, "soon": None,
}  # fmt: skip
DMY: Cells = {
    "28.02.2024": dt.date(2024, 2, 28), "1/3/2024": dt.date(2024, 3, 1), "2024-02-29": dt.date(2024, 2, 29), "31.02.2024": None, "13/13/2024": None,
}  # fmt: skip
KEYS: Cells = {
    "007": D(7),
    "7": D(7),
    " 7": D(7),
    "7.0": D(7),
    "8": D(8),
    "a": None,
    'q"q': None,
    "two\nlines": None,
    "semi;,": None,
    "ü": None,
}
FORMATS: Mapping[str, tuple[Cells, Cells, dict[str, str]]] = {
    "point": (POINT, ISO, {"delimiter": ","}),
    "comma": (COMMA, DMY, {"delimiter": ";", "decimal": ",", "thousands": ".", "date_order": "dmy"}),
}


def _rows(amounts: Cells, days: Cells) -> st.SearchStrategy[list[Row]]:
    def some(cells: Cells) -> st.SearchStrategy[str | None]:
        return st.one_of(st.sampled_from(sorted(cells)), st.sampled_from(sorted(cells)), st.none())

    row = st.tuples(some(KEYS), some(amounts), some(days), st.sampled_from(["x", "'", "NULL", "00"]))
    return st.lists(row, max_size=25).map(
        lambda rows: [dict(zip(COLUMNS, (str(i), *row), strict=True)) for i, row in enumerate(rows, 1)]
    )


def _apart(l: Row, r: Row, role: str, cells: Mapping[str, Cells]) -> Any:
    a, b = cells["l"].get(l[role]), cells["r"].get(r[role])
    if a is None or b is None:
        return None
    return abs((a - b).days) if isinstance(a, dt.date) else abs(a - b)


def _near(limit: Any, role: str, cells: Mapping[str, Cells]) -> Callable[[Row, Row], bool | None]:
    def holds(l: Row, r: Row) -> bool | None:
        apart = _apart(l, r, role, cells)
        return None if apart is None else apart <= limit

    return holds


def _unreadable(role: str, cells: Cells) -> Callable[[Row], bool]:
    return lambda row: row[role] is not None and cells[row[role]] is None


def _number(role: str, cells: Cells) -> Callable[[Row], Any]:
    return lambda row: cells.get(row[role])


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
@settings(
    whole_runs, max_examples=20 if REQUIRE_ALL else 5
)  # reading texts makes long statements: about a second a run
@given(data=st.data())
def test_texts_read_as_numbers_and_dates(strategy: str, data: Any, numbered: Callable[[], Path]) -> None:
    names = {side: data.draw(st.sampled_from(sorted(FORMATS)), f"format {side}") for side in "lr"}
    amounts = {side: FORMATS[name][0] for side, name in names.items()}
    dates = {side: FORMATS[name][1] for side, name in names.items()}
    left, right = (data.draw(_rows(amounts[side], dates[side]), side) for side in "lr")
    limit, most = data.draw(st.sampled_from(["0", "0.01", "5"])), data.draw(st.integers(0, 2))
    keys = {side: KEYS | {"7.0": None} if name == "comma" else KEYS for side, name in names.items()}
    as_number = data.draw(st.booleans(), "numeric key")
    key = (
        Key("l.k = r.k", lambda row: row["k"], lambda row: row["k"])
        if not as_number
        else Key(
            "CAST(l.k AS numeric) = r.k + 0", lambda row: keys["l"].get(row["k"]), lambda row: keys["r"].get(row["k"])
        )
    )
    tolerance = Check(
        f"tolerance_match(l.amt, r.amt, {limit})",
        _near(D(limit), "amt", amounts),
        lambda l, r: _apart(l, r, "amt", amounts),
    )
    within = Check(
        f"date_within(l.d, r.d, {most})", _near(most, "d", dates), lambda l, r: _apart(l, r, "d", dates), days=True
    )
    checks = data.draw(st.sampled_from([[tolerance], [within], [tolerance, within], [within, tolerance], []]), "checks")
    roles = [("amt", amounts)] * (tolerance in checks) + [("d", dates)] * (within in checks)
    unreadable = {side: [_unreadable(role, cells[side]) for role, cells in roles] for side in "lr"}
    for side in "lr" if as_number else "":
        unreadable[side].append(_unreadable("k", keys[side]))
    rule = Rule([key], checks, {"l": ["id"], "r": ["k", "id"]}, unreadable)
    folder = numbered()
    sql = f"SELECT r.*, l.* FROM left_src l JOIN right_src r ON {' AND '.join([key.sql, *(c.sql for c in checks)])}"
    sides = []
    for side, rows in (("l", left), ("r", right)):
        form = FORMATS[names[side]][2]
        path = write_csv(folder / f"{side}.CSV", {c: [row[c] for row in rows] for c in COLUMNS}, form["delimiter"])
        sides.append(source(path, rule.primary_key[side], "csv", format=form))
    drive(
        document(sql, *sides), folder / "out", strategy=strategy, partitions=data.draw(st.integers(1, 5), "partitions")
    )
    truth = reconcile(rule, left, right)
    outputs = [lambda l, r, c=c, s=s: (l if s == "l" else r)[c] for s in "rl" for c in COLUMNS]
    judge.check(folder / "out", truth, left, right, outputs, {"l": COLUMNS, "r": COLUMNS})
    numbers = {side: {"amt": _number("amt", amounts[side]), "k": _number("k", keys[side])} for side in "lr"}
    judge.check_totals(folder / "out", truth, {"l": left, "r": right}, numbers)


def test_leading_zeros_survive_and_text_equals_text_only(tmp_path: Path) -> None:
    left = write_csv(tmp_path / "l.csv", {"id": ["1", "2"], "ref": ["00123", "123"]})
    right = write_csv(tmp_path / "r.csv", {"id": ["a", "b"], "ref": ["123", "0123"]})
    sql = "SELECT l.id, l.ref, r.id FROM left_src l JOIN right_src r ON l.ref = r.ref"
    drive(document(sql, source(left, ["id"]), source(right, ["id"])), tmp_path / "out")
    found = manifest(tmp_path / "out")
    assert found["counts"]["matched_count"] == 1
    assert found["counts"]["unmatched_left_count"] == 1


def test_texts_that_a_sub_query_computes_are_told_of(tmp_path: Path) -> None:
    refs = {"id": ["1", "2", "3"], "ref": ["a", "b", "c"]}
    left = write_csv(tmp_path / "l.csv", {**refs, "amt": ["EUR 5", "EUR x", "EUR 7"]})
    right = write_csv(tmp_path / "r.csv", {**refs, "amt": ["5", "5", "y"]})
    sql = (
        "WITH p AS (SELECT id, ref, REPLACE(amt, 'EUR ', '') AS a FROM left_src) "
        "SELECT p.id, r.id FROM p JOIN right_src r ON p.ref = r.ref AND tolerance_match(p.a, r.amt, 1)"
    )
    found = drive(document(sql, source(left, ["id"]), source(right, ["id"])), tmp_path / "out")
    assert found["matched_count"] == 1
    assert found["reasons"]["left"] == {"not_in_result": 1, "unparseable": 1}
    assert found["reasons"]["right"] == {"not_in_result": 1, "unparseable": 1}
    told = [w["message"] for w in found["warnings"] if w["code"] == "run.unparseable_values"]
    assert [message.startswith("1 value of") for message in told] == [True, True]
    assert "'p.a'" in told[0]
    assert "'amt'" in told[1] and "format says how they are written" in told[1]


ON_KEYS = "SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id AND tolerance_match(l.amt, r.amt, 1)"


@pytest.mark.parametrize(
    ("sql", "strategy"),
    [
        (ON_KEYS, "local"),
        (ON_KEYS, "broadcast"),
        (ON_KEYS, "shuffle"),
        ("SELECT l.id, r.id FROM left_src l JOIN right_src r ON tolerance_match(l.amt, r.amt, 0)", "broadcast"),
        ("SELECT l.id, r.id FROM left_src l JOIN right_src r ON l.id = r.id AND l.memo IS NOT DISTINCT FROM r.memo", "local"),
        ("WITH s AS (SELECT id, COUNT(*) AS n FROM left_src GROUP BY id) SELECT s.id, r.id FROM s JOIN right_src r ON s.id = r.id", "local"),
    ],
)  # fmt: skip
def test_a_kept_ragged_row_is_in_no_pair_and_says_why(sql: str, strategy: str, tmp_path: Path) -> None:
    left, right = tmp_path / "l.csv", tmp_path / "r.csv"
    left.write_text("id,amt,memo\n1,10,x\n2,20\n3,30,x,surplus\n")
    right.write_text("id,amt,memo\n1,10,x\n2,20,\n3,30,x\n")
    kept = source(left, ["id"], format={"ragged": "keep"})
    found = drive(document(sql, kept, source(right, ["id"])), tmp_path / "out", strategy=strategy, partitions=2)
    assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == (1, 2, 2)
    assert found["reasons"]["left"] == {"unparseable": 2}
    assert [w["message"] for w in found["warnings"] if w["code"] == "run.ragged_rows"] == [
        "'a': 2 records have too few or too many cells and can match nothing; surplus cells were dropped"
    ]
    totals = found["control_totals"]["left"]
    assert "tolerance" not in sql or (totals["amt"]["source"]["sum"], totals["amt"]["unmatched"]["sum"]) == (
        "60.0000000000",
        "50.0000000000",
    )
