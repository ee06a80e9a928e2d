"""What goes wrong with a MySQL source: stable codes, a hint, never a secret, never half of the rows."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from connectors import ConnectorError, SourceDenied, SourceUnreachable, connector_for
from connectors.mysql import session
from connectors.mysql.reader import MysqlConnector
from recipe import FilterCondition, MysqlSource, RecipeError
from tests.connectors.contract import read_rows
from tests.connectors.mysql_database import READER, WRONG, MysqlDatabase, check_form, open_uri
from tests.mysql_servers import MysqlServer, mariadb_program, mysql_server
from tests.servers import free_port

pytest_plugins = ("tests.connectors.mysql_fixtures",)

ROWS = 20_000


def failure(source: MysqlConnector) -> ConnectorError:
    """The error of reading, checked for form; every way to use the source fails with the same code."""
    found = []
    for use in (source.schema, source.count, lambda: source.preview(1), lambda: read_rows(source)):
        with pytest.raises(ConnectorError) as caught:
            use()
        found.append(caught.value)
    assert len({error.code for error in found}) == 1
    for error in found:
        check_form(error)
    return found[0]


def large(database: MysqlDatabase) -> MysqlConnector:
    """A table of ``ROWS`` rows, about 20 MB."""
    database.run("CREATE TABLE t (id int AUTO_INCREMENT PRIMARY KEY, pad varchar(1000))")
    database.run("INSERT INTO t (pad) VALUES (REPEAT('x', 1000))")
    for _ in range(15):
        database.run(f"INSERT INTO t (pad) SELECT pad FROM t LIMIT {ROWS}")
    database.run(f"DELETE FROM t ORDER BY id DESC LIMIT {database.run('SELECT count(*) FROM t')[0][0] - ROWS}")
    return database.source("t")


# --- addresses, users, rights ---


def test_a_wrong_password(mysql_database: MysqlDatabase) -> None:
    mysql_database.run("CREATE TABLE t (v int)")
    uri = mysql_database.server.uri(mysql_database.name, "t", user=READER, password=WRONG)
    error = failure(open_uri(uri))
    assert isinstance(error, SourceDenied)
    assert (error.code, error.retryable) == ("source.access_denied", False)
    assert "'t'" in error.message


def test_no_password_and_no_such_user(mysql_database: MysqlDatabase) -> None:
    for given in ({"user": READER}, {"user": "nobody", "password": WRONG}):
        assert (
            failure(open_uri(mysql_database.server.uri(mysql_database.name, "t", **given))).code
            == "source.access_denied"
        )


def test_a_user_who_may_not_read_the_table(mysql_database: MysqlDatabase) -> None:
    mysql_database.run(
        "CREATE TABLE t (v int)", "CREATE TABLE u (id int PRIMARY KEY, v int, w int)", "CREATE TABLE w (v int)"
    )
    mysql_database.grant("w")
    assert (
        failure(mysql_database.source("t", reader=True)).code == "source.table_not_found"
    )  # which it may not see either
    mysql_database.run(f"GRANT SELECT (v) ON u TO {READER}", "INSERT INTO u VALUES (1, 2, 3)")
    assert read_rows(mysql_database.source("u", reader=True)) == [(2,)]
    mysql_database.run(f"GRANT INSERT ON t TO {READER}")
    error = failure_of_reading(mysql_database.source("t", reader=True))
    assert error.code == "source.access_denied"


def failure_of_reading(source: MysqlConnector) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        read_rows(source)
    check_form(caught.value)
    return caught.value


def test_a_host_is_reached_where_it_was_checked(mysql_database: MysqlDatabase) -> None:
    """The name is one that nobody can resolve: only the address given for it can have been called."""
    mysql_database.run("CREATE TABLE t AS SELECT 7 AS v")
    named = mysql_database.uri("t").replace("127.0.0.1", "erp.invalid")
    source = MysqlSource(alias="t", uri=named, primary_key=("v",))
    found = connector_for(source, hosts={"erp.invalid": ["127.99.99.99", "127.0.0.1"]})
    assert found.count() == 1
    assert "127" not in found.masked_uri
    for hosts in ({}, {"erp.invalid": []}, {"other.invalid": ["127.0.0.1"]}):
        with pytest.raises(SourceUnreachable, match="cannot be found"):
            connector_for(source, hosts=hosts)


def test_an_unknown_database(mysql_database: MysqlDatabase) -> None:
    error = failure(open_uri(mysql_database.server.uri("no such base", "t")))
    assert error.code == "source.not_found"
    assert "no such base" in error.message


def test_nobody_listens() -> None:
    error = failure(open_uri(f"mysql://u:{WRONG}@127.0.0.1:{free_port()}/d?table=t"))
    assert (error.code, error.retryable) == ("source.unreachable", True)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid"])
def test_an_unknown_host(host: str) -> None:
    error = failure(open_uri(f"mysql://u:{WRONG}@{host}/d?table=t"))
    assert "cannot be found" in error.message
    assert host in error.message


@pytest.mark.parametrize(
    "params",
    ["ssl-mode=maybe", "ssl-ca=/etc/ca.pem", "local_infile=1", "unix_socket=/tmp/s", "read_default_file=/etc/my.cnf"],
)
def test_parameters_that_are_not_known(params: str) -> None:
    with pytest.raises((ConnectorError, RecipeError, ValueError)) as caught:
        open_uri(f"mysql://root:{WRONG}@127.0.0.1/d?table=t&{params}")
    assert "source.invalid_uri" in str(caught.value)
    assert WRONG not in str(caught.value)


def test_filters_are_checked_together(mariadb_database: MysqlDatabase) -> None:
    mariadb_database.run("CREATE TABLE t (amount decimal(10,2), day date)")
    filters = [
        FilterCondition(column="amuont", op="eq", value=1),
        FilterCondition(column="day", op="gt", value="yesterday"),
    ]
    source = mariadb_database.source("t")
    for use in (
        lambda: source.count(filters),
        lambda: source.preview(1, filters),
        lambda: read_rows(source, 1, filters),
    ):
        with pytest.raises(RecipeError) as caught:
            use()
        assert [d["code"] for d in caught.value.details] == ["filter.unknown_column", "filter.invalid_value"]


# --- encryption ---


def test_encryption_is_used_where_the_server_has_it(mysql_servers: Callable[[str], MysqlServer]) -> None:
    """MySQL makes itself a certificate, which nobody has signed."""
    server = mysql_servers("mysql")
    database = MysqlDatabase(server, server.create_database())
    database.run(
        "CREATE VIEW t AS SELECT VARIABLE_VALUE AS v FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'"
    )
    found = {
        mode: read_rows(database.source("t", params={"ssl-mode": mode}))
        for mode in ("disabled", "preferred", "required")
    }
    assert found["disabled"] == [("",)]
    assert found["preferred"] == found["required"] != [("",)]
    authorities = str(server.home / "data" / "ca.pem")
    assert read_rows(database.source("t", params={"ssl-mode": "verify-ca", "ssl-ca": authorities})) == found["required"]
    for params in ({"ssl-mode": "verify-ca"}, {"ssl-mode": "verify-identity", "ssl-ca": authorities}):
        error = failure(database.source("t", params=params))
        assert (error.code, "encrypted" in error.message) == ("source.unreachable", True)
    for path in ("/no/such/file", "/etc/hostname"):
        error = failure(database.source("t", params={"ssl-mode": "verify-ca", "ssl-ca": path}))
        assert error.code == "source.invalid_uri"


def test_encryption_that_the_server_lacks(mariadb_database: MysqlDatabase) -> None:
    mariadb_database.run("CREATE TABLE t (v int)")
    assert mariadb_database.source("t").count() == 0
    error = failure(mariadb_database.source("t", params={"ssl-mode": "required"}))
    assert error.code == "source.unreachable"
    assert "ssl-mode" in error.hint


# --- servers that stop in the middle ---


@contextlib.contextmanager
def cutting(port: int, after: int) -> Iterator[int]:
    """A port that leads to another and cuts each line once it has carried so many bytes back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        ended = threading.Event()
        threads: list[threading.Thread] = []

        def carry(client: socket.socket, server: socket.socket, most: int) -> None:
            with client, server, contextlib.suppress(OSError):
                while most > 0 and (said := server.recv(min(most, 65536))):
                    client.sendall(said)
                    most -= len(said)
                for end in (client, server):
                    end.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    client, _ = listener.accept()
                    server = socket.create_connection(("127.0.0.1", port))
                    for one, other, most in ((client, server, after), (server, client, 1 << 40)):
                        threads.append(threading.Thread(target=carry, args=(one, other, most), daemon=True))
                        threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            for thread in [accepting, *threads]:
                thread.join(10)


