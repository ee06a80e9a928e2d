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

from connectors.mysql.pushdown import where_clause
from connectors.mysql.reader import MysqlConnector
from connectors.mysql.types import column_of
from recipe import FilterCondition, passes
from tests.connectors.contract import read_rows
from tests.connectors.mysql_database import MysqlDatabase
from tests.mysql_servers import MysqlServer

pytest_plugins = ("tests.connectors.mysql_fixtures",)

TEXTS = [
    "7", "007", "+7", "-7", "−7", "7.", ".7", "", " ", "7.0", " 7 ", "\t7\n", "７", "7e0", "1e28", "-0", "1,000", "0x10", "NaN",
    "a", "A", "ä", "Ä", "a\u0308", "Z", "z", "_", "%", "\\", "\\%", "a%b", "a_b", "a\\b", "a\nb", "'", '"', "`", "é", "e\u0301",
    "ß", "ss", "ẞ", "\uffff", "🙂", "🙃", "数", "ab", "aB", "a b", "a ", "a  ", " a", "a\u200b", "a\x00", "\x00", "a\t", "ı", "i", "I", "İ",
]  # fmt: skip
DOUBLES = [0.1, 0.1 + 0.2, 0.3, -0.0, 1e300, -1e300, 5e-324, 2.0**53, 1 / 3]
OPS = ["eq", "neq", "gt", "gte", "lt", "lte"]
DDL = (
    "CREATE TABLE t (id int PRIMARY KEY, plain varchar(40) COLLATE utf8mb4_unicode_ci, bin varchar(40) COLLATE utf8mb4_bin,"
    " latin varchar(40) CHARACTER SET latin1, fixed char(4), raw varbinary(80), long_text longtext, pick enum('a','A b','ä','7',''),"
    " n decimal(12,2), wide decimal(65,2), big bigint, ubig bigint unsigned, bits bit(9), y year, f8 double, f4 float,"
    " day date, at datetime(6), at_utc timestamp(6) NULL, flag bit(1), KEY (plain), KEY (n), KEY (day), KEY (at_utc))"
)


@pytest.fixture(scope="module")
def awkward(mysql: MysqlServer) -> Iterator[MysqlConnector]:
    """A table whose cells are hard to compare."""
    database = MysqlDatabase(mysql, mysql.create_database())
    database.run(DDL)
    rnd = random.Random(4)
    rows: list[tuple[Any, ...]] = []
    for i, text in enumerate([*TEXTS, None]):
        number = Decimal(rnd.randint(-(10**6), 10**6)) / 100
        moment = dt.datetime(2026, 1, 1) + dt.timedelta(hours=rnd.randint(-5000, 5000), microseconds=rnd.randint(0, 9))
        latin = None if text is None or not text.isascii() else text
        texts = (text, text, latin, None if text is None else text[:4], None if text is None else text.encode(), text)
        numbers = (number, rnd.choice([number, None]), rnd.choice([2**63 - 1, -(2**63), 7, None]))
        more = (
            rnd.choice([2**64 - 1, 2**63, 7, 0, None]),
            rnd.choice([0, 7, 511, None]),
            rnd.choice([0, 1901, 1999, 2026, 2155]),
        )
        doubles = (DOUBLES[i % len(DOUBLES)], rnd.choice([0.1, 0.3, 16777216.0, None]))
        pick = rnd.choice(["a", "A b", "ä", "7", "", None])
        times = (moment.date(), moment, rnd.choice([moment, None]), rnd.choice([0, 1, None]))
        rows.append((i, *texts, pick, *numbers, *more, *doubles, *times))
    database.insert("t", rows)
    yield database.source("t")
    mysql.drop_database(database.name)


@pytest.fixture(scope="module")
def cells(awkward: MysqlConnector) -> list[tuple[Any, ...]]:
    return read_rows(awkward)


WITHOUT_NUL = [text for text in TEXTS if "\x00" not in text]  # which no filter may hold
text_values = st.sampled_from(WITHOUT_NUL) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=3
)
number_values = st.sampled_from(
    [
        Decimal(n)
        for n in ("7", "-7", "0", "0.7", "26", "1e28", "1e-10", "-1e40", "1e40", "9223372036854775808", "0.005")
    ]
) | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**6), max_value=10**6, places=3)
double_values = st.sampled_from(
    [Decimal(repr(d)) for d in DOUBLES] + [Decimal("0.10000000000000000001"), Decimal("1e400")]
)
day_values = st.dates(dt.date(2025, 6, 1), dt.date(2026, 8, 1)).map(str) | st.sampled_from(["0001-01-01", "9999-12-31"])
moment_values = st.datetimes(dt.datetime(2025, 6, 1), dt.datetime(2026, 8, 1)).map(lambda d: f"{d}Z") | st.sampled_from(
    ["0001-01-01", "1969-12-31T23:59:59Z", "2038-01-19T03:14:08Z", "9999-12-31T23:59:59.999999Z"]
)
pattern_values = st.lists(st.sampled_from(["%", "_", "\\", "a", "7", "b", "\n", "é", "🙂"]), max_size=5).map("".join)


