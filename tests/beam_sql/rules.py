"""Every kind of key and condition that Beam SQL takes, over rows chosen to be hard, each with its rule in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from decimal import Decimal as D
from decimal import InvalidOperation
from typing import Any

import pyarrow as pa

from tests.end_to_end.cases import (
    AMOUNTS,
    DAYS,
    KEYS,
    ONE_SIDED,
    RESIDUALS,
    Case,
    CheckMaker,
    KeyMaker,
    Names,
    Side,
    plain_key,
)
from tests.oracle import Check, Row, Rule

NAMES = {
    "id": "id", "id2": "select", "k": 'q"uote', "n": "日本語", "amt": "Amount", "d": "a b", "x": "rid", "note": "--", "flag": "k0",
}  # fmt: skip
ROLES = tuple(NAMES)
TYPES: Mapping[str, Mapping[str, pa.DataType]] = {
    "l": {"n": pa.int32(), "amt": pa.decimal128(38, 2), "d": pa.date32()},
    "r": {"n": pa.decimal128(9, 3), "amt": pa.decimal128(38, 10), "d": pa.timestamp("us")},
}
_SHARED = {
    "id": pa.int64(), "id2": pa.string(), "k": pa.string(), "x": pa.float64(), "note": pa.string(), "flag": pa.bool_(),
}  # fmt: skip
_TEXTS = ["a", "A", "ä", "007", "7", "'", "日本", "😀", "", "x\x1fy"]


def side(letter: str, rows: int) -> Side:
    """Few keys, so that each has several rows on both sides; a fifth of all cells are empty."""
    chance = random.Random(f"{letter}-26")
    cells: dict[str, Callable[[], Any]] = {
        "id2": lambda: chance.choice(_TEXTS),
        "k": lambda: chance.choice(["a", "A", "ä", "b"]),
        "n": lambda: chance.randrange(4),
        "amt": lambda: chance.choice([*AMOUNTS, D("12345678901234567890123456.78"), D("12345678901234567890123456.79")]),
        "d": lambda: chance.choice(DAYS),
        "x": lambda: chance.choice([0.0, -0.0, 0.1, 1.5, 7.0]),
        "note": lambda: chance.choice(_TEXTS),
        "flag": lambda: chance.random() < 0.5,
    }  # fmt: skip
    made: list[Row] = [
        {"id": n} | {role: None if chance.random() < 0.2 else cell() for role, cell in cells.items()}
        for n in range(1, rows + 1)
    ]
    return Side(NAMES, _SHARED | TYPES[letter], ROLES, made, ["id"])


def _holds(test: Callable[[Row, Row], bool | None]) -> Callable[[Row, Row], bool | None]:
    """Unknown where ``test`` meets a None."""

    def holds(l: Row, r: Row) -> bool | None:
        try:
            return test(l, r)
        except (TypeError, InvalidOperation):
            return None

    return holds


def _one(sql: str, test: Callable[[Row, Row], bool | None]) -> CheckMaker:
    """``sql`` with L.role and R.role for columns."""

    def make(c: Names) -> Check:
        text = sql
        for letter in "lr":
            for role in sorted(ROLES, key=len, reverse=True):
                text = text.replace(f"{letter.upper()}.{role}", c(letter, role))
        return Check(text, _holds(test))

    return make


MORE: tuple[CheckMaker, ...] = (
    _one("L.amt + R.amt > 100.005", lambda l, r: l["amt"] + r["amt"] > D("100.005")),
    _one("L.n * R.n > 2", lambda l, r: l["n"] * r["n"] > 2),
    _one("L.n * R.amt > 299.9999999999", lambda l, r: l["n"] * r["amt"] > D("299.9999999999")),
    _one("ABS(L.amt - R.amt) = 0.01", lambda l, r: abs(l["amt"] - r["amt"]) == D("0.01")),
    _one("ABS(L.d - CAST(R.d AS DATE)) <= 3", lambda l, r: abs((l["d"] - r["d"]).days) <= 3),
    _one("NOT (L.flag = R.flag)", lambda l, r: None if None in (l["flag"], r["flag"]) else l["flag"] != r["flag"]),
    _one("(L.flag = R.flag) IS NOT TRUE", lambda l, r: l["flag"] is None or r["flag"] is None or l["flag"] != r["flag"]),
    _one("L.note IS DISTINCT FROM R.note", lambda l, r: l["note"] != r["note"]),
    _one("L.note IN (R.note, R.id2, '日本')", lambda l, r: _in(l["note"], [r["note"], r["id2"], "日本"])),
    _one("COALESCE(L.amt, R.amt) > 0", lambda l, r: (r["amt"] if l["amt"] is None else l["amt"]) > 0),
    _one("CASE WHEN L.flag THEN L.amt ELSE R.amt END > 50", lambda l, r: (l["amt"] if l["flag"] else r["amt"]) > 50),
    _one("text_similarity(L.note, R.note) >= 0.5", lambda l, r: _alike(l["note"], r["note"])),
    _one("-L.amt <= R.amt", lambda l, r: -l["amt"] <= r["amt"]),
    _one("L.x < R.amt", lambda l, r: D(repr(l["x"])) < r["amt"]),
)  # fmt: skip


def _in(value: Any, given: list[Any]) -> bool | None:
    if value is None:
        return None
    return True if value in [g for g in given if g is not None] else (None if None in given else False)


def _alike(a: str, b: str) -> bool | None:
    from udfs.text import text_similarity

    return None if a is None or b is None else text_similarity.python(a, b) >= D("0.5")


CONDITIONS: tuple[CheckMaker, ...] = (*RESIDUALS, *MORE)


def every_condition(rows: int = 60) -> Case:
    """All conditions over both sides, each of which is to be judged by itself."""
    return _case(side("l", rows), side("r", rows), plain_key("k"), CONDITIONS)


def hard_cases(rows: int = 40) -> list[Case]:
    """Whole statements: several conditions, and keys that are expressions or of two types."""
    left, right = side("l", rows), side("r", rows)
    several = (RESIDUALS[1], ONE_SIDED[0], MORE[6])
    return [
        _case(left, right, plain_key("k"), several),
        _case(left, right, KEYS[12], (RESIDUALS[9],)),
        _case(left, right, KEYS[11], ()),
    ]


def _case(left: Side, right: Side, key: KeyMaker, checks: tuple[CheckMaker, ...]) -> Case:
    c = Names(left, right)
    made = [check(c) for check in checks]
    rule = Rule([key(c)], made, {"l": ["id"], "r": ["id"]})
    on = " AND ".join([rule.keys[0].sql, *(check.written or check.sql for check in made)])
    sql = f"SELECT {c('l', 'id')}, {c('r', 'amt')} FROM left_src l JOIN right_src r ON {on}"
    return Case(sql, rule, left, right, [lambda l, r: l["id"], lambda l, r: r["amt"], lambda l, r: r["id"]])
