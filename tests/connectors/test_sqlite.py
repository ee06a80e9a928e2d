"""SQLite files: the contract, what SQLite lets a cell hold, and what another program does to the file meanwhile."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connectors import Connector, ConnectorError, SourceChanged, SourceDataError, SourceDenied, connector_for
from recipe import Column, Kind, SqliteSource, format_cell
from tests.connectors.contract import ConnectorContract, Make, Row, read_rows

_DECLARED = {
    Kind.INTEGER: "integer",
    Kind.TEXT: "text",
    Kind.DOUBLE: "double",
    Kind.DATE: "date",
    Kind.TIMESTAMP: "timestamp",
    Kind.TIMESTAMPTZ: "timestamptz",
    Kind.BOOLEAN: "boolean",
}


def declared(column: Column) -> str:
    if column.kind is Kind.DECIMAL:
        return f"decimal text({column.precision}, {column.scale})"  # text affinity: kept digit for digit
    return _DECLARED[column.kind]


def stored(value: object) -> object:
    return format_cell(value) if isinstance(value, Decimal | dt.date) else value


def source(path: Path, table: str = "t", **access: Any) -> Connector:
    uri = f"sqlite://{quote(str(path))}?table={quote(table)}"
    return connector_for(SqliteSource(alias="a", uri=uri, primary_key=("id",)), **access)


def assert_stops(path: Path, declared: str, literal: str) -> None:
    """A run and a preview over a column that holds this beside a NULL end with the code."""
    execute(path, f"CREATE TABLE t (id {declared})", f"INSERT INTO t VALUES (NULL), ({literal})")
    for reads in (read_rows, lambda connector: connector.preview(5)):
        with pytest.raises(SourceDataError) as caught:
            reads(source(path))
        assert caught.value.code == "source.unrepresentable_value" and caught.value.hint
        assert "'id'" in caught.value.message or "UTF-8" in caught.value.message


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def write(path: Path, columns: Sequence[Column], rows: Sequence[Row], mode: str = "delete") -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA journal_mode = {mode}")
    described = ", ".join(f'"{c.name}" {declared(c)}' for c in columns)
    connection.execute(f"CREATE TABLE t ({described})")
    marks = ", ".join("?" * len(columns))
    connection.executemany(f"INSERT INTO t VALUES ({marks})", [tuple(map(stored, row)) for row in rows])
    connection.commit()
    connection.close()


class TestSqlite(ConnectorContract):
    missing_code = "source.table_not_found"
    identity_keys = frozenset({"size", "mtime_ns", "table", "kind"})
    mode = "delete"

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        numbers = itertools.count(1)

        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            path = tmp_path / f"{next(numbers)}.db"
            write(path, columns, rows, self.mode)
            return source(path)

        return build

    @pytest.fixture
    def missing(self, tmp_path: Path) -> Connector:
        execute(tmp_path / "empty.db", "CREATE TABLE other (a)")
        return source(tmp_path / "empty.db")


class TestSqliteInWalMode(TestSqlite):
    mode = "wal"

    def test_reading_leaves_nothing_beside_the_file(self, make: Make, tmp_path: Path) -> None:
        connector = make((Column("id", Kind.INTEGER),), [(1,), (2,)])
        assert read_rows(connector, 2) == [(1,), (2,)]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["1.db"]


class TestSqliteViews(TestSqlite):
    """A view has no row numbers; its order is the one SQLite gives."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        numbers = itertools.count(1)

        def build(columns: Sequence[Column], rows: Sequence[Row]) -> Connector:
            path = tmp_path / f"{next(numbers)}.db"
            write(path, columns, rows)
            execute(path, "CREATE VIEW v AS SELECT * FROM t")
            return source(path, "v")

        return build


