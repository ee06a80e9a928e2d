"""Random reconciliations: two tables, a match_sql, and the rule it states in plain Python."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal as D
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tests.helpers import quote
from tests.oracle import Check, Key, Row, Rule

ROLES = ("id", "id2", "k", "n", "amt", "d", "x", "note", "flag")
HOSTILE = (
    "id", "Amount", "amount", "AMOUNT", "_row", "rid", "c0", "c1", "l", "r", "select", "a b", 'q"uote', "naïve", "x'y", "_reason",
    "_nearest", "left_src", "semi;colon", "日本語", "lr", "rr", "n", "failed", "gap", "lkey", "nearest", "partners", "row", "alone",
    "file_row", "file_index", "filename", "kalla_place", "_left_row", "_left_partners", "left_id", "right_id",
    "a.b", "%s", "{x}", "back\\slash", "--", "/* */", "$1", "?", "bucket", "v0", "None", "NULL", " padded ", "two\nlines", "t", "e\u0301",
    "_kalla_row", "pairs", "value", "bucket_l", "other", "rowid", "rank", "😀", "*", "a,b", "tab\there", "\u202egnp", "''", "SELECT * FROM x",
)  # fmt: skip
TEXTS = [
    "a",
    "A",
    "b",
    "",
    " a",
    "a ",
    "ä",
    "a\u0308",
    "007",
    "7",
    "7.0",
    "日本",
    "x\x1fy",
    "'",
    '"',
    "%",
    "_",
    "NULL",
    "a\nb",
    "😀",
]
AMOUNTS = [D(s) for s in (
    "0.00", "0.01", "-0.01", "0.02", "99.99", "100.00", "100.01", "-100.00", "4999.99", "5000.00", "0.10", "0.30", "1.15", "9999999999.99",
    "-9999999999.99", "33.33", "66.67", "98.00", "102.00",
)]  # fmt: skip
DOUBLES = [0.0, -0.0, 0.1, 1.0, 1.5, -2.25, 0.3, 1e15, 7.0]
DAY = dt.date(2024, 2, 27)
DAYS = [DAY + dt.timedelta(n) for n in (0, 1, 2, 3, 30, 366)] + [dt.date(1969, 12, 31)]
TYPES: Mapping[str, Mapping[str, Sequence[pa.DataType]]] = {
    "id": {s: (pa.int64(), pa.int32()) for s in "lr"},
    "id2": {s: (pa.string(), pa.large_string()) for s in "lr"},
    "k": {s: (pa.string(), pa.large_string()) for s in "lr"},
    "n": {"l": (pa.int64(), pa.int32(), pa.int8()), "r": (pa.int64(), pa.int16(), pa.uint8(), pa.decimal128(9, 0), pa.decimal128(9, 3))},
    "amt": {"l": (pa.decimal128(12, 2), pa.decimal128(38, 2)), "r": (pa.decimal128(12, 2), pa.decimal128(16, 4), pa.decimal128(38, 10))},
    "d": {"l": (pa.date32(),), "r": (pa.date32(), pa.timestamp("us"), pa.timestamp("ms"), pa.timestamp("s"), pa.timestamp("ns"))},
    "x": {s: (pa.float64(),) for s in "lr"},
    "note": {s: (pa.string(),) for s in "lr"},
    "flag": {s: (pa.bool_(),) for s in "lr"},
}  # fmt: skip


@dataclass(frozen=True)
class Side:
    """``names`` and ``types`` by role, ``order`` the roles as they stand in the file."""

    names: Mapping[str, str]
    types: Mapping[str, pa.DataType]
    order: Sequence[str]
    rows: Sequence[Row]
    key: Sequence[str]

    def columns(self) -> dict[str, list[Any]]:
        return {self.names[role]: [_stored(row[role], self.types[role]) for row in self.rows] for role in self.order}

    def arrow_types(self) -> dict[str, pa.DataType]:
        return {self.names[role]: self.types[role] for role in self.order}

    def key_names(self) -> list[str]:
        return [self.names[role] for role in self.key]


def _stored(value: Any, kind: pa.DataType) -> Any:
    midnight = isinstance(value, dt.date) and pa.types.is_timestamp(kind)
    return dt.datetime.combine(value, dt.time()) if midnight else value


class Case:
    """A statement, its rule and its tables. No dataclass, so that Hypothesis shows it as ``__repr__`` says."""

    def __init__(
        self, sql: str, rule: Rule, left: Side, right: Side, outputs: Sequence[Callable[[Row, Row], Any]]
    ) -> None:
        self.sql, self.rule, self.left, self.right, self.outputs = sql, rule, left, right, outputs

    def side(self, letter: str) -> Side:
        return self.left if letter == "l" else self.right

    def __repr__(self) -> str:
        said = [self.sql]
        for side in (self.left, self.right):
            types = {name: str(kind) for name, kind in side.arrow_types().items()}
            said += [
                f"key {side.key_names()} of {types}",
                *(str([row[role] for role in side.order]) for row in side.rows),
            ]
        return "\n".join(said)


def number(value: Any) -> D | None:
    """The exact number; a double counts as its shortest text."""
    return None if value is None else D(repr(value) if isinstance(value, float) else value)


def _value(role: str, kind: pa.DataType) -> st.SearchStrategy[Any]:
    if role in ("id", "n"):
        return st.integers(0, 6) if role == "n" else st.integers(1, 2_000)
    if role in ("id2", "k", "note"):
        return st.sampled_from(TEXTS)
    if role == "amt":
        return st.one_of(st.sampled_from(AMOUNTS), st.integers(-30_000, 30_000).map(lambda n: D(n) / 100))
    if role == "d":
        return st.sampled_from(DAYS)
    return st.sampled_from(DOUBLES) if role == "x" else st.booleans()


@st.composite
def _side(draw: st.DrawFn, letter: str, weak: bool) -> Side:
    names = dict(zip(ROLES, draw(st.lists(st.sampled_from(HOSTILE), min_size=9, max_size=9, unique=True)), strict=True))
    types = {role: draw(st.sampled_from(TYPES[role][letter])) for role in ROLES}
    nullable = draw(st.booleans())
    key = draw(st.sampled_from([["id"], ["id"], ["id", "id2"], ["id2", "id"], ["note"]]))
    cells = {role: _value(role, types[role]) for role in ROLES}
    if weak:
        cells |= {"k": st.sampled_from(["a", "b"]), "n": st.integers(1, 2)}
    if nullable:
        cells = {role: st.one_of(st.none(), cell, cell, cell, cell) for role, cell in cells.items()}
    rows = draw(st.lists(st.fixed_dictionaries(cells), max_size=30))
    return Side(names, types, draw(st.permutations(ROLES)), rows, key)


class Names:
    """Columns of both sides as match_sql writes them."""

    def __init__(self, left: Side, right: Side) -> None:
        self._names = {"l": left.names, "r": right.names}

    def __call__(self, side: str, role: str) -> str:
        return f"{side}.{quote(self._names[side][role])}"


KeyMaker = Callable[[Names], Key]
CheckMaker = Callable[[Names], Check]


def plain_key(role: str) -> KeyMaker:
    return lambda c: Key(f"{c('l', role)} = {c('r', role)}", lambda row: row[role], lambda row: row[role])


def _plus(value: int | None, more: int) -> int | None:
    return None if value is None else value + more


def _upper(value: str | None) -> str | None:
    return None if value is None else value.upper()


KEYS: Sequence[KeyMaker] = (
    plain_key("k"), plain_key("k"), plain_key("n"), plain_key("n"), plain_key("d"), plain_key("x"), plain_key("flag"), plain_key("amt"),
    lambda c: Key(f"{c('r', 'k')} = {c('l', 'k')}", lambda row: row["k"], lambda row: row["k"]),
    lambda c: Key(f"UPPER({c('l', 'k')}) = upper({c('r', 'k')})", lambda row: _upper(row["k"]), lambda row: _upper(row["k"])),
    lambda c: Key(f"{c('l', 'n')} + 1 = {c('r', 'n')}", lambda row: _plus(row["n"], 1), lambda row: row["n"]),
    lambda c: Key(f"{c('l', 'n')} = {c('r', 'amt')}", lambda row: row["n"], lambda row: row["amt"]),
    lambda c: Key(f"COALESCE({c('l', 'k')}, 'a') = {c('r', 'k')}", lambda row: "a" if row["k"] is None else row["k"], lambda row: row["k"]),
    lambda c: Key(f"-{c('l', 'amt')} = {c('r', 'amt')}", lambda row: None if row["amt"] is None else -row["amt"], lambda row: row["amt"]),
)  # fmt: skip


def _apart(l: Row, r: Row, role: str) -> Any:
    """The distance of two values; None where one is missing."""
    if l[role] is None or r[role] is None:
        return None
    distance = l[role] - r[role]
    return abs(distance.days) if role == "d" else abs(distance)


def _within(role: str, limit: Any) -> Callable[[Row, Row], bool | None]:
    def holds(l: Row, r: Row) -> bool | None:
        apart = _apart(l, r, role)
        return None if apart is None else bool(apart <= limit)

    return holds


def tolerance(limit: str) -> CheckMaker:
    return lambda c: Check(
        f"tolerance_match({c('l', 'amt')}, {c('r', 'amt')}, {limit})",
        _within("amt", D(limit)),
        lambda l, r: _apart(l, r, "amt"),
    )


def absolute(limit: str) -> CheckMaker:
    return lambda c: Check(
        f"ABS({c('l', 'amt')} - {c('r', 'amt')}) <= {limit}", _within("amt", D(limit)), lambda l, r: _apart(l, r, "amt")
    )


def days(limit: int) -> CheckMaker:
    return lambda c: Check(
        f"date_within({c('l', 'd')}, {c('r', 'd')}, {limit})",
        _within("d", limit),
        lambda l, r: _apart(l, r, "d"),
        days=True,
    )


def _percent(l: Row, r: Row) -> bool | None:
    apart = _apart(l, r, "amt")
    return None if apart is None else bool(apart * 100 <= abs(l["amt"]) * 2)


def _lower_bound(l: Row, r: Row) -> D | None:
    if l["amt"] is None or r["amt"] is None:
        return None
    low, high = r["amt"] - 1, r["amt"] + 1
    return max(low - l["amt"], l["amt"] - high, D(0))


def _between(l: Row, r: Row) -> bool | None:
    gap = _lower_bound(l, r)
    return None if gap is None else gap == 0


def _or(a: bool | None, b: bool | None) -> bool | None:
    if a or b:
        return True
    return None if a is None or b is None else False


def _less(a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else bool(a < b)


def _differs(a: Any, b: Any) -> bool | None:
    return None if a is None or b is None else bool(a != b)


def _percent_check(c: Names) -> Check:
    return Check(f"percent_match({c('l', 'amt')}, {c('r', 'amt')}, 2)", _percent, lambda l, r: _apart(l, r, "amt"))


RESIDUALS: Sequence[CheckMaker] = (
    *(tolerance(t) for t in ("0", "0.01", "0.02", "0.5", "5")), absolute("0.01"), absolute("5"), days(0), days(1), days(2), _percent_check,
    lambda c: Check(
        f"{c('l', 'amt')} < {c('r', 'amt')}", lambda l, r: _less(l["amt"], r["amt"]), lambda l, r: _apart(l, r, "amt")
    ),
    lambda c: Check(
        f"{c('l', 'd')} < {c('r', 'd')}", lambda l, r: _less(l["d"], r["d"]), lambda l, r: _apart(l, r, "d"), days=True
    ),
    lambda c: Check(f"{c('l', 'note')} <> {c('r', 'note')}", lambda l, r: _differs(l["note"], r["note"])),
    lambda c: Check(
        f"{c('l', 'amt')} BETWEEN {c('r', 'amt')} - 1 AND {c('r', 'amt')} + 1", _between, _lower_bound
    ),
    lambda c: Check(
        f"{c('l', 'amt')} = {c('r', 'amt')} OR {c('l', 'flag')}",
        lambda l, r: _or(None if (d := _apart(l, r, "amt")) is None else d == 0, l["flag"]),
        written=f"({c('l', 'amt')} = {c('r', 'amt')} OR {c('l', 'flag')})",
    ),
    lambda c: Check(
        f"{c('l', 'k')} IS NOT DISTINCT FROM {c('r', 'k')}", lambda l, r: l["k"] == r["k"]
    ),
)  # fmt: skip


def _above_zero(side: str) -> CheckMaker:
    def make(c: Names) -> Check:
        def value(l: Row, r: Row) -> Any:
            return (l if side == "l" else r)["amt"]

        return Check(
            f"{c(side, 'amt')} > 0",
            lambda l, r: None if value(l, r) is None else value(l, r) > 0,
            lambda l, r: None if value(l, r) is None else abs(value(l, r)),
            side=side,
        )

    return make


def _flagged(side: str) -> CheckMaker:
    return lambda c: Check(c(side, "flag"), lambda l, r: (l if side == "l" else r)["flag"], side=side)


def _starts(side: str) -> CheckMaker:
    def make(c: Names) -> Check:
        def holds(l: Row, r: Row) -> bool | None:
            text = (l if side == "l" else r)["note"]
            return None if text is None else text.startswith("a")

        return Check(f"{c(side, 'note')} LIKE 'a%'", holds, side=side)

    return make


def _since(side: str) -> CheckMaker:
    def make(c: Names) -> Check:
        def day(l: Row, r: Row) -> Any:
            return (l if side == "l" else r)["d"]

        return Check(
            f"{c(side, 'd')} >= DATE '2024-02-27'",
            lambda l, r: None if day(l, r) is None else day(l, r) >= DAY,
            lambda l, r: None if day(l, r) is None else abs((day(l, r) - DAY).days),
            days=True,
            side=side,
        )

    return make


def _missing(side: str) -> CheckMaker:
    return lambda c: Check(
        f"{c(side, 'k')} IS NOT NULL", lambda l, r: (l if side == "l" else r)["k"] is not None, side=side
    )


ONE_SIDED: Sequence[CheckMaker] = tuple(
    make(s) for s in "lr" for make in (_above_zero, _flagged, _starts, _since, _missing)
)

Output = tuple[str, Callable[[Row, Row], Any]]


def _column(side: str, role: str, c: Names) -> Output:
    return c(side, role), lambda l, r: (l if side == "l" else r)[role]


@st.composite
def _outputs(
    draw: st.DrawFn, c: Names, left: Side, right: Side, first: str
) -> tuple[str, list[Callable[[Row, Row], Any]]]:
    """A select list, and the cells it gives, with the key columns it lacks behind."""
    sides = {"l": left, "r": right}
    form = draw(st.sampled_from(["*", "l.*", "some", "some", "made"]))
    written: list[str] = []
    places: list[tuple[str, str] | Callable[[Row, Row], Any]] = []
    if form in ("*", "l.*"):
        written.append(form)
        places += [(s, role) for s in (first if form == "*" else "l") for role in sides[s].order]
    else:
        chosen = draw(
            st.lists(st.tuples(st.sampled_from("lr"), st.sampled_from(ROLES)), min_size=1, max_size=5, unique=True)
        )
        written += [c(s, role) for s, role in chosen]
        places += chosen
    if form == "made":
        written += [
            f'{c("l", "amt")} - {c("r", "amt")} AS "the gap"',
            "1 AS one",
            f"COALESCE({c('l', 'note')}, {c('r', 'note')}, '-') AS said",
        ]
        places += [
            lambda l, r: None if l["amt"] is None or r["amt"] is None else l["amt"] - r["amt"],
            lambda l, r: 1,
            lambda l, r: next(v for v in (l["note"], r["note"], "-") if v is not None),
        ]
    places += [(s, role) for s in "lr" for role in sides[s].key if (s, role) not in places]
    return ", ".join(written), [_cell(p) for p in places]


def _cell(place: Any) -> Callable[[Row, Row], Any]:
    if callable(place):
        return place
    side, role = place
    return lambda l, r: (l if side == "l" else r)[role]


@st.composite
def cases(draw: st.DrawFn, equi: bool | None = None) -> Case:
    """A whole case. ``equi`` False gives statements without an equality."""
    weak = draw(st.booleans())
    left, right = draw(_side("l", weak)), draw(_side("r", weak))
    c = Names(left, right)
    if equi is None:
        equi = draw(st.booleans())
    makers = draw(st.lists(st.sampled_from(range(len(KEYS))), min_size=1, max_size=2, unique=True)) if equi else []
    keys = [KEYS[i](c) for i in makers]
    least = 0 if equi else 1
    residuals = draw(st.lists(st.sampled_from(RESIDUALS), min_size=least, max_size=3, unique=True))
    checks = [make(c) for make in [*residuals, *draw(st.lists(st.sampled_from(ONE_SIDED), max_size=2, unique=True))]]
    checks = draw(st.permutations(checks))
    joined, first = _joined(draw, [k.sql for k in keys], [k.written or k.sql for k in checks])
    selected, outputs = draw(_outputs(c, left, right, first))
    sql = f"SELECT {selected} FROM {joined}"
    rule = Rule(keys, checks, {"l": left.key, "r": right.key})
    return Case(sql, rule, left, right, outputs)


def _joined(draw: st.DrawFn, keys: list[str], checks: list[str]) -> tuple[str, str]:
    """FROM ... WHERE in one of the ways people write it; checks stay in their order. And the sides as FROM has them."""
    kind = draw(st.sampled_from(["JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL OUTER JOIN", ","]))
    if kind == ",":
        return f"left_src l, right_src AS r WHERE {' AND '.join([*checks, *keys])}", "lr"
    split = draw(st.integers(0, len(checks)))
    on = [*keys, *checks[:split]] or ["TRUE"]
    where = f" WHERE {' AND '.join(checks[split:])}" if checks[split:] else ""
    tables, sides = draw(
        st.sampled_from([(("left_src l", "right_src r"), "lr"), (("RIGHT_SRC r", "Left_Src l"), "rl")])
    )
    return f"{tables[0]} {kind} {tables[1]} ON {' AND '.join(on)}{where}", sides