@pytest.mark.parametrize("after", [100, 6_000, 5_000_000, 20_000_000])
def test_a_line_that_is_cut_never_looks_like_the_end(mariadb_database: MysqlDatabase, after: int) -> None:
    source = large(mariadb_database)
    with cutting(mariadb_database.server.port, after) as port, source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        cut = mariadb_database.source("t", port=port)
        rows = 0
        with pytest.raises(SourceUnreachable) as caught:
            for batch in cut.read(snapshot, split):
                rows += batch.num_rows
        check_form(caught.value)
        assert rows < ROWS
        assert sum(b.num_rows for b in source.read(snapshot, split)) == ROWS


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the rows are still on the server once the first are there."""
    monkeypatch.setattr(session, "_PORTION_BYTES", 1 << 20)


def test_a_killed_connection_never_looks_like_the_end(mysql_database: MysqlDatabase, small_portions: None) -> None:
    source = large(mysql_database)
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        batches = source.read(snapshot, split)
        next(batches)
        ((number,),) = sessions(mysql_database)
        mysql_database.run(f"KILL {number}")
        with pytest.raises(SourceUnreachable) as caught:
            list(batches)
        assert (caught.value.code, caught.value.retryable) == ("source.unreachable", True)


def sessions(database: MysqlDatabase) -> list[tuple[int]]:
    """Connections that read the database, without the one that asks."""
    found: list[tuple[int]] = database.run(
        f"SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{database.name}' AND ID <> CONNECTION_ID()"
    )
    return list(found)


def test_an_abandoned_read_leaves_nothing_behind(mysql_database: MysqlDatabase, small_portions: None) -> None:
    source = large(mysql_database)
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        assert sessions(mysql_database) == []  # nobody waits while nothing is read
        batches = source.read(snapshot, split)
        next(batches)
        assert len(sessions(mysql_database)) == 1
        with contextlib.closing(batches):
            pass
    deadline = time.monotonic() + 20
    while sessions(mysql_database) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sessions(mysql_database) == []


def test_a_server_that_goes_down_while_reading(small_portions: None) -> None:
    try:
        mariadb_program()
    except RuntimeError as error:
        pytest.skip(str(error))
    with mysql_server("mariadb") as server:
        database = MysqlDatabase(server, server.create_database())
        source = large(database)
        with source.open_snapshot() as snapshot:
            (split,) = source.plan_splits(snapshot, 1)
            batches = source.read(snapshot, split)
            next(batches)
            server.stop()
            with pytest.raises(SourceUnreachable):
                list(batches)
        assert failure(source).code == "source.unreachable"


def test_a_count_or_preview_that_takes_too_long(mysql_database: MysqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.mysql.reader.SHOWN_SECONDS", 0.3)
    ten = "(SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5)"
    crossed = " CROSS JOIN ".join(f"{ten} AS d{i}" for i in range(14))
    mysql_database.run(f"CREATE VIEW v AS SELECT MD5(CONCAT(d0.n, d1.n, d9.n)) AS s FROM {crossed}")
    source = mysql_database.source("v")
    filters = [FilterCondition(column="s", op="eq", value="nothing")]
    for use in (source.count, lambda: source.count(filters), lambda: source.preview(1)):
        with pytest.raises(SourceUnreachable) as caught:
            use()
        assert caught.value.code == "source.timeout"
        check_form(caught.value)


def test_a_view_that_fails(mysql_database: MysqlDatabase) -> None:
    mysql_database.run(
        "CREATE TABLE t (n bigint)", "INSERT INTO t VALUES (1), (9223372036854775807)",
        "CREATE VIEW v AS SELECT n + 1 AS m FROM t", "CREATE TABLE gone (v int)", "CREATE VIEW w AS SELECT v FROM gone",
        "DROP TABLE gone",
    )  # fmt: skip
    error = failure_of_reading(mysql_database.source("v"))
    assert (error.code, "out of range" in error.message) == ("source.unreadable", True)
    error = failure_of_reading(mysql_database.source("w"))
    assert "view that the server cannot evaluate" in error.message


def test_a_row_that_is_too_large(mariadb_database: MysqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MOST_BYTES", 1 << 20)
    mariadb_database.run(
        "CREATE TABLE t (id int PRIMARY KEY, v longblob)", "INSERT INTO t VALUES (1, REPEAT('x', 2000000))"
    )
    source = mariadb_database.source("t")
    with pytest.raises(ConnectorError, match="more than 1 MiB") as caught:
        read_rows(source)
    assert caught.value.code == "source.unrepresentable_value"
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        assert [b.num_rows for b in source.read(snapshot, split, (), ["id"])] == [1]