# --- what a cell may hold ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "literal", "found"),
    [
        ("integer", "9223372036854775807", 2**63 - 1),
        ("bigint", "-5", -5),
        ("real", "0.1", 0.1),
        ("real", "3", 3.0),
        ("real", "9007199254740993", 9007199254740992.0),  # what SQLite itself has made of it
        ("decimal(10,2)", "0.1", Decimal("0.10")),
        ("decimal(10,2)", "'100.00'", Decimal("100.00")),  # which SQLite stores as the integer 100
        ("numeric(20)", "9007199254740993", Decimal(9007199254740993)),
        ("decimal text(30,4)", "'12345678901234567890.1234'", Decimal("12345678901234567890.1234")),
        ("varchar(3)", "'007'", "007"),
        ("varchar(3)", "7", "7"),
        ("text", "x'00ff'", "00ff"),
        ("blob", "x'00ff'", "00ff"),
        ("", "1.5", "1.5"),
        ("", "'a'", "a"),
        ("numeric", "0.1", "0.1"),  # without a scale: text, which match_sql compares as an exact number
        ("decimal(60,2)", "1", "1"),
        ("json", "'{}'", "{}"),
        ("date", "'2026-01-31'", dt.date(2026, 1, 31)),
        ("datetime", "'2026-01-31 12:00:01.5'", dt.datetime(2026, 1, 31, 12, 0, 1, 500000)),
        ("datetime", "'2026-01-31'", dt.datetime(2026, 1, 31)),
        ("timestamp with time zone", "'2026-01-31T12:00:00+02:00'", dt.datetime(2026, 1, 31, 10, tzinfo=dt.UTC)),
        ("bool", "0", False),
        ("boolean", "NULL", None),
    ],
)
def test_values(tmp_path: Path, declared: str, literal: str, found: object) -> None:
    execute(tmp_path / "a.db", f"CREATE TABLE t (id {declared})", f"INSERT INTO t VALUES ({literal})")
    assert read_rows(source(tmp_path / "a.db")) == [(found,)]


