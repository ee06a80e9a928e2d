"""Runs over a real PostgreSQL: one snapshot whatever others write, and every kind of relation and name."""

from __future__ import annotations

import contextlib
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from pipelines import steps
from pipelines.run_state import RunState
from tests.helpers import background, beam, document, drive, manifest, read_set, source
from tests.servers import PostgresServer

SQL = "SELECT l.id, r.id, l.amount, r.amount FROM left_src l JOIN right_src r ON l.ref = r.ref AND tolerance_match(l.amount, r.amount, 0.01)"
TABLES = """
CREATE TABLE invoices (id int PRIMARY KEY, ref text, amount numeric(12, 2));
CREATE TABLE payments (id int PRIMARY KEY, ref text, amount numeric(12, 2));
INSERT INTO invoices SELECT i, 'R' || i, i * 1.5 FROM generate_series(1, 20000) i;
INSERT INTO payments SELECT i, 'R' || i, i * 1.5 + CASE WHEN i % 10 = 0 THEN 5 ELSE 0 END FROM generate_series(101, 20100) i;
"""


def recipe(
    server: PostgresServer, database: str, left: str = "invoices", right: str = "payments", sql: str = SQL
) -> dict[str, Any]:
    return document(
        sql,
        source(server.uri(database, left), ["id"], "postgres"),
        source(server.uri(database, right), ["id"], "postgres"),
    )


