"""Lists stay quick with 100,000 runs: few statements, each a walk along an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text

from webapp.db import Database
from webapp.stores.runs import RunStore

MANY = 100_000
# 50 recipes; one run in a thousand has failed, the newest three are open.
FILL = {
    "sqlite": """
        WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :many)
        INSERT INTO runs (id, recipe_id, recipe_name, recipe_snapshot, left_source, right_source, status, created_at,
                          updated_at)
        SELECT printf('%032x', n * 7919), 'r' || (n % 50), 'R', :snapshot, 'l', 'r',
               CASE WHEN n > :many - 3 THEN 'running' WHEN n % 1000 = 0 THEN 'failed' ELSE 'completed' END,
               strftime('%Y-%m-%d %H:%M:%S.000000', 1700000000 + n, 'unixepoch'), '2024-01-01 00:00:00.000000'
        FROM n""",
    "postgresql": """
        INSERT INTO runs (id, recipe_id, recipe_name, recipe_snapshot, left_source, right_source, status, created_at,
                          updated_at)
        SELECT lpad(to_hex(n * 7919), 32, '0')::uuid, 'r' || (n % 50), 'R', CAST(:snapshot AS jsonb), 'l', 'r',
               CASE WHEN n > :many - 3 THEN 'running' WHEN n % 1000 = 0 THEN 'failed' ELSE 'completed' END,
               to_timestamp(1700000000 + n), '2024-01-01T00:00:00Z'
        FROM generate_series(1, CAST(:many AS bigint)) n""",
}
LISTS: dict[str, tuple[Callable[[RunStore], Any], int]] = {
    "newest": (lambda runs: runs.list(limit=50), 50),
    "of a recipe": (lambda runs: runs.list("r7", limit=50), 50),
    "of a common status": (lambda runs: runs.list(status="completed", limit=50), 50),
    "of a rare status": (lambda runs: runs.list(status="failed", limit=50), 50),
    "of a recipe and a rare status": (lambda runs: runs.list("r7", "failed", limit=50), 0),
    "last of 50 recipes": (lambda runs: runs.last_of_recipe([f"r{n}" for n in range(50)]), 50),
    "open": (lambda runs: runs.open_ids(), 3),
    "one": (lambda runs: [runs.get(runs.open_ids()[0])], 1),
}


@pytest.fixture
def filled(database: Database) -> Iterator[Database]:
    snapshot = '{"match_sql": "%s"}' % ("x" * 500)
    with database.session() as session:
        session.execute(text(FILL[database.engine.dialect.name]), {"many": MANY, "snapshot": snapshot})
    if not database.is_sqlite:
        with database.session() as session:
            session.execute(text("ANALYZE runs"))  # the server does it by itself within a minute
    yield database


# What a plan says when it reads all rows, and when it sorts what it has read.
SCANS = {"sqlite": re.compile(r"SCAN runs(?! USING( COVERING)? INDEX)"), "postgresql": re.compile(r"Seq Scan on runs")}
SORTS = {"sqlite": re.compile(r"USE TEMP B-TREE"), "postgresql": re.compile(r"Sort Key")}
SORTED = ("open", "one")  # three statuses in the order of time: open runs are few


@pytest.mark.parametrize("name", LISTS)
def test_lists_walk_along_an_index(filled: Database, runs: RunStore, name: str) -> None:
    read, expected = LISTS[name]
    with asked(filled) as statements:
        assert len(read(runs)) == expected
    assert statements
    for statement, parameters in statements:
        plan = explained(filled, statement, parameters)
        assert not SCANS[filled.engine.dialect.name].search(plan), plan
        assert name in SORTED or not SORTS[filled.engine.dialect.name].search(plan), plan


@contextmanager
def asked(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The queries, with their parameters, that the block sends."""
    found: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            found.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", keep)
    try:
        yield found
    finally:
        event.remove(database.engine, "before_cursor_execute", keep)


def explained(database: Database, statement: str, parameters: Any) -> str:
    """The plan of a query, as the database prints it."""
    prefix = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(prefix + statement, parameters).all()
    return "\n".join(str(row[-1]) for row in rows)


def test_lists_take_one_statement(database: Database, runs: RunStore) -> None:
    for number in range(20):
        run_id = f"00000000-0000-0000-0000-{number:012}"
        runs.insert(run_id, "r", "R", {}, "l", "r")
        runs.record_progress(run_id, "matching", progress=0.5)
    seen: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    for read in (lambda: runs.list(), lambda: runs.last_of_recipe(["r"]), lambda: runs.get(run_id), runs.open_ids):
        seen.clear()
        read()
        assert len([statement for statement in seen if not statement.startswith("BEGIN")]) == 1
    seen.clear()
    runs.list()
    assert "recipe_snapshot" not in "".join(seen)
