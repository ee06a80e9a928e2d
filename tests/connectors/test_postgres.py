"""The connector contract on a real PostgreSQL, and what is special to it: names, order, splits, snapshots."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import threading
from collections.abc import Sequence
from decimal import Decimal
from urllib.parse import quote

import psycopg2
import pytest

from connectors import Connector, ConnectorError, SourceNotFound
from recipe import Column, FilterCondition, Kind, format_cell
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows
from tests.connectors.postgres_database import SECRET, Database, open_uri
from tests.servers import postgres_server, postgres_standby

pytest_plugins = ("tests.connectors.postgres_fixtures",)

_TYPES = {
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.DOUBLE: "double precision",
    Kind.TEXT: "text",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
    Kind.BOOLEAN: "boolean",
}


def declared(column: Column) -> str:
    size = f"({column.precision},{column.scale})" if column.kind is Kind.DECIMAL else ""
    return f'"{column.name}" {_TYPES[column.kind]}{size}'


class PostgresContract(ConnectorContract):
    secret = SECRET
    missing_code = "source.table_not_found"
    identity_keys = frozenset({"server_version", "database", "table", "kind", "row_security"})

    @pytest.fixture
    def missing(self, database: Database) -> Connector:
        return database.source("nowhere", reader=True)


class TestTable(PostgresContract):
    @pytest.fixture
    def make(self, database: Database) -> Make:
        numbers = itertools.count(1)

        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            name = f"t{next(numbers)}"
            database.run(f"CREATE TABLE {name} ({', '.join(map(declared, columns))}); GRANT SELECT ON {name} TO PUBLIC")
            database.insert(name, rows)
            return database.source(name, reader=True)

        return build


class TestView(PostgresContract):
    @pytest.fixture
    def make(self, database: Database) -> Make:
        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            database.run(f"CREATE TABLE stored ({', '.join(map(declared, columns))})")
            database.run("CREATE VIEW shown AS SELECT * FROM stored; GRANT SELECT ON shown TO PUBLIC")
            database.insert("stored", rows)
            return database.source("shown", reader=True)

        return build


# --- names --------------------------------------------------------------------------------


def names_of(connector: Connector) -> list[str]:
    return [c.name for c in connector.schema()]


def test_equal_names_in_two_schemas_are_never_merged(database: Database) -> None:
    database.run(
        "CREATE SCHEMA fin; CREATE SCHEMA other;"
        "CREATE TABLE fin.ledger (a int, b int); CREATE TABLE other.ledger (b int, c int);"
        "INSERT INTO fin.ledger VALUES (1, 2); INSERT INTO other.ledger VALUES (3, 4)"
    )
    assert names_of(database.source("fin.ledger")) == ["a", "b"]
    assert names_of(database.source("other.ledger")) == ["b", "c"]
    assert read_rows(database.source("other.ledger")) == [(3, 4)]
    along = {"options": "-c search_path=other,fin"}
    assert names_of(database.source("ledger", params=along)) == ["b", "c"]
    assert names_of(database.source("ledger", params={"options": "-csearch_path=fin"})) == ["a", "b"]
    with pytest.raises(SourceNotFound, match=r"fin\.ledger.*other\.ledger") as caught:
        database.source("ledger").schema()
    assert caught.value.code == "source.table_not_found"


def test_a_snapshot_keeps_the_table_that_it_found(database: Database) -> None:
    database.run("CREATE SCHEMA early; CREATE TABLE t (v int); INSERT INTO t VALUES (1)")
    source = database.source("t", params={"options": "-c search_path=early,public"})
    with source.open_snapshot() as snapshot:
        assert snapshot.identity["table"] == "public.t"
        database.run("CREATE TABLE early.t (v int)")
        (split,) = source.plan_splits(snapshot, 1)
        (batch,) = source.read(snapshot, split)
    assert batch.num_rows == 1


def test_quoted_names(database: Database) -> None:
    database.run('CREATE SCHEMA "My Books"; CREATE TABLE "My Books"."led.ger ""26"" %" (v int);')
    source = database.source('"My Books"."led.ger ""26"" %"')
    assert names_of(source) == ["v"]
    assert read_rows(source) == []
    with source.open_snapshot() as snapshot:
        assert snapshot.identity["table"] == 'My Books.led.ger "26" %'


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("ledgr", "'ledger'"),
        ("Ledger", "'ledger'"),
        ("fin.ledger", "'public.ledger'"),
        ("zzz", "Check the table"),
    ],
)
def test_an_unknown_table_suggests_the_nearest(database: Database, wanted: str, hint: str) -> None:
    database.run("CREATE TABLE ledger (v int)")
    with pytest.raises(SourceNotFound) as caught:
        database.source(wanted).schema()
    assert hint in caught.value.hint


def test_a_listing_says_whether_there_are_more(database: Database) -> None:
    numbers = ", ".join(f"v{n} int" for n in range(2))
    for name in ("a", "b", "c"):
        database.run(f"CREATE TABLE {name} ({numbers})")
    source = database.source("a")
    assert [(len(found.entries), found.complete) for found in map(source.listed, (2, 3, 4))] == [
        (2, False), (3, True), (3, True),
    ]  # fmt: skip


def test_no_listing_is_cut_short_in_silence(database: Database) -> None:
    """More than the 5,000 among which the nearest names are looked for."""
    database.run(
        "DO $$ BEGIN FOR n IN 1..5001 LOOP EXECUTE format('CREATE VIEW v%s AS SELECT 1 AS one', n); END LOOP; END $$"
    )
    found = database.source("v1").listed(5000)
    assert (len(found.entries), found.complete) == (5000, False)


def test_an_index_is_no_table(database: Database) -> None:
    database.run("CREATE TABLE t (id int PRIMARY KEY); CREATE SEQUENCE s")
    for name in ("t_pkey", "s"):
        with pytest.raises(SourceNotFound, match="not a table or view"):
            database.source(name).schema()


# --- order and splits --------------------------------------------------------------------------------


def fill(database: Database, table: str, rows: int, width: int = 300) -> None:
    """``rows`` rows (id, pad) in about ``rows * width / 8000`` blocks."""
    database.run(
        f"CREATE TABLE {table} (id int, pad text);"
        f"INSERT INTO {table} SELECT i, repeat('x', {width}) FROM generate_series(1, {rows}) i"
    )


def ids(connector: Connector, splits: int = 1, filters: Sequence[FilterCondition] = ()) -> list[int]:
    return [row[0] for row in read_rows(connector, splits, filters)]


@pytest.mark.parametrize("splits", [1, 2, 3, 7, 40, 41, 1000])
def test_block_ranges_hold_each_row_once_and_in_order(database: Database, splits: int) -> None:
    fill(database, "t", 1000)
    database.run("UPDATE t SET id = id WHERE id % 10 = 0; CREATE INDEX ON t (id)")  # never analysed or vacuumed
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        planned = source.plan_splits(snapshot, splits)
        found = [id_ for s in planned for b in source.read(snapshot, s) for id_ in b.column("id").to_pylist()]
    assert len(planned) <= splits
    assert len(planned) >= min(splits, 20) or database.server.version < 14
    assert found == [i for i in range(1, 1001) if i % 10] + list(range(10, 1001, 10))


def test_an_index_does_not_change_the_order(database: Database) -> None:
    fill(database, "t", 3000)
    database.run("UPDATE t SET id = -id WHERE id % 3 = 0; CREATE INDEX ON t (id); ANALYZE t")
    few = [FilterCondition(column="id", op="between", value=[-30, 10])]
    for splits in (1, 5):
        assert ids(database.source("t"), splits, few) == [1, 2, 4, 5, 7, 8, 10, *range(-3, -31, -3)]


def test_a_large_table_starts_at_its_first_block(database: Database) -> None:
    """Synchronised scans would start where another scan is; every setting of the server is overruled."""
    fill(database, "t", 400)
    database.run(
        f"ALTER DATABASE {database.name} SET synchronize_seqscans = on;"
        f"ALTER DATABASE {database.name} SET parallel_setup_cost = 0;"
        f"ALTER DATABASE {database.name} SET min_parallel_table_scan_size = 0;"
        f"ALTER DATABASE {database.name} SET datestyle = 'SQL, DMY';"
        f"ALTER DATABASE {database.name} SET extra_float_digits = -5"
    )
    assert ids(database.source("t")) == list(range(1, 401))


PARTITIONS = """
CREATE TABLE whole (id int, pad text, day date) PARTITION BY RANGE (day);
CREATE TABLE late (day date, dropped int, pad text, id int); ALTER TABLE late DROP COLUMN dropped;
ALTER TABLE whole ATTACH PARTITION late FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
CREATE TABLE early PARTITION OF whole FOR VALUES FROM ('2026-01-01') TO ('2026-07-01') PARTITION BY HASH (id);
CREATE TABLE early_0 PARTITION OF early FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE early_1 PARTITION OF early FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE nobody PARTITION OF whole DEFAULT;
INSERT INTO whole SELECT i, repeat('x', 300), date '2026-01-01' + i % 300 FROM generate_series(1, 900) i;
"""


@pytest.mark.parametrize("splits", [1, 2, 5, 30])
def test_partitions_of_partitions(database: Database, splits: int) -> None:
    database.run(PARTITIONS)
    source = database.source("whole")
    found = read_rows(source, splits)
    assert found == read_rows(source)
    assert sorted(found) == [(i, "x" * 300, dt.date(2026, 1, 1) + dt.timedelta(i % 300)) for i in range(1, 901)]
    assert source.preview(3).rows == [[format_cell(v) for v in row] for row in found[:3]]
    assert source.estimated_bytes()


def test_a_partition_that_only_its_parent_may_show(database: Database) -> None:
    database.run(PARTITIONS + "GRANT SELECT ON whole, late TO kalla_reader")
    source = database.source("whole", reader=True)
    with source.open_snapshot() as snapshot:
        assert len(source.plan_splits(snapshot, 10)) == 1
    assert sorted(ids(source, 10)) == list(range(1, 901))


def test_inherited_rows_belong_to_the_table(database: Database) -> None:
    fill(database, "parent", 200)
    database.run("CREATE TABLE child (extra int) INHERITS (parent); INSERT INTO child VALUES (500, 'y', 1)")
    source = database.source("parent")
    assert ids(source, 4) == [*range(1, 201), 500]
    assert source.count() == 201


def test_row_security_hides_rows_and_the_snapshot_says_so(database: Database) -> None:
    fill(database, "t", 100)
    database.run(
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id <= 7);GRANT SELECT ON t TO PUBLIC"
    )
    source = database.source("t", reader=True)
    assert ids(source, 5) == list(range(1, 8))
    with source.open_snapshot() as snapshot:
        assert snapshot.identity["row_security"] is True


def test_views_and_materialised_views(database: Database) -> None:
    fill(database, "t", 300)
    database.run(
        "CREATE VIEW v AS SELECT id AS number, sum(id) OVER () AS total FROM t ORDER BY id DESC;"
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM t; CREATE MATERIALIZED VIEW e AS TABLE t WITH NO DATA"
    )
    view, stored = database.source("v"), database.source("m")
    assert read_rows(view, 8) == [(i, Decimal(45150)) for i in range(300, 0, -1)]
    assert view.estimated_bytes() is None
    assert ids(stored, 4) == list(range(1, 301))
    with stored.open_snapshot() as snapshot:
        assert snapshot.identity["kind"] == "materialised view"
        assert len(stored.plan_splits(snapshot, 4)) == 4 or database.server.version < 14
    with pytest.raises(ConnectorError, match="populated"):
        read_rows(database.source("e"))


def test_estimates_need_no_analyze(database: Database) -> None:
    fill(database, "t", 2000)
    rows = database.source("t").estimated_rows()
    assert rows is not None
    assert 200 <= rows <= 50_000


# --- snapshots --------------------------------------------------------------------------------


def test_writers_do_not_change_what_is_read(database: Database) -> None:
    fill(database, "t", 2000)
    source = database.source("t")
    stop = threading.Event()

    def write() -> None:
        with contextlib.closing(database.server.connect(database.name)) as connection:
            cursor = connection.cursor()
            for step in itertools.count():
                if stop.is_set():
                    return
                cursor.execute("DELETE FROM t WHERE id %% 7 = %s", [step % 7])
                cursor.execute("UPDATE t SET id = id + 100000, pad = pad || 'y' WHERE id %% 5 = %s", [step % 5])
                cursor.execute("INSERT INTO t SELECT -i, 'new' FROM generate_series(1, 100) i")
                cursor.execute("VACUUM t")

    with source.open_snapshot() as snapshot:
        writer = threading.Thread(target=write)
        writer.start()
        try:
            planned = source.plan_splits(snapshot, 12)
            found = [i for s in planned for b in source.read(snapshot, s) for i in b.column("id").to_pylist()]
        finally:
            stop.set()
            writer.join()
    assert found == list(range(1, 2001))
    assert ids(source) != found


@pytest.mark.parametrize("statement", ["TRUNCATE t", "VACUUM FULL t", "ALTER TABLE t ADD COLUMN x int", "DROP TABLE t"])
def test_a_snapshot_keeps_the_rows_in_place(database: Database, statement: str) -> None:
    fill(database, "t", 10)
    with database.source("t").open_snapshot():
        connection = database.server.connect(database.name)
        cursor = connection.cursor()
        cursor.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            cursor.execute(statement)
        connection.close()
    database.run(statement)  # free again


def test_two_tables_share_one_snapshot(database: Database) -> None:
    database.run("CREATE TABLE l (v int); CREATE TABLE r (v int)")
    left, right = database.source("l"), database.source("r")
    with left.open_snapshot() as first:
        database.run("INSERT INTO r VALUES (1)")
        with right.open_snapshot(beside=first) as second, right.open_snapshot() as later:
            assert second.identity["snapshot"] == first.identity["snapshot"]
            for snapshot, rows in ((second, 0), (later, 1)):
                (split,) = right.plan_splits(snapshot, 1)
                assert sum(b.num_rows for b in right.read(snapshot, split)) == rows


def test_nothing_can_be_written(database: Database) -> None:
    database.run(
        "CREATE TABLE t (v int);"
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING v';"
        "CREATE VIEW v AS SELECT f() AS v"
    )
    with pytest.raises(ConnectorError, match="read-only"):
        read_rows(database.source("v"))
    assert database.value("SELECT count(*) FROM t") == 0


def test_a_standby_is_read_like_its_primary() -> None:
    with postgres_server() as primary:
        database = Database(primary, primary.create_database())
        fill(database, "t", 500)
        with postgres_standby(primary) as standby:
            assert ids(Database(standby, database.name).source("t"), 4) == list(range(1, 501))


def test_the_unix_socket(database: Database) -> None:
    fill(database, "t", 3)
    server = database.server
    folder = quote(str(server.socket_dir), safe="")
    for uri in (
        f"postgresql://postgres@{folder}:{server.port}/{database.name}?table=t",
        f"postgres://postgres@/{database.name}?table=public.t&host={folder}&port={server.port}",
    ):
        assert ids(open_uri(uri)) == [1, 2, 3]


def test_parameters_reach_the_driver(database: Database) -> None:
    database.run("CREATE VIEW v AS SELECT current_setting('application_name') AS a, current_setting('geqo') AS b")
    assert read_rows(database.source("v")) == [("kalla", "on")]
    own = {"application_name": "audit", "options": "-c geqo=off", "sslmode": "prefer", "connect_timeout": "3"}
    assert read_rows(database.source("v", params=own)) == [("audit", "off")]