@pytest.mark.parametrize("strategy", ["local", "shuffle"])
def test_writers_during_the_run_change_nothing(
    strategy: str, run_database: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transactions move money between both tables all the while; a state in between would not add up."""
    run_database.execute(database, TABLES)
    asked = recipe(run_database, database)
    quiet = drive(asked, tmp_path / "quiet", strategy=strategy)
    written = threading.Event()

    def write(stop: threading.Event) -> None:
        with (
            contextlib.closing(run_database.connect(database, autocommit=False)) as connection,
            connection.cursor() as cursor,
        ):
            number = 0
            while not stop.is_set():
                number += 1
                for table in ("invoices", "payments"):  # as much to one as to the other
                    cursor.execute(f"INSERT INTO {table} VALUES (%s, %s, 1)", [1_000_000 + number, f"new {number}"])
                    cursor.execute(f"UPDATE {table} SET amount = amount + 100 WHERE id = %s", [200 + number % 10_000])
                connection.commit()
                written.set()

    with background(write):
        written.wait(20)
        first = beam(asked, tmp_path / "busy", strategy=strategy, partitions=4)
    apart = [
        Decimal(found["control_totals"]["right"]["amount"]["source"]["sum"])
        - Decimal(found["control_totals"]["left"]["amount"]["source"]["sum"])
        for found in (quiet, first)
    ]
    assert apart[0] == apart[1]
    assert first["left_record_count"] == first["right_record_count"] > quiet["left_record_count"]

    def write_once(state: RunState, staged: Any) -> RunState:
        run_database.execute(database, "DELETE FROM payments; UPDATE invoices SET amount = 0")
        return before(state, staged)

    before = steps.with_relations
    monkeypatch.setattr(steps, "with_relations", write_once)
    again = drive(asked, tmp_path / "late", strategy=strategy)
    assert again["right_record_count"] > 0
    assert again["matched_count"] > 0


def test_a_write_between_two_splits_is_not_seen(
    run_database: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_database.execute(database, TABLES)
    asked = recipe(run_database, database)
    expected = drive(asked, tmp_path / "quiet", partitions=4)
    real, calls = steps.stage, []

    def stage_and_write(task: Any) -> Any:
        staged = real(task)
        calls.append(task.side)
        change = "UPDATE {} SET amount = amount + 1, ref = ref || 'x' WHERE id %% 3 = %s".replace(
            "{}", ("invoices", "payments")[len(calls) % 2]
        )
        with contextlib.closing(run_database.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(change, [len(calls) % 3])
            cursor.execute("DELETE FROM payments WHERE id %% 7 = %s", [len(calls) % 7])
        return staged

    monkeypatch.setattr(steps, "stage", stage_and_write)
    found = drive(asked, tmp_path / "out", partitions=4)
    assert len(calls) > 2
    for figure in ("left_record_count", "right_record_count", "matched_count", "control_totals"):
        assert found[figure] == expected[figure]
    assert manifest(tmp_path / "out")["parts"] == manifest(tmp_path / "quiet")["parts"]


RELATIONS = '''
CREATE SCHEMA "Odd Schema";
CREATE TABLE "Odd Schema"."Table ""x"".y" (id int PRIMARY KEY, "Ref ""No""" text, "Größe" numeric, "select" date, "_row" int);
INSERT INTO "Odd Schema"."Table ""x"".y" SELECT i, 'R' || i, i * 0.01, DATE '2024-01-01' + i, i FROM generate_series(1, 50) i;
CREATE TABLE parts (id int, ref text, amount numeric(12, 2)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (500);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (500) TO (2000);
INSERT INTO parts SELECT i, 'R' || i, i * 1.5 FROM generate_series(1, 1000) i;
CREATE VIEW seen AS SELECT id, ref, amount FROM parts WHERE id % 2 = 0;
CREATE MATERIALIZED VIEW kept AS SELECT id, ref, amount FROM parts WHERE id % 5 = 0;
'''


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
def test_partitioned_tables_and_views(
    strategy: str, run_database: PostgresServer, database: str, tmp_path: Path
) -> None:
    run_database.execute(database, RELATIONS)
    for number, (left, right, counts) in enumerate(
        [("parts", "seen", (500, 500, 0)), ("seen", "kept", (100, 400, 100)), ("kept", "parts", (200, 0, 800))]
    ):
        found = drive(
            recipe(run_database, database, left, right), tmp_path / str(number), strategy=strategy, partitions=5
        )
        assert (found["matched_count"], found["unmatched_left_count"], found["unmatched_right_count"]) == counts


def test_quoted_names(run_database: PostgresServer, database: str, tmp_path: Path) -> None:
    run_database.execute(database, RELATIONS)
    sql = '''SELECT l."Größe", l."select", l."_row" FROM left_src l JOIN right_src r
             ON l."Ref ""No""" = r.ref AND l."Größe" * 150 = r.amount'''
    odd = '"Odd Schema"."Table ""x"".y"'
    found = drive(recipe(run_database, database, odd, "parts", sql), tmp_path / "out")
    assert found["matched_count"] == 50
    assert [row["_row"] for row in read_set(tmp_path / "out", "matched")] == list(range(1, 51))
    assert found["control_totals"]["left"]["Größe"]["matched"]["sum"].rstrip("0") == "12.75"


def test_every_type_reaches_the_evidence(run_database: PostgresServer, database: str, tmp_path: Path) -> None:
    run_database.execute(
        database,
        """CREATE TABLE types AS SELECT 1 AS id, 123456789012345678901234567.89::numeric AS n, 'x'::text AS t, true AS b, 1.5::float8 AS f,
        DATE '2024-02-29' AS d, TIMESTAMP '2024-02-29 12:00:00.5' AS ts, TIMESTAMPTZ '2024-02-29 12:00:00+02' AS tz, '{"a": 1}'::jsonb AS j,
        gen_random_uuid() AS u, ARRAY[1, 2] AS a, '\\x00ff'::bytea AS y, 1.25::money AS m, NULL::text AS nothing""",
    )
    sql = "SELECT l.* FROM left_src l JOIN right_src r ON l.id = r.id AND l.n = r.n AND l.d = r.d AND l.u = r.u AND l.ts = r.ts AND l.b = r.b"
    found = drive(recipe(run_database, database, "types", "types", sql), tmp_path / "out", strategy="shuffle")
    assert found["matched_count"] == 1
    row = read_set(tmp_path / "out", "matched")[0]
    with contextlib.closing(run_database.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM types")
        stored = dict(zip([c.name for c in cursor.description], cursor.fetchone(), strict=True))
    for name in ("id", "n", "t", "b", "f", "d", "ts", "tz", "u", "nothing"):
        assert row[name if name != "id" else "id"] == stored[name], name
    assert row["y"] in ("00ff", "\\x00ff")


def test_no_secret_is_left(run_database: PostgresServer, database: str, tmp_path: Path) -> None:
    run_database.execute(database, TABLES)
    user = f"reader_{database}"
    run_database.execute(
        database, f"CREATE ROLE {user} LOGIN PASSWORD 'hunter2'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
    )
    try:
        asked = document(
            SQL,
            *(
                source(run_database.uri(database, t, user=user, password="hunter2"), ["id"], "postgres")
                for t in ("invoices", "payments")
            ),
        )
        beam(asked, tmp_path / "out")
        for path in tmp_path.rglob("*"):
            assert path.is_dir() or b"hunter2" not in path.read_bytes(), path
    finally:
        run_database.execute(database, f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_a_lost_connection_has_its_code(
    run_database: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_database.execute(database, TABLES)
    real = steps.stage

    def cut(task: Any) -> Any:
        with contextlib.closing(run_database.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [database])
        return real(task)

    monkeypatch.setattr(steps, "stage", cut)
    with pytest.raises(Exception) as caught:
        drive(recipe(run_database, database), tmp_path / "out")
    assert getattr(caught.value, "code", "") in ("source.unreachable", "source.changed"), caught.value
    assert not isinstance(caught.value, psycopg2.Error)
    assert not (tmp_path / "out").exists()
