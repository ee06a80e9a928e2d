"""SQLite files that are too large, never end, are exchanged while they are read, or only seem to hold a number."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors import Connector, ConnectorError, SourceChanged, SourceDataError, SourceDenied
from connectors.sqlite import session
from connectors.sqlite.session import DatabaseFile, transaction
from recipe import Column, FilterCondition, Kind
from tests.connectors.contract import read_rows
from tests.connectors.test_sqlite import assert_stops, execute, source, write

_ID = (Column("id", Kind.INTEGER),)
_ENDLESS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT id FROM n"


def batches(connector: Connector, columns: Sequence[str] | None = None) -> list[Any]:
    return list(connector.scan(columns=columns))


def in_another_process(path: Path, *statements: str) -> str:
    """What a program that commits these says, "done" where it could."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "try:\n"
        "    for statement in sys.argv[2:]:\n"
        "        connection.execute(statement)\n"
        "    print('done')\n"
        "except sqlite3.Error as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path), *statements], capture_output=True, text=True, timeout=30, check=True
    )
    return ran.stdout.strip()


# --- size and time -------------------------------------------------------------------------------------


def test_a_batch_closes_by_what_its_cells_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(
        path,
        "CREATE TABLE t (id integer, scan blob)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)"
        " INSERT INTO t SELECT i, zeroblob(1000000) FROM n",
    )
    found = batches(source(path))
    assert [row for batch in found for row in batch.column("id").to_pylist()] == list(range(1, 51))
    assert max(batch.num_rows for batch in found) <= 17  # 16 MiB
    assert source(path).preview(1).total_rows == 50


@pytest.mark.parametrize("table", ["t", "v"])
def test_a_value_that_is_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    monkeypatch.setattr(session, "LONGEST_VALUE", 1 << 20)
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (a text)", "INSERT INTO t VALUES (zeroblob(2000000))")
    execute(path, "CREATE VIEW v AS SELECT zeroblob(2000000) AS a")
    with pytest.raises(SourceDataError, match="1 MiB") as caught:
        source(path, table).preview(1)
    assert caught.value.code == "source.unrepresentable_value"


def test_a_view_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.sqlite.reader._VIEW_SECONDS", 0.1)
    execute(tmp_path / "a.db", f"CREATE VIEW v AS {_ENDLESS}")
    connector = source(tmp_path / "a.db", "v")
    never = [FilterCondition(column="id", op="eq", value="-1")]
    for ask in (
        connector.count,
        lambda: connector.count(never),
        lambda: connector.preview(1),
        lambda: connector.preview(1, never),
    ):
        with pytest.raises(ConnectorError) as caught:
            ask()
        assert caught.value.code == "source.timeout"
    assert connector.estimated_rows() is None


def test_rows_are_estimated_by_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (id integer primary key)", "CREATE TABLE w (id text PRIMARY KEY) WITHOUT ROWID")
    assert source(path).estimated_rows() == 0
    execute(path, "INSERT INTO t VALUES (11), (12), (20)")
    assert source(path).estimated_rows() == 10
    execute(path, f"INSERT INTO t VALUES ({-(2**63)}), ({2**63 - 1})")
    assert source(path).estimated_rows() == path.stat().st_size // 4  # more have no room
    assert source(path, "w").estimated_rows() is None


# --- exchanged and changed meanwhile -------------------------------------------------------------------


def test_a_link_that_is_moved_after_the_check_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    path, secret = tmp_path / "in" / "a.db", tmp_path / "secret.db"
    write(path, _ID, [(1,)])
    write(secret, _ID, [(42,)])
    connector = source(path, roots=[tmp_path / "in"])
    connect = session._connect

    def moving(real: str, is_whole: bool) -> sqlite3.Connection:
        path.unlink()
        path.symlink_to(secret)
        return connect(real, is_whole)

    monkeypatch.setattr(session, "_connect", moving)
    with pytest.raises(SourceDenied) as caught:
        connector.count()
    assert caught.value.code == "source.path_forbidden"


