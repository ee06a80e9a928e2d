"""What goes wrong with a PostgreSQL source: stable codes, a hint, never a secret, never half of the rows."""

from __future__ import annotations

import contextlib
import pickle
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from connectors import ConnectorError, SourceDenied, SourceUnreachable, connector_for
from connectors.postgres.reader import PostgresConnector
from recipe import FilterCondition, PostgresSource, RecipeError
from tests.connectors.contract import read_rows
from tests.connectors.postgres_database import READER, SECRET, Database, open_uri
from tests.servers import free_port, postgres_server

pytest_plugins = ("tests.connectors.postgres_fixtures",)

WRONG = "wr0ng-s3cret"


def failure(source: PostgresConnector) -> ConnectorError:
    """The error of reading, checked for form; every way to use the source fails with the same code."""
    found = []
    for use in (source.schema, source.count, lambda: source.preview(1), lambda: read_rows(source)):
        with pytest.raises(ConnectorError) as caught:
            use()
        found.append(caught.value)
    assert len({error.code for error in found}) == 1
    for error in found:
        texts = (str(error), repr(error), str(error.as_dict()), str(pickle.loads(pickle.dumps(error))))
        assert not [text for text in texts if WRONG in text or SECRET in text or "s3cr3t" in text]
        assert error.hint
        assert error.__cause__ is None
    return found[0]


def test_a_wrong_password(database: Database) -> None:
    database.run("CREATE TABLE t (v int)")
    uri = database.server.uri(database.name, "t", user=READER, password=WRONG)
    error = failure(open_uri(uri))
    assert isinstance(error, SourceDenied)
    assert (error.code, error.retryable) == ("source.access_denied", False)
    assert "'t'" in error.message


def test_no_password_and_no_such_user(database: Database) -> None:
    for uri in (
        database.server.uri(database.name, "t", user=READER),
        database.server.uri(database.name, "t", user="nobody", password=WRONG),
        database.server.uri(database.name, "t", params={"user": "nobody"}).replace("postgres@", "", 1),
    ):
        assert failure(open_uri(uri)).code == "source.access_denied"


def test_a_host_is_reached_where_it_was_checked(database: Database) -> None:
    """The name is one that nobody can resolve: only the address given for it can have been called."""
    database.run("CREATE TABLE t AS SELECT 7 AS v")
    uri = database.server.uri(database.name, "t")
    named = uri.replace("127.0.0.1", "erp.invalid")
    assert named != uri
    source = PostgresSource(alias="t", type="postgres", uri=named, primary_key=("v",))
    found = connector_for(source, hosts={"erp.invalid": ["127.99.99.99", "127.0.0.1"]})
    assert found.count() == 1
    assert "127.99" not in found.masked_uri
    for hosts in ({}, {"erp.invalid": []}, {"other.invalid": ["127.0.0.1"]}):
        with pytest.raises(SourceUnreachable, match="cannot be found"):
            connector_for(source, hosts=hosts)


def test_an_unknown_database(database: Database) -> None:
    error = failure(open_uri(database.server.uri("no such base", "t")))
    assert error.code == "source.not_found"
    assert "no such base" in error.message


def test_nobody_listens() -> None:
    error = failure(open_uri(f"postgres://u:{WRONG}@127.0.0.1:{free_port()}/d?table=t"))
    assert (error.code, error.retryable) == ("source.unreachable", True)


def test_an_unknown_host() -> None:
    error = failure(open_uri(f"postgres://u:{WRONG}@no-such-host.invalid/d?table=t"))
    assert (error.code, error.retryable) == ("source.unreachable", True)
    assert "no-such-host.invalid" in error.message


def test_no_socket_in_the_folder() -> None:
    assert failure(open_uri("postgres://u@%2Fno%2Fsuch%2Ffolder/d?table=t")).code == "source.unreachable"


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener.getsockname()[1]


def test_a_server_that_does_not_answer(silent_port: int) -> None:
    source = open_uri(f"postgres://u:{WRONG}@127.0.0.1:{silent_port}/d?table=t&connect_timeout=2")
    started = time.monotonic()
    with pytest.raises(SourceUnreachable, match="did not answer in time") as caught:
        source.schema()
    assert caught.value.code == "source.unreachable"
    assert time.monotonic() - started < 9


@pytest.mark.parametrize("params", ["sslmode=maybe", "nonsense=1", "async=1", "x%20hostaddr=127.0.0.1", "port=x"])
def test_parameters_that_no_driver_knows(database: Database, params: str) -> None:
    uri = f"postgres://postgres:{WRONG}@127.0.0.1/{database.name}?table=t&{params}"
    with pytest.raises((ConnectorError, RecipeError, ValueError)) as caught:
        open_uri(uri).schema()
    assert "source.invalid_uri" in str(caught.value)
    assert WRONG not in str(caught.value)


def test_encryption_that_the_server_lacks(database: Database) -> None:
    error = failure(database.source("t", params={"sslmode": "require"}))
    assert error.code == "source.unreachable"
    assert "sslmode" in error.hint


