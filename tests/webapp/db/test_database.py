"""The engine: addresses, rights, transactions, and a database that is down."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from tests.servers import PostgresServer, free_port
from webapp.db import Database
from webapp.errors import ServiceError, SettingsError
from webapp.stores.audit import AuditStore
from webapp.stores.vault import Vault

VAULT = Vault("a key")
Open = Callable[[str], Database]


def test_what_a_session_writes_is_committed_and_what_fails_is_not(database: Database) -> None:
    entry = text("INSERT INTO audit_log (actor, action, subject) VALUES ('me', 'test', :subject)")
    with database.session() as session:
        session.execute(entry, {"subject": "kept"})
    with pytest.raises(RuntimeError), database.session() as session:
        session.execute(entry, {"subject": "lost"})
        raise RuntimeError
    assert [record.subject for record in AuditStore(database, VAULT).list()] == ["kept"]


def answers(database: Database) -> bool:
    """Whether a statement comes back with its result."""
    with database.session() as session:
        return bool(session.scalar(text("SELECT 1")) == 1)


def test_a_database_serves_again_after_close(database: Database) -> None:
    database.close()
    assert answers(database)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_postgresql_is_taken(
    scheme: str, postgres_for_app: PostgresServer, open_database: Open
) -> None:
    assert answers(open_database(postgres_for_app.uri("postgres").replace("postgres", scheme, 1)))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://kalla:swordfish@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:swordfish?mode=memory&uri=true",
        "swordfish",
        "postgresql+asyncpg://kalla:swordfish@h/d",
        "postgresql://kalla:swordfish@h:port/d",
        "",
    ],
)
def test_an_address_of_nothing_usable_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Database(url)
    assert caught.value.code == "settings.invalid"
    assert "swordfish" not in str(caught.value) + repr(caught.value.__cause__)


@pytest.mark.parametrize("password", ["swordfish", "sword%40fish"])
def test_a_server_that_is_down_is_told_without_its_address(
    password: str, open_database: Open, caplog: pytest.LogCaptureFixture
) -> None:
    database = open_database(f"postgres://kalla:{password}@127.0.0.1:{free_port()}/app?connect_timeout=2")
    for use in (database.ping, database.migrate, AuditStore(database, VAULT).list):
        with pytest.raises(ServiceError) as caught:
            use()
        assert (caught.value.code, caught.value.status) == ("database.unavailable", 503)
        assert caught.value.__cause__ is None
        assert not {word for word in ("fish", "kalla:", "127.0.0.1") if word in str(caught.value)}
    assert "refused" in caplog.text  # the operator learns why
    assert "fish" not in caplog.text


def test_a_wrong_password_is_told_the_same_way(postgres_for_app: PostgresServer, open_database: Open) -> None:
    postgres_for_app.execute("postgres", "CREATE ROLE locked_out LOGIN PASSWORD 'right'")
    url = postgres_for_app.uri("postgres", user="locked_out", password="swordfish")
    with pytest.raises(ServiceError, match=r"database\.unavailable") as caught:
        open_database(url).ping()
    assert "locked_out" not in str(caught.value)


def test_connections_that_the_server_cut_are_replaced(postgres_for_app: PostgresServer, open_database: Open) -> None:
    name = postgres_for_app.create_database()
    database = open_database(postgres_for_app.uri(name))
    assert answers(database)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
    postgres_for_app.execute("postgres", cut, (name,))
    assert answers(database)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, open_database: Open) -> None:
    (tmp_path / "taken").write_text("a file")
    database = open_database(f"sqlite:///{tmp_path / 'taken' / 'kalla.db'}")
    for use in (database.ping, database.migrate):
        with pytest.raises(ServiceError, match=r"database\.unavailable"):
            use()


def test_a_file_that_is_no_database_is_told(tmp_path: Path, open_database: Open) -> None:
    (tmp_path / "kalla.db").write_bytes(b"nothing that SQLite knows" * 100)
    with pytest.raises(ServiceError, match=r"database\.unavailable"):
        open_database(f"sqlite:///{tmp_path / 'kalla.db'}").migrate()


def test_the_embedded_database_is_its_owners_alone(tmp_path: Path, open_database: Open) -> None:
    previous = os.umask(0)
    try:
        database = open_database(f"sqlite:///{tmp_path / 'new' / 'state' / 'kalla.db'}")
        database.migrate()
        AuditStore(database, VAULT).record("me", "test", "x")
        folder = tmp_path / "new" / "state"
        rights = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(previous)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {"kalla.db", "kalla.db-wal"} <= set(rights)
    assert set(rights.values()) == {0o600}


def test_the_embedded_database_is_set_up_for_many_readers(tmp_path: Path, open_database: Open) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'kalla.db'}")
    database.migrate()
    with database.session() as session:
        found = {p: session.scalar(text(f"PRAGMA {p}")) for p in ("journal_mode", "foreign_keys", "synchronous")}
        assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1}
        assert (session.scalar(text("PRAGMA busy_timeout")) or 0) >= 5000


def test_a_relative_file_stays_where_it_was_when_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_database: Open
) -> None:
    monkeypatch.chdir(tmp_path)
    database = open_database("sqlite:///kalla.db")
    database.migrate()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    database.close()
    database.ping()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_who_reads_first_and_writes_afterwards_is_not_turned_away(database: Database) -> None:
    """Without the lock taken at once, SQLite refuses the later one of two such transactions."""
    with database.session() as session:
        session.execute(text("INSERT INTO audit_log (actor, action, subject) VALUES ('me', 'count', '0')"))

    def count_up() -> None:
        for _ in range(10):
            with database.session(writes=True) as session:
                last = "SELECT subject FROM audit_log" + (" FOR UPDATE" if not database.is_sqlite else "")
                number = int(session.scalar(text(last)) or 0)
                session.execute(text("UPDATE audit_log SET subject = :n"), {"n": str(number + 1)})

    threads = [threading.Thread(target=count_up) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.subject for record in AuditStore(database, VAULT).list()] == ["30"]


def test_a_forked_process_opens_connections_of_its_own(database: Database) -> None:
    database.ping()
    child = os.fork()
    if child == 0:
        try:
            database.ping()
            fine = database.engine.pool.checkedin() == 1  # type: ignore[attr-defined]
        finally:
            os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    database.ping()


def test_parameters_never_show_in_errors(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as caught, database.session() as session:
        session.execute(text("SELECT * FROM no_such_table\nWHERE uri = :uri"), {"uri": "swordfish"})
    assert "swordfish" not in f"{caught.value}{caught.value.__cause__}"


def test_ping_is_quick(database: Database) -> None:
    database.ping()
    started = time.perf_counter()
    for _ in range(20):
        database.ping()
    assert time.perf_counter() - started < 2


def test_a_full_disk_is_told_as_such(tmp_path: Path, open_database: Open) -> None:
    """SQLite meets the same end when the file may grow no more."""
    database = open_database(f"sqlite:///{tmp_path / 'kalla.db'}")
    database.migrate()

    @event.listens_for(database.engine, "checkout")
    def no_more(connection: Any, *_: object) -> None:
        connection.execute("PRAGMA max_page_count = 60")

    store = AuditStore(database, VAULT)
    with pytest.raises(ServiceError) as caught:
        for number in range(1000):
            store.record("me", "test", str(number) * 1000)
    assert (caught.value.code, caught.value.status) == ("storage.full", 507)
    assert "Free some space" in caught.value.hint
    stored = store.list()
    assert stored and stored[0].action == "test"
    event.remove(database.engine, "checkout", no_more)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    store.record("me", "test", "again")
