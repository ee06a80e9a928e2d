"""Every type of MySQL and MariaDB, value for value; what has no exact form stops with its column named."""

from __future__ import annotations

import datetime as dt
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import SourceDataError
from recipe import FilterCondition, Kind
from tests.connectors.contract import read_rows
from tests.connectors.mysql_database import MysqlDatabase

pytest_plugins = ("tests.connectors.mysql_fixtures",)
UTC = dt.UTC

# declared, value as SQL, kind, value as read
CASES: tuple[tuple[str, str, Kind, Any], ...] = (
    ("tinyint", "-128", Kind.INTEGER, -128),
    ("tinyint(1)", "5", Kind.INTEGER, 5),
    ("boolean", "TRUE", Kind.INTEGER, 1),
    ("tinyint unsigned", "255", Kind.INTEGER, 255),
    ("smallint", "-32768", Kind.INTEGER, -32768),
    ("mediumint unsigned", "16777215", Kind.INTEGER, 16777215),
    ("int(6) zerofill", "42", Kind.INTEGER, 42),
    ("int unsigned", "4294967295", Kind.INTEGER, 4294967295),
    ("bigint", "-9223372036854775808", Kind.INTEGER, -(2**63)),
    ("bigint unsigned", "18446744073709551615", Kind.DECIMAL, Decimal(2**64 - 1)),
    ("decimal(12,2)", "-9999999999.99", Kind.DECIMAL, Decimal("-9999999999.99")),
    ("decimal(38,0)", "9" * 38, Kind.DECIMAL, Decimal("9" * 38)),
    ("decimal(38,30)", "0.000000000000000000000000000001", Kind.DECIMAL, Decimal("1e-30")),
    ("decimal(65,2)", "123456789012345678901234567890.25", Kind.DECIMAL, Decimal("123456789012345678901234567890.25")),
    ("decimal(9,2) zerofill", "1.5", Kind.DECIMAL, Decimal("1.50")),
    ("float", "0.1", Kind.DOUBLE, 0.1),
    ("float", "16777217", Kind.DOUBLE, 16777216.0),
    ("float(9,2)", "12345.67", Kind.DOUBLE, 12345.67),
    ("double", "1.7976931348623157e308", Kind.DOUBLE, 1.7976931348623157e308),
    ("double", "5e-324", Kind.DOUBLE, 5e-324),
    ("double(12,2)", "0.1", Kind.DOUBLE, 0.1),
    ("bit(1)", "b'1'", Kind.BOOLEAN, True),
    ("bit(8)", "b'101'", Kind.INTEGER, 5),
    ("bit(64)", "18446744073709551615", Kind.DECIMAL, Decimal(2**64 - 1)),
    ("year", "1999", Kind.INTEGER, 1999),
    ("date", "'0001-01-01'", Kind.DATE, dt.date(1, 1, 1)),
    ("date", "'9999-12-31'", Kind.DATE, dt.date(9999, 12, 31)),
    ("datetime", "'2026-03-29 02:30:00'", Kind.TIMESTAMP, dt.datetime(2026, 3, 29, 2, 30)),
    ("datetime(6)", "'9999-12-31 23:59:59.999999'", Kind.TIMESTAMP, dt.datetime.max),
    ("datetime(3)", "'2026-01-01 00:00:00.125'", Kind.TIMESTAMP, dt.datetime(2026, 1, 1, 0, 0, 0, 125_000)),
    ("timestamp NULL", "'1970-01-01 00:00:01'", Kind.TIMESTAMPTZ, dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),
    ("timestamp(6) NULL", "'2038-01-19 03:14:07.999999'", Kind.TIMESTAMPTZ,
     dt.datetime(2038, 1, 19, 3, 14, 7, 999_999, tzinfo=UTC)),
    ("time(3)", "'-838:59:58.5'", Kind.TEXT, "-838:59:58.500"),
    ("char(9)", "'007  '", Kind.TEXT, "007"),
    ("varchar(9)", "'007  '", Kind.TEXT, "007  "),
    ("varchar(9) CHARACTER SET latin1", "'äß'", Kind.TEXT, "äß"),
    ("varchar(9) CHARACTER SET utf8mb4", "'数🙂'", Kind.TEXT, "数🙂"),
    ("longtext", "'a\\nb'", Kind.TEXT, "a\nb"),
    ("enum('on','it''s')", "'it''s'", Kind.TEXT, "it's"),
    ("set('a','b','c')", "'c,a'", Kind.TEXT, "a,c"),
    ("json", """'{"a": [1, "x"]}'""", Kind.TEXT, '{"a": [1, "x"]}'),
    ("binary(3)", "x'00ff'", Kind.TEXT, "00ff00"),
    ("varbinary(9)", "x'00ff'", Kind.TEXT, "00ff"),
    ("longblob", "'é'", Kind.TEXT, "c3a9"),
    ("varchar(9) CHARACTER SET binary", "'ab'", Kind.TEXT, "6162"),
    ("point", "ST_GeomFromText('POINT(1 2)')", Kind.TEXT, "00000000" "0101000000" + struct.pack("<dd", 1, 2).hex()),
)  # fmt: skip


