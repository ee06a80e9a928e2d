"""The connector contract on a real MariaDB and a real MySQL, and what is special to them: names, order, moments."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Sequence

import pytest

from connectors import Connector, SourceChanged, SourceNotFound
from recipe import Column, FilterCondition
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows, rows_of
from tests.connectors.mysql_database import SECRET, MysqlDatabase, declared, open_uri

pytest_plugins = ("tests.connectors.mysql_fixtures",)


NUMBERS = itertools.count(1)


class MysqlContract(ConnectorContract):
    server = "mariadb"
    secret = SECRET
    missing_code = "source.table_not_found"
    identity_keys = frozenset({"server", "server_version", "database", "table", "kind", "engine", "rows"})

    @pytest.fixture
    def database(self, shared_databases: Callable[[str], MysqlDatabase]) -> MysqlDatabase:
        return shared_databases(self.server)

    @pytest.fixture
    def make(self, database: MysqlDatabase) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            name = f"t{next(NUMBERS)}"
            database.run(f"CREATE TABLE {name} ({', '.join(map(declared, columns))})")
            database.insert(name, rows)
            return self.over(database, name)

        return build

    def over(self, database: MysqlDatabase, table: str) -> Connector:
        """A connector of the ordinary user that gives the rows of a table."""
        database.grant(table)
        return database.source(table, reader=True)

    @pytest.fixture
    def missing(self, database: MysqlDatabase) -> Connector:
        database.run("CREATE TABLE IF NOT EXISTS somewhere (v int)")
        database.grant("somewhere")
        return database.source("nowhere", reader=True)


class TestMariaDbTable(MysqlContract):
    pass


class TestMysqlTable(MysqlContract):
    server = "mysql"
    awkward_filters = 40  # all of them are asked of MariaDB


class TestView(MysqlContract):
    def over(self, database: MysqlDatabase, table: str) -> Connector:
        database.run(f"CREATE VIEW v_{table} AS SELECT * FROM {table}")
        return super().over(database, f"v_{table}")


# --- names and order ---


def names_of(connector: Connector) -> list[str]:
    return [c.name for c in connector.schema()]


def test_awkward_names(mysql_database: MysqlDatabase) -> None:
    mysql_database.run("CREATE TABLE `my ``led.ger\" 26'% ü` (`a``b` int PRIMARY KEY, `SELECT` varchar(9), `%s` int)")
    mysql_database.insert("my `led.ger\" 26'% ü", [(1, "x", 2)])
    source = mysql_database.source("my `led.ger\" 26'% ü")
    assert names_of(source) == ["a`b", "SELECT", "%s"]
    filters = [FilterCondition(column="a`b", op="eq", value=1), FilterCondition(column="SELECT", op="eq", value="x")]
    assert read_rows(source, 1, filters) == [(1, "x", 2)]
    (entry,) = source.listed(5).entries
    assert read_rows(open_uri(entry.uri)) == [(1, "x", 2)]


@pytest.mark.parametrize(
    ("wanted", "hint"), [("ledgr", "'ledger'"), ("Ledger", "'ledger'"), ("zzz", "Check the table")]
)
def test_an_unknown_table_suggests_the_nearest(mariadb_database: MysqlDatabase, wanted: str, hint: str) -> None:
    mariadb_database.run("CREATE TABLE ledger (v int)")
    with pytest.raises(SourceNotFound) as caught:
        mariadb_database.source(wanted).schema()
    assert hint in caught.value.hint


def test_what_is_no_table_or_view_is_not_read(mariadb_database: MysqlDatabase) -> None:
    mariadb_database.run("CREATE SEQUENCE s", "CREATE TABLE a (v int)", "CREATE VIEW b AS SELECT 1 AS one")
    assert [(e.name, e.kind) for e in mariadb_database.source("a").listed(9).entries] == [("a", "table"), ("b", "view")]
    with pytest.raises(SourceNotFound):
        mariadb_database.source("s").schema()
    found = mariadb_database.source("a").listed(1)
    assert (len(found.entries), found.complete) == (1, False)


def test_rows_come_in_the_order_of_the_key(mysql_database: MysqlDatabase) -> None:
    """Also where an index fits the columns or the conditions better."""
    mysql_database.run("CREATE TABLE t (a varchar(9), b int, v int, PRIMARY KEY (b, a), KEY (v), KEY (a))")
    rows = [(str(i % 7), i // 7, -i) for i in range(60)]
    mysql_database.insert("t", rows[::-1])
    source = mysql_database.source("t")
    ordered = sorted(rows, key=lambda row: (row[1], row[0]))
    assert read_rows(source) == ordered
    few = [FilterCondition(column="v", op="gte", value=-20)]
    assert read_rows(source, 1, few) == [row for row in ordered if row[2] >= -20]
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 8)
        (batch,) = source.read(snapshot, split, (), ["a"])
        assert batch.column("a").to_pylist() == [row[0] for row in ordered]
        assert [b.num_rows for b in source.read(snapshot, split, (), [])] == [60]
    assert source.declared_key() == ("b", "a")
    assert [row[2] for row in source.preview(2).rows] == ["0", "-1"]


def test_rows_without_a_key_keep_the_order_of_a_scan(mysql_database: MysqlDatabase) -> None:
    mysql_database.run("CREATE TABLE t (a int, b int, KEY (a), KEY (b))")
    rows = [(i * 7 % 50, -i) for i in range(50)]
    mysql_database.insert("t", rows)
    source = mysql_database.source("t")
    few = [FilterCondition(column="a", op="in", value=[3, 5, 40])]
    assert read_rows(source, 1, few) == [row for row in rows if row[0] in (3, 5, 40)]
    assert [batch.column("a").to_pylist() for batch in source.scan((), ["a"])] == [[row[0] for row in rows]]
    assert source.declared_key() == ()


def test_partitions_and_keys_of_prefixes(mysql_database: MysqlDatabase) -> None:
    mysql_database.run(
        "CREATE TABLE p (id int PRIMARY KEY, v int) PARTITION BY HASH (id) PARTITIONS 4",
        "CREATE TABLE q (code varchar(40), PRIMARY KEY (code(3)))",
    )
    mysql_database.insert("p", [(i, -i) for i in range(50)])
    mysql_database.insert("q", [("ccc1",), ("aaa2",), ("bbb3",)])
    assert read_rows(mysql_database.source("p")) == [(i, -i) for i in range(50)]
    assert read_rows(mysql_database.source("q")) == [("aaa2",), ("bbb3",), ("ccc1",)]


def test_columns_that_select_star_hides(mariadb_database: MysqlDatabase) -> None:
    database = mariadb_database
    database.run("CREATE TABLE t (k int INVISIBLE AUTO_INCREMENT PRIMARY KEY, v int, w int AS (v + 1))")
    database.run("INSERT INTO t (v) VALUES (5), (4)")
    assert read_rows(database.source("t")) == [(5, 6), (4, 5)]
    assert database.source("t").declared_key() == ()


# --- moments ---


def fill(database: MysqlDatabase, rows: int, table: str = "t", engine: str = "InnoDB") -> None:
    digits = (
        "(SELECT 0 d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5"
    )
    digits += " UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
    crossed = " CROSS JOIN ".join(f"{digits} d{i}" for i in range(5))
    number = " + ".join(f"d{i}.d * {10**i}" for i in range(5))
    database.run(
        f"CREATE TABLE {table} (id int PRIMARY KEY, amount decimal(12,2), pad varchar(400)) ENGINE = {engine}",
        f"INSERT INTO {table} SELECT {number} AS n, 1.00, REPEAT('x', 300) FROM {crossed} WHERE {number} < {rows}",
    )


def test_an_open_read_sees_nothing_that_is_written_meanwhile(mysql_database: MysqlDatabase) -> None:
    fill(mysql_database, 50_000)
    source = mysql_database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 17)
        batches = source.read(snapshot, split)
        first = next(batches)
        assert first.num_rows < 50_000
        mysql_database.run(
            "UPDATE t SET amount = 2", "DELETE FROM t WHERE id % 3 = 0", "INSERT INTO t VALUES (60000, 5, 'new')"
        )
        found = [row for batch in [first, *batches] for row in rows_of(batch)]
    assert [row[0] for row in found] == list(range(50_000))
    assert {str(row[1]) for row in found} == {"1.00"}
    assert source.count() == 33_334
    mysql_database.run("ANALYZE TABLE t")  # which the server does by itself after a while
    assert 20_000 < (source.estimated_rows() or 0) < 50_000
    assert (source.estimated_bytes() or 0) > 1_000_000


def test_a_table_that_was_altered_since_the_snapshot(mysql_database: MysqlDatabase) -> None:
    mysql_database.run("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 2)")
    source = mysql_database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        mysql_database.run("ALTER TABLE t MODIFY v varchar(9)")
        with pytest.raises(SourceChanged) as caught:
            list(source.read(snapshot, split))
        assert caught.value.code == "source.changed"


def test_the_identity_says_that_two_tables_have_two_moments(mariadb_database: MysqlDatabase) -> None:
    mariadb_database.run("CREATE TABLE a (v int)", "CREATE TABLE b (v int)")
    a, b = mariadb_database.source("a"), mariadb_database.source("b")
    with a.open_snapshot() as left, b.open_snapshot(left) as right, a.open_snapshot() as alone:
        assert "beside" not in left.identity | alone.identity
        assert "another moment" in right.identity["beside"]


def test_a_table_without_transactions_is_read_in_one_statement(mariadb_database: MysqlDatabase) -> None:
    fill(mariadb_database, 3_000, engine="MyISAM")
    source = mariadb_database.source("t")
    assert [row[0] for row in read_rows(source)] == list(range(3_000))
    with source.open_snapshot() as snapshot:
        assert snapshot.identity["engine"] == "MyISAM"


def test_settings_of_the_server_leave_no_row_out(mysql_database: MysqlDatabase) -> None:
    database, server = mysql_database, mysql_database.server
    database.run("CREATE TABLE t (id int PRIMARY KEY, at timestamp NULL, code char(4))")
    database.insert("t", [(i, "2026-07-01 12:00:00", "a") for i in range(5)])
    settings = {
        "sql_select_limit": "2",
        "time_zone": "'+05:30'",
        "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH'",
    }
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
    before = {key: server.execute(None, f"SELECT @@GLOBAL.{key}")[0][0] for key in settings}
    try:
        database.run(*(f"SET GLOBAL {key} = {value}" for key, value in settings.items()))
        assert read_rows(database.source("t")) == [(i, moment, "a") for i in range(5)]
    finally:
        database.run(*(f"SET GLOBAL {key} = {value!r}" for key, value in before.items()))
