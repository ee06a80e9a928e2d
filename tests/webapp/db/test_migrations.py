"""Migrations: the same tables as the models, once, whoever asks and how often."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, select, text

from tests.servers import PostgresServer
from webapp.db import OWN_TABLES, Base, Database
from webapp.db.migrate import configuration
from webapp.db.models import VERSION_TABLE, Invoice, Payment, Run, Source
from webapp.errors import SettingsError

SEED = Path(__file__).parents[3] / "docs" / "sample" / "seed.sql"
VIEWS = {"reconciliation_summary", "invoice_aging", "payment_summary"}
Open = Callable[[str], Database]


def versions(database: Database) -> list[str]:
    with database.session() as session:
        return [*session.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}"))]


def newest(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return ScriptDirectory.from_config(configuration(connection)).get_current_head()


def differences(database: Database) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
    with database.engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


def test_models_and_migrations_agree(database: Database) -> None:
    assert differences(database) == []


def test_the_comparison_would_notice(database: Database) -> None:
    with database.session() as session:
        session.execute(text("DROP INDEX ix_runs_created_at_id"))
        session.execute(text("ALTER TABLE sources ADD COLUMN colour text"))
    assert len(differences(database)) == 2


def test_tables_and_views_are_there(database: Database) -> None:
    found = inspect(database.engine)
    assert set(found.get_table_names()) == set(Base.metadata.tables) | {VERSION_TABLE}
    assert set(found.get_view_names()) == VIEWS
    assert OWN_TABLES >= {"sources", "recipes", "runs", "run_progress", "audit_log", "reconciliation_summary"}
    assert not OWN_TABLES & {"invoices", "payments", "invoice_aging", "payment_summary"}


def test_checks_of_the_migration_are_those_of_the_models(database: Database) -> None:
    found = inspect(database.engine)
    for name, table in Base.metadata.tables.items():
        declared = {str(c.name) for c in table.constraints if type(c).__name__ == "CheckConstraint"}
        assert {c["name"] for c in found.get_check_constraints(name)} == declared


def test_a_second_time_changes_nothing(database: Database) -> None:
    with database.session() as session:
        session.add(Source(alias="bank", uri="x", source_type="postgres"))
    database.migrate()
    database.migrate()
    assert versions(database) == [newest(database)]
    with database.session() as session:
        assert [*session.scalars(select(Source.alias))] == ["bank"]


def test_processes_that_start_at_once_wait_for_each_other(address: str, open_database: Open) -> None:
    program = "import sys; from webapp.db import Database; sys.stdin.read(1); Database(sys.argv[1]).migrate()"
    started = [
        subprocess.Popen([sys.executable, "-c", program, address], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write(b"!")
        process.stdin.flush()
    ended = [(process.communicate(timeout=60)[1].decode(), process.returncode) for process in started]
    assert ended == [("", 0)] * 3
    database = open_database(address)
    assert versions(database) == [newest(database)]
    assert differences(database) == []


def test_threads_that_start_at_once_wait_for_each_other(address: str, open_database: Open) -> None:
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            open_database(address).migrate()
        except BaseException as error:  # noqa: BLE001  # whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(versions(open_database(address))) == 1


def test_a_migration_that_fails_leaves_nothing_behind(
    address: str, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(address)
    monkeypatch.setattr("alembic.op.create_index", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        database.migrate()
    assert inspect(database.engine).get_table_names() == []
    monkeypatch.undo()
    database.migrate()
    assert versions(database) == [newest(database)]


def test_a_database_of_a_newer_kalla_is_left_alone(database: Database) -> None:
    with database.session() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="newer"):
        database.migrate()
    assert versions(database) == ["9999"]


@pytest.mark.parametrize("seed_first", [True, False])
def test_the_sample_of_the_documentation_fits(
    seed_first: bool, postgres_for_app: PostgresServer, open_database: Open
) -> None:
    name = postgres_for_app.create_database()
    database = open_database(postgres_for_app.uri(name))

    def seed() -> None:
        postgres_for_app.execute(name, SEED.read_text(encoding="utf-8"))

    for step in (seed, database.migrate) if seed_first else (database.migrate, seed):
        step()
    assert set(inspect(database.engine).get_view_names()) == VIEWS
    with database.session() as session:
        assert len(session.scalars(select(Invoice)).all()) == 15
        paid = session.get_one(Payment, "PAY-000102")
        assert (paid.paid_amount, paid.payment_date) == (Decimal("5000.00"), date(2026, 2, 5))
    differing = {change[0] for change in differences(database)}
    assert differing == set()


def test_sample_amounts_stay_exact(database: Database) -> None:
    with database.session() as session:
        session.add(
            Invoice(
                invoice_id="I", customer_id="C", customer_name="N", invoice_date=date(2020, 1, 1),
                due_date=date(2020, 1, 31), amount=Decimal("9999999999999999.10"), currency="EUR", status="open",
            )
        )  # fmt: skip
    with database.session() as session:
        assert session.get_one(Invoice, "I").amount == Decimal("9999999999999999.10")
        days, age = session.execute(text("SELECT days_overdue, age FROM invoice_aging")).one()
        assert days in {(date.today() - date(2020, 1, 31)).days + n for n in (-1, 0, 1)}
        assert age == "over 90 days"


def test_the_summary_rates_records_and_times_runs(database: Database) -> None:
    started = datetime(2026, 3, 1, 23, 59, 59, 500_000, tzinfo=UTC)
    figures = {"recipe_id": "r", "recipe_name": "R", "recipe_snapshot": {}, "left_source": "l", "right_source": "r"}
    counts = {"left_record_count": 3, "matched_left_count": 2, "matched_count": 7}
    times = {"started_at": started, "completed_at": started + timedelta(minutes=2, seconds=1.25)}
    with database.session() as session:
        session.add(Run(id=UUID(int=1), status="completed", **figures, **counts, **times))
        session.add(Run(id=UUID(int=2), status="completed", **figures, **times))
        session.add(Run(id=UUID(int=3), status="running", started_at=started, **figures, **counts))
    query = "SELECT match_rate_pct, duration_seconds FROM reconciliation_summary ORDER BY run_id"
    with database.session() as session:
        rows = [tuple(None if v is None else float(v) for v in row) for row in session.execute(text(query))]
    assert rows == [(66.67, 121.25), (None, 121.25), (None, None)]