def test_every_type(mysql_database: MysqlDatabase) -> None:
    columns = ", ".join(f"c{i} {declared}" for i, (declared, *_) in enumerate(CASES))
    mysql_database.run(
        f"CREATE TABLE t ({columns})",
        f"INSERT INTO t VALUES ({', '.join(value for _, value, *_ in CASES)})",
        f"INSERT INTO t VALUES ({', '.join(['NULL'] * len(CASES))})",
    )
    source = mysql_database.source("t")
    found, nothing = read_rows(source)
    for case, column, value in zip(CASES, source.schema(), found, strict=True):
        assert (column.kind, value) == (case[2], case[3]), case
    assert set(nothing) == {None}


def test_types_of_mariadb_alone(mariadb_database: MysqlDatabase) -> None:
    mariadb_database.run(
        "CREATE TABLE t (ip inet6, id uuid, v int) WITH SYSTEM VERSIONING",
        "INSERT INTO t VALUES ('::1', '123e4567-e89b-12d3-a456-426614174000', 1)",
        "UPDATE t SET v = 2",
    )
    assert read_rows(mariadb_database.source("t")) == [("::1", "123e4567-e89b-12d3-a456-426614174000", 2)]


@pytest.mark.parametrize(
    ("declared", "value", "shown"),
    [
        ("date", "'0000-00-00'", "0000-00-00"),
        ("date", "'2026-00-15'", "2026-00-15"),
        ("datetime", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
        ("timestamp NULL", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"),
        ("decimal(65,2)", "9" * 40, "9" * 40),
    ],
)
def test_a_value_without_an_exact_form_stops(
    mysql_database: MysqlDatabase, declared: str, value: str, shown: str
) -> None:
    mysql_database.run(
        f"CREATE TABLE t (id int PRIMARY KEY, odd {declared})", f"INSERT INTO t VALUES (1, NULL), (2, {value})"
    )
    source = mysql_database.source("t")
    with pytest.raises(SourceDataError, match=shown) as caught:
        read_rows(source)
    assert caught.value.code == "source.unrepresentable_value"
    assert "'odd'" in caught.value.message
    assert read_rows(source, 1, [FilterCondition(column="id", op="eq", value=1)]) == [(1, None)]
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        assert [b.num_rows for b in source.read(snapshot, split, (), ["id"])] == [2]


def test_a_view_makes_dates_of_zeros_null(mysql_database: MysqlDatabase) -> None:
    mysql_database.run(
        "CREATE TABLE t (id int PRIMARY KEY, posted date)", "INSERT INTO t VALUES (1, '0000-00-00'), (2, '2026-01-31')",
        "CREATE VIEW v AS SELECT id, CAST(NULLIF(posted, 0) AS DATE) AS posted FROM t",
    )  # fmt: skip
    source = mysql_database.source("v")
    assert [(c.name, c.kind) for c in source.schema()] == [("id", Kind.INTEGER), ("posted", Kind.DATE)]
    assert sorted(read_rows(source)) == [(1, None), (2, dt.date(2026, 1, 31))]


def test_a_date_of_zeros_that_a_filter_leaves_out_stops_nothing(mysql_database: MysqlDatabase) -> None:
    """It counts as before all others; where it passes, it stops."""
    mysql_database.run(
        "CREATE TABLE t (posted date NOT NULL, id int, KEY (posted))",
        "INSERT INTO t VALUES ('0000-00-00', 1), ('2026-01-31', 2)",
    )
    source = mysql_database.source("t")
    for op, value in (("gte", "0001-01-01"), ("eq", "2026-01-31"), ("in", ["2026-01-31"])):
        filters = [FilterCondition(column="posted", op=op, value=value)]
        assert read_rows(source, 1, filters) == [(dt.date(2026, 1, 31), 2)]
        assert source.count(filters) == 1
    for op in ("lt", "neq"):
        with pytest.raises(SourceDataError):
            read_rows(source, 1, [FilterCondition(column="posted", op=op, value="2026-01-01")])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40),
    singles=st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1, max_size=40),
)
def test_binary_numbers_arrive_as_they_were(
    mariadb_database: MysqlDatabase, numbers: list[float], singles: list[float]
) -> None:
    mariadb_database.run("CREATE OR REPLACE TABLE t (d double, f float)")
    rows = [(d, None) for d in numbers] + [(None, repr(f)) for f in singles]
    mariadb_database.server.execute(mariadb_database.name, "INSERT INTO t VALUES (%s, %s)", rows=rows)
    found = read_rows(mariadb_database.source("t"))
    assert [row[0] for row in found if row[0] is not None] == numbers
    back = [struct.unpack("f", struct.pack("f", row[1]))[0] for row in found if row[1] is not None]
    assert back == singles
