"""Filters that the server evaluates mean what ``recipe.passes`` says, cell for cell, over awkward cells."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.postgres.reader import PostgresConnector
from recipe import FilterCondition, passes
from tests.connectors.contract import read_rows
from tests.connectors.postgres_database import Database
from tests.servers import PostgresServer

pytest_plugins = ("tests.connectors.postgres_fixtures",)

NUMBERS = [
    "7", "007", "+7", "-7", "−7", "−-7", "--7", "7.", ".7", ".", "-", "+", "", " ", "7.0", " 7 ", "\t7\n",
    "７", "٧", "\u00a07\u202f", "\u20077", "7 7", "7e0", "70e-1", "0.7E1", "7e+0000", "7e", "e7", "7e0.5",
    "1_000", "1e28", "9e27", "1e-10", "1e-11", "0.12345678901", "0.12345678900", "1" + "0" * 28, "-0",
    "0e999999999", "9999999999999999999999999999.9999999999", "0.0e-99999", "1e99999",
    "1e999999999999", "1e-99999", "7" + "0" * 40 + "e-40", "0" * 500 + "7", "7." + "0" * 500,
    "1,000", "7,0", "0x10", "Infinity", "NaN", "inf", "seven",
]  # fmt: skip
TEXTS = [
    "a", "A", "ä", "Z", "z", "_", "%", "\\", "\\%", "a%b", "a_b", "a\\b", "a\nb", "'", '"', "é", "e\u0301",
    "\uffff", "🙂", "数", "ab", "aB", "a b", "a ", " a", "a\u200b",
]  # fmt: skip
DOUBLES = [
    0.1,
    0.1 + 0.2,
    0.3,
    -0.0,
    1e300,
    -1e300,
    5e-324,
    float("inf"),
    float("-inf"),
    float("nan"),
    2.0**53,
    1 / 3,
]
OPS = ["eq", "neq", "gt", "gte", "lt", "lte"]


@pytest.fixture(scope="module")
def awkward(postgres: PostgresServer) -> Iterator[PostgresConnector]:
    """A table whose cells are hard to compare; with ICU, neither order nor equality goes by code point."""
    icu = "--with-icu" in Database(postgres, "postgres").value("SELECT setting FROM pg_config WHERE name = 'CONFIGURE'")
    name = postgres.create_database(options="LOCALE_PROVIDER icu ICU_LOCALE 'de' LOCALE 'C'" if icu else "")
    database = Database(postgres, name)
    blind = "provider = icu, locale = 'und-u-ks-level1', deterministic = false" if icu else "locale = 'C'"
    database.run(
        f"CREATE COLLATION blind ({blind});"
        "CREATE DOMAIN code AS text;"
        'CREATE TABLE t (id int, plain text, blind text COLLATE blind, "do" code, fixed char(4),'
        " f8 float8, f4 real, n numeric(12,2), loose numeric, big bigint, day date,"
        " at timestamptz, flag boolean, raw bytea)"
    )
    rnd = random.Random(4)
    texts = NUMBERS + TEXTS
    rows: list[tuple[Any, ...]] = []
    for i, text in enumerate([*texts, None]):
        number = Decimal(rnd.randint(-(10**6), 10**6)) / 100
        moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=rnd.randint(-5000, 5000))
        fixed, raw = (None, None) if text is None else (text[:4], text.encode())
        doubles = (DOUBLES[i % len(DOUBLES)], rnd.choice([0.1, 0.3, 16777216.0, None]))
        numbers = (number, rnd.choice([number, None]), rnd.choice([2**63 - 1, -(2**63), 7, None]))
        rest = (moment.date(), moment, rnd.choice([True, False, None]), raw)
        rows.append((i, text, text, text, fixed, *doubles, *numbers, *rest))
    database.insert("t", rows)
    yield database.source("t")
    postgres.drop_database(name)


@pytest.fixture(scope="module")
def cells(awkward: PostgresConnector) -> list[tuple[Any, ...]]:
    return read_rows(awkward)


text_values = st.sampled_from([t for t in NUMBERS + TEXTS if "\x00" not in t]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=3
)
number_values = st.sampled_from(
    [Decimal(n) for n in ("7", "-7", "0", "0.7", "1e28", "9e27", "1e-10", "1e-11", "-1e40", "1e40", "0.123456789")]
) | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6, places=3)
double_values = st.sampled_from(
    [Decimal(repr(d)) for d in DOUBLES if abs(d) < 1e301] + [Decimal("0.10000000000000000001"), Decimal("1e400")]
)
pattern_values = st.lists(st.sampled_from(["%", "_", "\\", "a", "7", "b", "\n", "é", "🙂"]), max_size=5).map("".join)


def conditions(column: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[FilterCondition]:
    single = st.builds(lambda c, o, v: FilterCondition(column=c, op=o, value=v), column, st.sampled_from(OPS), value)
    pair = st.builds(lambda c, v: FilterCondition(column=c, op="between", value=v), column, st.tuples(value, value))
    many = st.builds(
        lambda c, v: FilterCondition(column=c, op="in", value=v),
        column,
        st.lists(value, min_size=1, max_size=4),
    )
    return single | pair | many


texts = st.sampled_from(["plain", "blind", "do", "fixed", "raw"])
any_condition = st.one_of(
    conditions(texts, text_values),
    conditions(texts, number_values),
    conditions(st.sampled_from(["n", "loose", "big"]), number_values | st.integers(-(2**64), 2**64)),
    conditions(st.sampled_from(["f8", "f4"]), double_values | number_values),
    conditions(st.just("day"), st.dates(dt.date(2025, 6, 1), dt.date(2026, 8, 1)).map(str)),
    conditions(st.just("at"), st.datetimes(dt.datetime(2025, 6, 1), dt.datetime(2026, 8, 1)).map(lambda d: f"{d}Z")),
    conditions(st.just("flag"), st.sampled_from(["true", "false"])),
    st.builds(lambda c, v: FilterCondition(column=c, op="like", value=v), texts, pattern_values),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=st.lists(any_condition, min_size=1, max_size=2))
def test_the_server_and_the_contract_agree(
    awkward: PostgresConnector, cells: list[tuple[Any, ...]], filters: list[FilterCondition]
) -> None:
    schema = awkward.schema()
    names = [c.name for c in schema]
    expected = [row[0] for row in cells if passes(dict(zip(names, row, strict=True)), filters, schema)]
    preview = awkward.preview(len(cells), filters)
    assert [int(row[0] or -1) for row in preview.rows] == expected
    assert preview.total_rows == len(expected)


def test_every_number_text_against_every_number(awkward: PostgresConnector, cells: list[tuple[Any, ...]]) -> None:
    schema = awkward.schema()
    names = [c.name for c in schema]
    for value in ("7", "0", "-7", "9e27", "1e-10"):
        for op in ("eq", "neq"):
            filters = [FilterCondition(column="plain", op=op, value=Decimal(value))]
            expected = [row[0] for row in cells if passes(dict(zip(names, row, strict=True)), filters, schema)]
            assert [row[0] for row in read_rows(awkward, 2, filters)] == expected
            assert awkward.count(filters) == len(expected) > 0


def test_a_list_of_ten_thousand(awkward: PostgresConnector) -> None:
    members = [f"it's {i}" for i in range(9_999)] + ["ä"]
    assert awkward.count([FilterCondition(column="plain", op="in", value=members)]) == 1


def test_values_are_never_sql(awkward: PostgresConnector) -> None:
    for value in ("'; DROP TABLE t; --", "\\'; SELECT 1 --", "%(x)s", "{}", "$1", "E'\\x'"):
        for op in ("eq", "like", "gt"):
            awkward.count([FilterCondition(column="plain", op=op, value=value)])
    assert awkward.count() == len(NUMBERS + TEXTS) + 1