@pytest.mark.parametrize(
    ("declared", "literal"),
    [
        ("integer", "1.5"),
        ("integer", "'seven'"),
        ("real", "'seven'"),
        ("decimal(10,2)", "0.125"),
        ("decimal(10,2)", "0.1 + 0.2"),  # 0.30000000000000004
        ("decimal(18,2)", "'9999999999999999.99'"),  # SQLite has made 1e16 of it
        ("decimal(4,2)", "100"),
        ("decimal(4,2)", "'abc'"),
        ("decimal(4,2)", "x'31'"),
        ("date", "20260131"),
        ("date", "'31.01.2026'"),
        ("date", "2461071.5"),
        ("datetime", "'2026-01-31T12:00:00Z'"),
        ("timestamptz", "'2026-01-31T12:00:00'"),
        ("boolean", "2"),
        ("boolean", "'yes'"),
        ("text", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_what_has_no_exact_form_stops(tmp_path: Path, declared: str, literal: str) -> None:
    assert_stops(tmp_path / "a.db", declared, literal)


# --- tables of every sort ------------------------------------------------------------------------------


@pytest.mark.parametrize("splits", [1, 3, 17])
def test_gaps_negative_numbers_and_names_that_hide_the_row_number(tmp_path: Path, splits: int) -> None:
    path = tmp_path / "a.db"
    execute(path, 'CREATE TABLE t (rowid text, "a ""b" text)', "CREATE INDEX i ON t (rowid)")
    numbers = [-(2**63), -5, 0, 7, 10**12, 2**63 - 1]
    execute(path, *(f"INSERT INTO t (_rowid_, rowid) VALUES ({n}, {9 - i})" for i, n in enumerate(numbers)))
    assert [row[0] for row in read_rows(source(path), splits)] == ["9", "8", "7", "6", "5", "4"]


def test_a_table_without_row_numbers_goes_by_its_key(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (a text, id integer, b text, PRIMARY KEY (b, id)) WITHOUT ROWID")
    execute(path, "INSERT INTO t VALUES ('1', 2, 'x'), ('2', 1, 'x'), ('3', 9, 'a')")
    connector = source(path)
    assert [row[0] for row in read_rows(connector, 5)] == ["3", "2", "1"]
    assert connector.declared_key() == ("b", "id")  # type: ignore[attr-defined]


def test_a_narrow_index_does_not_change_the_order(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (id integer, name text)", "CREATE INDEX i ON t (name)", "ANALYZE")
    execute(path, "INSERT INTO t VALUES (1, 'z'), (2, 'm'), (3, 'a')", "CREATE VIEW v AS SELECT id, name FROM t")
    for table in ("t", "v"):
        connector = source(path, table)
        with connector.open_snapshot() as snapshot:
            split = connector.plan_splits(snapshot, 1)[0]
            batches = list(connector.read(snapshot, split, columns=["name"]))
        assert [name for batch in batches for name in batch.column(0).to_pylist()] == ["z", "m", "a"]


def test_names_count_exactly_and_are_never_sql(tmp_path: Path) -> None:
    path = tmp_path / "50% off?.db"
    name = 't"; DROP TABLE x; --'
    execute(path, f'CREATE TABLE "{name.replace(chr(34), chr(34) * 2)}" (id integer)', "CREATE TABLE x (id)")
    assert source(path, name).count() == 0
    with pytest.raises(ConnectorError) as caught:
        source(path, "X").schema()
    assert caught.value.code == "source.table_not_found"
    assert "'x'" in caught.value.hint


def test_a_virtual_table_is_refused(tmp_path: Path) -> None:
    execute(tmp_path / "a.db", "CREATE VIRTUAL TABLE t USING rtree(id, a, b)")
    with pytest.raises(ConnectorError) as caught:
        source(tmp_path / "a.db").schema()
    assert caught.value.code == "source.unsupported_type"


# --- another program writes ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("statement", ["INSERT INTO t VALUES (99)", "UPDATE t SET id = id + 1", "DELETE FROM t"])
def test_a_commit_between_two_splits_is_noticed(tmp_path: Path, mode: str, statement: str) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(i,) for i in range(10)], mode)
    owner = sqlite3.connect(path)
    connector = source(path)
    with pytest.raises(SourceChanged), connector.open_snapshot() as snapshot:
        first, second = connector.plan_splits(snapshot, 2)
        list(connector.read(snapshot, first))
        owner.execute(statement)
        owner.commit()
        list(connector.read(snapshot, second))
    owner.close()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_commit_after_the_last_split_is_noticed(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(1,)], mode)
    connector = source(path)
    with pytest.raises(SourceChanged), connector.open_snapshot():
        execute(path, "INSERT INTO t VALUES (2)")


def test_rows_that_are_in_the_log_only_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(1,)], "wal")
    owner = sqlite3.connect(path)
    owner.execute("INSERT INTO t VALUES (2)")
    owner.commit()  # into the log: the owner is still there
    connector = source(path)
    assert read_rows(connector, 2) == [(1,), (2,)]
    assert connector.content_hash() is None
    owner.execute("INSERT INTO t VALUES (3)")  # not committed
    assert read_rows(connector, 2) == [(1,), (2,)]
    owner.close()


def test_readers_keep_nobody_from_writing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(1,)])
    connector = source(path)
    with pytest.raises(SourceChanged), connector.open_snapshot():
        owner = sqlite3.connect(path, timeout=0)
        owner.execute("INSERT INTO t VALUES (2)")
        owner.commit()
        owner.close()


def test_a_file_that_stays_locked_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sqlite.session._WAIT_SECONDS", 0.05)
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(1,)])
    owner = sqlite3.connect(path)
    owner.execute("BEGIN EXCLUSIVE")
    with pytest.raises(ConnectorError, match="locked") as caught:
        source(path).count()
    assert (caught.value.code, caught.value.retryable) == ("source.unreachable", True)
    owner.close()


