"""Every PostgreSQL type arrives with its value (contract 1.5), or stops the run by name."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from connectors import ConnectorError, SourceDataError
from recipe import FilterCondition, Kind, format_cell
from tests.connectors.contract import read_rows
from tests.connectors.postgres_database import Database
from tests.servers import PostgresServer

pytest_plugins = ("tests.connectors.postgres_fixtures",)

UTC = dt.UTC
DIGITS_38 = "9" * 38

# declared type, literals, values as read
CASES: list[tuple[str, list[str], list[Any]]] = [
    ("smallint", ["-32768", "32767"], [-32768, 32767]),
    ("integer", ["-2147483648", "2147483647"], [-(2**31), 2**31 - 1]),
    ("bigint", ["-9223372036854775808", "9223372036854775807"], [-(2**63), 2**63 - 1]),
    ("oid", ["0", "4294967295"], [0, 2**32 - 1]),
    ("numeric(5,2)", ["-999.99", "0", "1.5"], [Decimal("-999.99"), Decimal("0.00"), Decimal("1.50")]),
    ("numeric(38,0)", [DIGITS_38, "-" + DIGITS_38], [Decimal(DIGITS_38), Decimal("-" + DIGITS_38)]),
    ("numeric(38,38)", ["0." + DIGITS_38], [Decimal("0." + DIGITS_38)]),
    ("numeric(3,-2)", ["-99900", "1234"], [Decimal(-99900), Decimal(1200)]),
    ("numeric(2,4)", ["0.0099", "-0.0001"], [Decimal("0.0099"), Decimal("-0.0001")]),
    ("numeric", ["1.5", "-2", "0.0010"], [Decimal("1.5"), Decimal(-2), Decimal("0.001")]),
    ("numeric(60,3)", ["1.125", "-3"], [Decimal("1.125"), Decimal(-3)]),
    ("money", ["-92233720368547758.08", "0.01"], [Decimal("-92233720368547758.08"), Decimal("0.01")]),
    ("real", ["0.1", "3.4028235e38", "1e-45", "16777216"], [0.1, 3.4028235e38, 1e-45, 16777216.0]),
    ("double precision", ["0.1", "1.7976931348623157e308", "5e-324"], [0.1, 1.7976931348623157e308, 5e-324]),
    ("double precision", ["Infinity", "-Infinity"], [float("inf"), float("-inf")]),
    ("text", ["", " ", "\\N", "NULL", "\\.", 'a"b', "a\r\nb\tc", "ünï ✓ 数 🙂"], []),
    ("varchar(10)", ["", "tab\there"], []),
    ("char(5)", ["ab", ""], ["ab   ", "     "]),
    ('"char"', ["x"], []),
    ("name", ["pg_class"], []),
    ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], []),
    ("json", ['{"b": 1,  "a": [1, "x"]}'], []),
    ("jsonb", ['{"b":1,"a":"é"}'], ['{"a": "é", "b": 1}']),
    ("bytea", ["\\x00ff10", ""], ["00ff10", ""]),
    ("inet", ["10.0.0.1", "10.0.0.0/8", "::1"], []),
    ("cidr", ["10.0.0.0/8"], []),
    ("macaddr", ["08:00:2b:01:02:03"], []),
    ("interval", ["1 year 2 mons 3 days 04:05:06.7", "-1 days"], []),
    ("time", ["23:59:59.999999", "24:00:00"], []),
    ("timetz", ["12:00:00+02"], []),
    ("bit(4)", ["1010"], []),
    ("point", ["(1.5,2)"], []),
    ("tsvector", ["'a':1 'b':2"], []),
    ("int4range", ["[1,5)", "empty"], []),
    ("datemultirange", ["{[2026-01-01,2026-02-01)}"], []),
    ("integer[]", ["{1,NULL,3}", "{}"], []),
    ("text[]", ['{a,"b,c","d\\"e",NULL,""}'], []),
    ("date[]", ["{2026-01-31}"], []),
    ("bytea[]", ['{"\\\\x00ff"}'], []),
    ("boolean", ["true", "false"], [True, False]),
    ("date", ["0001-01-01", "9999-12-31", "2026-02-28"], [dt.date.min, dt.date.max, dt.date(2026, 2, 28)]),
    ("timestamp", ["0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"], [dt.datetime.min, dt.datetime.max]),
    ("timestamp(0)", ["2026-01-31 12:00:00.6"], [dt.datetime(2026, 1, 31, 12, 0, 1)]),
    (
        "timestamptz",
        ["2026-01-31 12:00:00.5+02", "2026-07-01 00:00:00 Pacific/Auckland"],
        [dt.datetime(2026, 1, 31, 10, 0, 0, 500000, UTC), dt.datetime(2026, 6, 30, 12, 0, tzinfo=UTC)],
    ),
    ("mood", ["sad", "so so"], []),
    ("pair", ['(1,"a, b")', "(,)"], []),
    ("cents", ["12.34"], [Decimal("12.34")]),
    ("posted", ["2026-01-31"], [dt.date(2026, 1, 31)]),
    ("loose", ["1.5"], [Decimal("1.5")]),
    ("code", ["A1"], []),
]
PREPARE = """
CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN amount AS numeric(10,2); CREATE DOMAIN cents AS amount CHECK (VALUE >= 0) NOT NULL;
CREATE DOMAIN posted AS date; CREATE DOMAIN loose AS numeric; CREATE DOMAIN code AS varchar(4);
"""


@pytest.mark.parametrize(("native", "literals", "values"), CASES, ids=[case[0] for case in CASES])
def test_values_arrive(database: Database, native: str, literals: list[str], values: list[Any]) -> None:
    nullable = native != "cents"
    database.run(PREPARE + f"CREATE TABLE t (id serial, v {native})")
    for literal in [*literals, *([None] if nullable else [])]:
        database.run("INSERT INTO t (v) VALUES (%s)", [literal])
    found = [row[1] for row in read_rows(database.source("t"))]
    assert found == (values or literals) + ([None] if nullable else [])


@pytest.mark.parametrize(("native", "literals", "values"), CASES, ids=[case[0] for case in CASES])
def test_filters_compare_what_is_read(database: Database, native: str, literals: list[str], values: list[Any]) -> None:
    """eq with the printed cell finds the row, whatever the type."""
    database.run(PREPARE + f"CREATE TABLE t (id serial, v {native})")
    for literal in literals:
        database.run("INSERT INTO t (v) VALUES (%s)", [literal])
    source = database.source("t")
    for index, row in enumerate(read_rows(source)):
        cell = format_cell(row[1])
        if cell is None or cell.endswith("Infinity"):
            continue
        same = [FilterCondition(column="v", op="eq", value=cell)]
        assert (index + 1, row[1]) in read_rows(source, 1, same)
        other = [FilterCondition(column="v", op="neq", value=cell)]
        assert source.count(same) + source.count(other) == len(literals)


@pytest.mark.parametrize(
    ("native", "literal"),
    [
        ("date", "infinity"),
        ("date", "-infinity"),
        ("date", "0044-03-15 BC"),
        ("date", "10000-01-01"),
        ("timestamp", "infinity"),
        ("timestamp", "0001-01-01 00:00:00 BC"),
        ("timestamptz", "294276-01-01 00:00:00+00"),
        ("numeric(10,2)", "NaN"),
        ("numeric", "NaN"),
        ("numeric", "Infinity"),
        ("numeric", "-Infinity"),
        ("numeric", "1" + "0" * 38),
        ("numeric", "1" + "0" * 30 + "." + "1" * 9),
        ("numeric(50,0)", "1" + "0" * 38),
        ("numeric(3,-37)", "999e37"),
    ],
)
def test_what_cannot_be_represented_stops_by_name(database: Database, native: str, literal: str) -> None:
    database.run(f'CREATE TABLE t (id int, "Odd ""name""" {native})')
    database.run("INSERT INTO t VALUES (1, NULL), (2, %s)", [literal])
    source = database.source("t", reader=False)
    with pytest.raises(SourceDataError) as caught:
        read_rows(source)
    assert caught.value.code == "source.unrepresentable_value"
    assert "'t'" in str(caught.value)
    assert repr('Odd "name"') in str(caught.value)
    assert source.preview(5).rows[1][1] is not None  # a preview still shows it
    assert source.count() == 2


