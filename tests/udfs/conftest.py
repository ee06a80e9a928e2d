"""One DuckDB connection per test process, and one way to evaluate lowered SQL over rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlglot

from udfs import lower, register_functions

Evaluate = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        register_functions(connection)
        yield connection


@lru_cache(maxsize=256)
def lowered(sql: str) -> str:
    return lower(sqlglot.parse_one(sql, dialect="duckdb")).sql(dialect="duckdb")


@pytest.fixture(scope="session")
def evaluate(connection: duckdb.DuckDBPyConnection) -> Evaluate:
    """``evaluate(sql, types, rows)``: the expression ``sql``, lowered, for each row of columns c0, c1 ..."""

    def run(sql: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Any]:
        expression = lowered(sql)
        names = [f"c{i}" for i in range(len(types))]
        arrays = [pa.array([row[i] for row in rows], arrow_type(t)) for i, t in enumerate(types)]
        table = pa.table([pa.array(range(len(rows))), *arrays], names=["place", *names])
        casts = "".join(f", CAST({n} AS {t}) AS {n}" for n, t in zip(names, types, strict=True))
        connection.register("given", table)
        try:
            query = f"SELECT {expression} FROM (SELECT place{casts} FROM given) ORDER BY place"
            return [value for (value,) in connection.execute(query).fetchall()]
        finally:
            connection.unregister("given")

    return run


def arrow_type(duckdb_type: str) -> pa.DataType:
    """Doubles travel as they are, everything else as text that DuckDB casts."""
    return pa.float64() if duckdb_type == "DOUBLE" else pa.string()