def test_a_file_that_another_replaces_is_not_mixed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = tmp_path / "a.db", tmp_path / "b.db"
    write(path, _ID, [(1,)])
    write(other, _ID, [(2,)])
    connect = session._connect

    def replacing(real: str, is_whole: bool) -> sqlite3.Connection:
        os.replace(other, path)
        return connect(real, is_whole)

    monkeypatch.setattr(session, "_connect", replacing)
    with pytest.raises(SourceChanged):
        source(path).count()


def test_a_file_that_goes_away_meanwhile_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    write(path, _ID, [(1,)])
    connect = session._connect

    def removing(real: str, is_whole: bool) -> sqlite3.Connection:
        connection = connect(real, is_whole)
        path.unlink()
        return connection

    monkeypatch.setattr(session, "_connect", removing)
    with pytest.raises(SourceChanged):
        source(path).count()


def test_what_is_read_without_locks_is_compared_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, _ID, [(1,)], "wal")
    with pytest.raises(SourceChanged), transaction(DatabaseFile(str(path))):
        execute(path, "INSERT INTO t VALUES (2)")


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_preview_shows_one_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    path = tmp_path / "a.db"
    write(path, _ID, [(1,), (2,)], mode)
    connector = source(path)

    def first_of(columns: Any, rows: Any, limit: int, count: Any) -> str:
        next(rows)
        rows.close()
        execute(path, "INSERT INTO t VALUES (3)")
        return "a mixture"

    monkeypatch.setattr("connectors.sqlite.reader.first_of", first_of)
    with pytest.raises(SourceChanged):
        connector.preview(1)


def test_a_read_that_goes_on_keeps_its_lock(tmp_path: Path) -> None:
    """Closing any descriptor of a file drops the locks that a process has on it."""
    path = tmp_path / "a.db"
    write(path, _ID, [(i,) for i in range(20_000)])
    connector = source(path)
    with connector.open_snapshot() as snapshot:
        rows = connector.read(snapshot, connector.plan_splits(snapshot, 1)[0])
        count = next(rows).num_rows
        connector.schema()
        connector.content_hash()
        assert "locked" in in_another_process(path, "DELETE FROM t")
        assert count + sum(batch.num_rows for batch in rows) == 20_000
    assert in_another_process(path, "DELETE FROM t") == "done"


def test_a_checkpoint_does_not_take_pages_from_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, _ID, [(i,) for i in range(20_000)], "wal")
    owner = sqlite3.connect(path)
    owner.execute("UPDATE t SET id = -id")
    owner.commit()  # into the log
    connector = source(path)
    with pytest.raises(SourceChanged), connector.open_snapshot() as snapshot:
        rows = connector.read(snapshot, connector.plan_splits(snapshot, 1)[0])
        found = next(rows).column(0).to_pylist()
        statements = ("UPDATE t SET id = 7", "PRAGMA wal_checkpoint(TRUNCATE)", "UPDATE t SET id = 8")
        assert in_another_process(path, *statements) == "done"
        found += [cell for batch in rows for cell in batch.column(0).to_pylist()]
        assert found == [-i for i in range(20_000)]
    owner.close()