def test_nan_is_a_double(database: Database) -> None:
    database.run("CREATE TABLE t (v float8); INSERT INTO t VALUES ('NaN')")
    ((value,),) = read_rows(database.source("t"))
    assert isinstance(value, float)
    assert value != value


def test_schema_is_the_catalogues(database: Database) -> None:
    database.run(
        'CREATE TABLE t (a integer NOT NULL, gone text, "B b" numeric(12,3), c varchar(7)[], '
        "d numeric, e char(3), "
        "f timestamp(3) with time zone, g integer GENERATED ALWAYS AS (a + 1) STORED);"
        'ALTER TABLE t DROP COLUMN gone; ALTER TABLE t ADD PRIMARY KEY ("B b", a);'
        "INSERT INTO t VALUES (1, 2.5)"
    )
    source = database.source("t")
    assert [(c.name, c.kind, c.native, c.nullable, c.precision, c.scale) for c in source.schema()] == [
        ("a", Kind.INTEGER, "integer", False, None, None),
        ("B b", Kind.DECIMAL, "numeric(12,3)", False, 12, 3),
        ("c", Kind.TEXT, "character varying(7)[]", True, None, None),
        ("d", Kind.DECIMAL, "numeric", True, 38, None),
        ("e", Kind.TEXT, "character(3)", True, None, None),
        ("f", Kind.TIMESTAMPTZ, "timestamp(3) with time zone", True, None, None),
        ("g", Kind.INTEGER, "integer", True, None, None),
    ]
    assert source.declared_key() == ("B b", "a")
    assert read_rows(source) == [(1, Decimal("2.500"), None, None, None, None, 2)]