def test_a_change_that_a_crash_left_half_done_is_not_read(tmp_path: Path) -> None:
    path, crashed = tmp_path / "a.db", tmp_path / "crashed.db"
    write(path, (Column("id", Kind.INTEGER), Column("code", Kind.TEXT)), [(i, "x" * 1000) for i in range(300)])
    owner = sqlite3.connect(path)
    owner.execute("PRAGMA cache_size = 1")
    owner.execute("UPDATE t SET code = 'half'")  # spills into the file; its journal can still undo it
    crashed.write_bytes(path.read_bytes())
    (tmp_path / "crashed.db-journal").write_bytes((tmp_path / "a.db-journal").read_bytes())
    owner.rollback()
    owner.close()
    with pytest.raises(ConnectorError, match="without writing"):
        source(crashed).preview(1)


# --- what is no database, or none for us ---------------------------------------------------------------


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("id,amount\n1,5\n" * 100)
    good = tmp_path / "good.db"
    write(good, (Column("id", Kind.INTEGER), Column("code", Kind.TEXT)), [(i, "y" * 500) for i in range(200)])
    data = bytearray(good.read_bytes())
    data[4096 * 3 : 4096 * 9] = b"\xff" * (4096 * 6)
    (tmp_path / "damaged.db").write_bytes(data)
    (tmp_path / "cut.db").write_bytes(good.read_bytes()[:5000])
    for name in ("text.db", "damaged.db", "cut.db"):
        with pytest.raises(ConnectorError) as caught:
            read_rows(source(tmp_path / name))
        assert caught.value.code in ("source.unreadable", "source.table_not_found"), name
        assert caught.value.hint
    with pytest.raises(ConnectorError) as caught:
        source(tmp_path / "gone.db").count()
    assert caught.value.code == "source.not_found"
    assert not (tmp_path / "gone.db").exists()
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(ConnectorError, match="a folder"):
        source(tmp_path / "folder.db").count()


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_links_and_pipes_beside_the_file_are_not_followed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(1,)])
    beside = tmp_path / f"a.db{suffix}"
    for make in (lambda: beside.symlink_to("/etc/passwd"), lambda: os.mkfifo(beside)):
        make()
        with pytest.raises(ConnectorError) as caught:
            source(path).count()
        assert caught.value.code == "source.path_forbidden"
        beside.unlink()


def test_the_rule_for_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    outside = tmp_path / "a.db"
    write(outside, (Column("id", Kind.INTEGER),), [(1,)])
    (tmp_path / "in" / "link.db").symlink_to(outside)
    for path in (outside, tmp_path / "in" / ".." / "a.db", tmp_path / "in" / "link.db"):
        with pytest.raises(SourceDenied) as caught:
            source(path, roots=[tmp_path / "in"])
        assert caught.value.code == "source.path_forbidden"


def test_a_view_reaches_no_other_file_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (id integer)", "CREATE VIEW v AS SELECT load_extension('/tmp/x.so') AS id FROM t")
    execute(path, "INSERT INTO t VALUES (1)")
    before = path.read_bytes()
    with pytest.raises(ConnectorError):
        read_rows(source(path, "v"))
    assert path.read_bytes() == before


def test_many_threads_read_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, (Column("id", Kind.INTEGER),), [(i,) for i in range(5000)], "wal")
    connector = source(path)
    found: dict[int, list[Any]] = {}
    with connector.open_snapshot() as snapshot:
        splits = connector.plan_splits(snapshot, 8)

        def work(split: Any) -> Callable[[], None]:
            def run() -> None:
                found[split.index] = [n for b in connector.read(snapshot, split) for n in b.column(0).to_pylist()]

            return run

        threads = [threading.Thread(target=work(split)) for split in splits]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert [n for index in sorted(found) for n in found[index]] == list(range(5000))