def test_a_log_without_its_index_is_not_read(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.db", tmp_path / "copy.db"
    write(path, _ID, [(1,)], "wal")
    owner = sqlite3.connect(path)
    owner.execute("INSERT INTO t VALUES (2)")
    owner.commit()
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    with pytest.raises(ConnectorError, match="without writing"):
        source(copy).count()
    assert sorted(p.name for p in tmp_path.glob("copy*")) == ["copy.db", "copy.db-wal"]
    shutil.copy(f"{path}-shm", f"{copy}-shm")
    assert read_rows(source(copy)) == [(1,), (2,)]
    owner.close()


def test_a_commit_into_the_log_changes_what_tells_the_state(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    write(path, _ID, [(1,)], "wal")
    file = DatabaseFile(str(path))
    found = [file.identity()]
    owner = sqlite3.connect(path)
    for statement in ("INSERT INTO t VALUES (2)", "INSERT INTO t VALUES (3)"):
        owner.execute(statement)
        owner.commit()
        found.append(file.identity())
    owner.close()
    assert len({repr(one) for one in found}) == 3


# --- what a cell may hold ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "literal"),
    [
        ("decimal(30,0)", "'1000000000000000000001'"),  # SQLite keeps 1e21
        ("decimal(30,2)", "'100000000000000000000.01'"),
        ("numeric(30,2)", "'10000000000000000000.5'"),
        ("decimal(30,2)", "1e20"),
        ("decimal text(10,2)", "'\u0661\u0662'"),  # digits, in Arabic
        ("decimal text(10,2)", "'\u20031'"),  # behind an em space
        ("date", "'0000-01-01'"),
        ("datetime", "'0000-12-31 23:59:59'"),
        ("timestamptz", "'0001-01-01T00:30:00+01:00'"),
        ("timestamptz", "'9999-12-31T23:30:00-01:00'"),
    ],
)
def test_what_only_seems_exact_stops(tmp_path: Path, declared: str, literal: str) -> None:
    assert_stops(tmp_path / "a.db", declared, literal)


@pytest.mark.parametrize(
    ("declared", "literal", "found"),
    [
        ("decimal(18,2)", "'9999999999999.99'", Decimal("9999999999999.99")),
        ("decimal(30,4)", "'-12345678901.2345'", Decimal("-12345678901.2345")),
        ("decimal text(10,2)", "'\u00a01.50\u202f'", Decimal("1.50")),
    ],
)
def test_what_is_exact_is_read(tmp_path: Path, declared: str, literal: str, found: object) -> None:
    execute(tmp_path / "a.db", f"CREATE TABLE t (id {declared})", f"INSERT INTO t VALUES ({literal})")
    assert read_rows(source(tmp_path / "a.db")) == [(found,)]


@pytest.mark.parametrize("declared", ["date", "datetime", "timestamptz"])
def test_the_first_and_the_last_day(tmp_path: Path, declared: str) -> None:
    zone = "T12:00:00Z" if declared == "timestamptz" else ""
    literals = ", ".join(f"('{day}{zone}')" for day in ("0001-01-01", "9999-12-31"))
    execute(tmp_path / "a.db", f"CREATE TABLE t (id {declared})", f"INSERT INTO t VALUES {literals}")
    found = [str(row[0])[:10] for row in source(tmp_path / "a.db").preview(5).rows]
    assert found == ["0001-01-01", "9999-12-31"]


# --- what a table says of itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "key"),
    [
        ("(a text PRIMARY KEY, b text)", ()),  # NULLs are let in
        ("(a text NOT NULL PRIMARY KEY, b text)", ("a",)),
        ("(a text NOT NULL, b text, PRIMARY KEY (b, a))", ()),
        ("(a text NOT NULL, b text NOT NULL, PRIMARY KEY (b, a))", ("b", "a")),
        ("(a integer PRIMARY KEY, b text)", ("a",)),
        ("(a int PRIMARY KEY, b text)", ()),  # not the row number
        ("(a text PRIMARY KEY, b text) WITHOUT ROWID", ("a",)),
        ("(a text UNIQUE, b text)", ()),
    ],
)
def test_a_key_that_may_hold_nulls_is_none(tmp_path: Path, definition: str, key: tuple[str, ...]) -> None:
    execute(tmp_path / "a.db", f"CREATE TABLE t {definition}")
    assert source(tmp_path / "a.db").declared_key() == key


def test_virtual_tables_are_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE VIRTUAL TABLE r USING rtree(id, a, b)", "CREATE TABLE t (id)", "CREATE VIEW v AS SELECT 1")
    names = [(entry.name, entry.kind) for entry in source(path).listed(50).entries]
    assert ("t", "table") in names
    assert ("v", "view") in names
    assert "r" not in dict(names)


def test_columns_that_hide_the_row_number_do_not_change_the_order(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE t (rowid text, oid text, _rowid_ text)", "CREATE INDEX i ON t (oid)")
    execute(path, "INSERT INTO t VALUES ('1', 'z', ''), ('2', 'm', ''), ('3', 'a', '')")
    found = batches(source(path), ["oid"])
    assert [cell for batch in found for cell in batch.column(0).to_pylist()] == ["z", "m", "a"]