def test_a_snapshot_fixes_the_scale_of_plain_numerics(database: Database) -> None:
    database.run("CREATE TABLE t (v numeric); INSERT INTO t VALUES (1.5), (100.00)")
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        database.run("INSERT INTO t VALUES (0.123456)")
        assert source.arrow_schema().field("v").type == pa.decimal128(38, 2)
        (column,) = source.schema()
        assert (column.precision, column.scale) == (38, 2)
        (split,) = source.plan_splits(snapshot, 1)
        (batch,) = source.read(snapshot, split)
        assert batch.schema == source.arrow_schema()
        assert batch.column("v").to_pylist() == [Decimal("1.50"), Decimal("100.00")]


def test_trailing_zeros_do_not_cost_digits(database: Database) -> None:
    """The scale as written does not fit beside 30 digits; the value does."""
    database.run("CREATE TABLE t (v numeric)")
    database.run("INSERT INTO t VALUES (%s), (%s)", ["1" * 30, "0.5" + "0" * 15])
    assert read_rows(database.source("t")) == [(Decimal("1" * 30),), (Decimal("0.5"),)]


def test_a_column_named_like_anything(database: Database) -> None:
    names = ['a"b', "%s", "{0}", "ctid ", "select", "Ä", "x'y", "a\\b"]
    quoted = ", ".join('"' + n.replace('"', '""') + '" text' for n in names)
    with_values = ", ".join(f"'{i}'" for i in range(len(names)))
    database.run(f"CREATE TABLE t ({quoted}); INSERT INTO t VALUES ({with_values})")
    source = database.source("t")
    assert [c.name for c in source.schema()] == names
    assert read_rows(source) == [tuple(map(str, range(len(names))))]
    for index, name in enumerate(names):
        assert source.count([FilterCondition(column=name, op="like", value=str(index))]) == 1


def test_a_single_column_of_nulls_and_empty_texts(database: Database) -> None:
    database.run("CREATE TABLE t (v text); INSERT INTO t VALUES (NULL), (''), (NULL), (E'\\n'), ('')")
    assert read_rows(database.source("t")) == [(None,), ("",), (None,), ("\n",), ("",)]


def test_a_cell_larger_than_a_block(database: Database) -> None:
    database.run("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, repeat('é\n\"', 2000000)), (2, 'x')")
    (first, second) = read_rows(database.source("t"))
    assert first == (1, 'é\n"' * 2_000_000)
    assert second == (2, "x")


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "EUC_JP"])
def test_other_encodings(postgres: PostgresServer, encoding: str) -> None:
    name = postgres.create_database(options=f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
    database = Database(postgres, name)
    letters = ["数", "本", "z"] if encoding == "EUC_JP" else ["é", "ÿ", "z"]
    database.run("CREATE TABLE t (id int, v text)")
    database.insert("t", list(enumerate(letters)))
    source = database.source("t")
    assert read_rows(source) == list(enumerate(letters))
    above = [FilterCondition(column="v", op="gt", value="z")]
    assert read_rows(source, 1, above) == list(enumerate(letters))[:2]
    assert source.count(above) == 2
    assert source.preview(1, above).rows == [["0", letters[0]]]
    assert source.preview(1, above).total_rows == 2
    assert source.count([FilterCondition(column="v", op="eq", value="🙂")]) == 0
    postgres.drop_database(name)


def test_text_that_is_no_utf8(postgres: PostgresServer) -> None:
    name = postgres.create_database(options="ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
    database = Database(postgres, name)
    database.run("CREATE TABLE t (id int, v text); INSERT INTO t VALUES (1, E'a\\xff')")
    with pytest.raises(ConnectorError, match="'t'") as caught:
        read_rows(database.source("t"))
    assert caught.value.code == "source.unreadable"
    postgres.drop_database(name)