def test_a_table_that_the_user_may_not_read(database: Database) -> None:
    database.run("CREATE TABLE t (v int); CREATE SCHEMA locked; CREATE TABLE locked.t (v int)")
    for name in ("t", "locked.t"):
        source = database.source(name, reader=True)
        for use in (source.count, lambda s=source: s.preview(1), lambda s=source: read_rows(s)):
            with pytest.raises(SourceDenied, match="permission denied") as caught:
                use()
            assert caught.value.code == "source.access_denied"


def test_a_statement_timeout(database: Database) -> None:
    database.run("CREATE VIEW v AS SELECT i, pg_sleep(0.05)::text AS s FROM generate_series(1, 200) i")
    source = database.source("v", params={"options": "-c statement_timeout=300"})
    with pytest.raises(SourceUnreachable, match="statement timeout") as caught:
        read_rows(source)
    assert caught.value.code == "source.timeout"


def test_a_view_that_fails_in_the_middle(database: Database) -> None:
    database.run(
        "CREATE VIEW v AS SELECT 100 / (50000 - i) AS q, repeat('x', 100) AS p FROM generate_series(1, 60000) i"
    )
    with pytest.raises(ConnectorError, match="division by zero") as caught:
        read_rows(database.source("v"))
    assert caught.value.code == "source.unreadable"


def test_a_foreign_table_without_its_server(database: Database) -> None:
    database.run(
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;CREATE FOREIGN TABLE f (v int) SERVER s"
    )
    source = database.source("f")
    assert [c.name for c in source.schema()] == ["v"]
    with pytest.raises(ConnectorError, match="no handler"):
        read_rows(source)


def test_filters_are_checked_together(database: Database) -> None:
    database.run("CREATE TABLE t (amount numeric(10,2), day date)")
    filters = [
        FilterCondition(column="amuont", op="eq", value=1),
        FilterCondition(column="day", op="gt", value="yesterday"),
    ]
    source = database.source("t")
    for use in (
        lambda: source.count(filters),
        lambda: source.preview(1, filters),
        lambda: read_rows(source, 1, filters),
    ):
        with pytest.raises(RecipeError) as caught:
            use()
        assert [d["code"] for d in caught.value.details] == ["filter.unknown_column", "filter.invalid_value"]
        assert "amount" in caught.value.details[0]["message"]


# --- connections that break ---


LARGE = "CREATE TABLE t AS SELECT i AS id, repeat('x', 1000) AS pad FROM generate_series(1, 60000) i"
TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND "


def kalla_sessions(database: Database) -> int:
    return int(
        database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'kalla'"
        )
    )


def test_a_killed_backend_never_looks_like_the_end(database: Database) -> None:
    database.run(LARGE)
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        batches = source.read(snapshot, split)
        next(batches)
        assert database.value(TERMINATE + "query LIKE 'COPY%'") == 1
        with pytest.raises(SourceUnreachable) as caught:
            list(batches)
        assert caught.value.code == "source.unreachable"
        assert caught.value.retryable
        assert sum(b.num_rows for b in source.read(snapshot, split)) == 60000  # the same snapshot, once more


def test_a_lost_snapshot_says_so(database: Database) -> None:
    database.run("CREATE TABLE t (v int)")
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        database.value(TERMINATE + "application_name = 'kalla'")
        for use in (lambda: list(source.read(snapshot, split)), lambda: source.plan_splits(snapshot, 1)):
            with pytest.raises(SourceUnreachable, match="snapshot ended"):
                use()


def test_a_snapshot_of_the_past_is_refused(database: Database) -> None:
    database.run("CREATE TABLE t (v int)")
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
    with pytest.raises(SourceUnreachable, match="snapshot ended"):
        list(source.read(snapshot, split))


def test_a_server_that_goes_down_while_reading() -> None:
    with postgres_server() as server:
        database = Database(server, server.create_database())
        database.run(LARGE)
        source = database.source("t")
        with source.open_snapshot() as snapshot:
            (split,) = source.plan_splits(snapshot, 1)
            batches = source.read(snapshot, split)
            next(batches)
            server.stop()
            with pytest.raises(SourceUnreachable):
                list(batches)
        with pytest.raises(SourceUnreachable):
            source.count()
        server.start()
        assert source.count() == 60000


def test_an_abandoned_read_leaves_nothing_behind(database: Database) -> None:
    database.run(LARGE)
    source = database.source("t")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        batches = source.read(snapshot, split)
        next(batches)
        with contextlib.closing(batches):
            assert kalla_sessions(database) == 2
    deadline = time.monotonic() + 10
    while kalla_sessions(database) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert kalla_sessions(database) == 0
    assert not [t for t in threading.enumerate() if t.name.startswith("kalla-copy")]


def test_a_slow_statement_is_cancelled_when_abandoned(database: Database) -> None:
    database.run(
        "CREATE VIEW v AS SELECT i, repeat('x', 2000) AS p,"
        " CASE WHEN i > 2000 THEN pg_sleep(30)::text END AS s FROM generate_series(1, 3000) i"
    )
    source = database.source("v")
    with source.open_snapshot() as snapshot:
        (split,) = source.plan_splits(snapshot, 1)
        batches = source.read(snapshot, split)
        next(batches)
        started = time.monotonic()
        batches.close()
    assert time.monotonic() - started < 10