def conditions(column: st.SearchStrategy[str], value: st.SearchStrategy[Any]) -> st.SearchStrategy[FilterCondition]:
    single = st.builds(lambda c, o, v: FilterCondition(column=c, op=o, value=v), column, st.sampled_from(OPS), value)
    pair = st.builds(lambda c, v: FilterCondition(column=c, op="between", value=v), column, st.tuples(value, value))
    many = st.builds(
        lambda c, v: FilterCondition(column=c, op="in", value=v), column, st.lists(value, min_size=1, max_size=4)
    )
    return single | pair | many


texts = st.sampled_from(["plain", "bin", "latin", "fixed", "raw", "long_text", "pick"])
any_condition = st.one_of(
    conditions(texts, text_values),
    conditions(texts, number_values),
    conditions(
        st.sampled_from(["id", "n", "wide", "big", "ubig", "bits", "y"]), number_values | st.integers(-(2**65), 2**65)
    ),
    conditions(st.sampled_from(["f8", "f4"]), double_values | number_values),
    conditions(st.just("day"), day_values),
    conditions(st.sampled_from(["at", "at_utc"]), moment_values),
    conditions(st.just("flag"), st.sampled_from(["true", "false"])),
    st.builds(lambda c, v: FilterCondition(column=c, op="like", value=v), texts, pattern_values),
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=st.lists(any_condition, min_size=1, max_size=2))
def test_the_server_and_the_contract_agree(
    awkward: MysqlConnector, cells: list[tuple[Any, ...]], filters: list[FilterCondition]
) -> None:
    check(awkward, cells, filters)


def check(awkward: MysqlConnector, cells: list[tuple[Any, ...]], filters: list[FilterCondition]) -> None:
    schema = awkward.schema()
    names = [c.name for c in schema]
    expected = [row[0] for row in cells if passes(dict(zip(names, row, strict=True)), filters, schema)]
    preview = awkward.preview(len(cells), filters)
    assert [int(row[0] or -1) for row in preview.rows] == expected
    assert preview.total_rows == len(expected)


@pytest.mark.parametrize("column", ["plain", "fixed"])
def test_every_text_against_every_text(awkward: MysqlConnector, cells: list[tuple[Any, ...]], column: str) -> None:
    """All equalities at once: what a collation takes for equal is not."""
    for op in ("eq", "gt"):
        for text in WITHOUT_NUL[:: 1 if op == "eq" else 5]:
            condition = FilterCondition(column=column, op=op, value=text)
            at = [c.name for c in awkward.schema()].index(column)
            passing = [r for r in cells if r[at] is not None and (r[at] == text if op == "eq" else r[at] > text)]
            assert awkward.count([condition]) == len(passing), condition


def test_a_text_that_is_asked_for_twice(awkward: MysqlConnector) -> None:
    """MySQL 8.0 finds nothing that is equal to the same hexadecimal literal twice."""
    twice = [FilterCondition(column="plain", op="eq", value="7")] * 2
    assert [row[0] for row in read_rows(awkward, 1, twice)] == [0]


def test_a_list_of_ten_thousand(awkward: MysqlConnector) -> None:
    members = [f"it's {i}" for i in range(9_999)] + ["ä"]
    assert awkward.count([FilterCondition(column="plain", op="in", value=members)]) == 1


def test_values_are_never_sql(awkward: MysqlConnector) -> None:
    for value in ("'; DROP TABLE t; --", "\\'; SELECT 1 --", "%(x)s", "{}", "?", "`", "\\"):
        for op in ("eq", "like", "gt"):
            awkward.count([FilterCondition(column="plain", op=op, value=value)])
    assert awkward.count() == len(TEXTS) + 1


def test_what_the_server_is_asked() -> None:
    """Numbers and days alone, so that an index is used; texts byte by byte."""
    columns = [
        column_of("n", "decimal", "decimal(12,2)", True, 12, 2),
        column_of("day", "date", "date", True, None, None),
        column_of("code", "varchar", "varchar(9)", True, None, None),
        column_of("ratio", "double", "double", True, 22, None),
    ]

    def asked(column: str, op: str, value: Any) -> tuple[str, int]:
        clause, left = where_clause([FilterCondition(column=column, op=op, value=value)], columns)
        return clause, len(left)

    assert asked("n", "gte", "100.005") == ("`n` > 100.00", 0)
    assert asked("day", "between", ["2026-01-01", "2026-01-31"]) == (
        "`day` >= DATE'2026-01-01' AND `day` <= DATE'2026-01-31'",
        0,
    )
    exact = "CAST(CONVERT(`code` USING utf8mb4) AS BINARY)"
    assert asked("code", "eq", "a") == (f"{exact} = _binary x'61'", 0)
    assert asked("code", "gt", "ä") == (f"{exact} > _binary x'c3a4'", 0)
    assert asked("code", "eq", Decimal(7)) == ("TRUE", 1)
    assert asked("code", "like", "a%") == ("TRUE", 1)
    assert asked("ratio", "lt", Decimal(1)) == ("TRUE", 1)
