"""Whether a side's primary key identifies its rows: repeated and empty keys are counted, never assumed away.

Files usually come sorted by their key, which each chunk can prove while it is in memory; only where that fails are the
keys grouped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from pipelines.relation import Relation

_HASH_BATCH = 1 << 20


@dataclass(frozen=True)
class KeyRun:
    """The first key column over consecutive rows; ``rising`` when each value is greater than the one before, no
    NULL."""

    number: int
    first: Any
    last: Any
    rising: bool


@dataclass(frozen=True)
class KeyFacts:
    """Rows whose key occurs more than once, and rows with a NULL inside the key."""

    repeated: int
    empty: int


def key_run(number: int, column: pa.ChunkedArray) -> KeyRun:
    """Judge one chunk of rows."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.null_count or not len(values):
        return KeyRun(number, None, None, not len(values))
    if pa.types.is_boolean(values.type):
        return KeyRun(number, None, None, False)
    rising = len(values) < 2 or pc.all(pc.less(values.slice(0, len(values) - 1), values.slice(1))).as_py()
    return KeyRun(number, values[0].as_py(), values[-1].as_py(), bool(rising))


def all_rising(runs: Iterable[KeyRun]) -> bool:
    """Whether the key rises over all chunks: then it repeats nowhere and is nowhere empty."""
    ordered = [run for run in sorted(runs, key=lambda run: run.number) if run.first is not None or not run.rising]
    if not all(run.rising for run in ordered):
        return False
    return all(before.last < after.first for before, after in pairwise(ordered))


def count_keys(connection: duckdb.DuckDBPyConnection, relation: Relation, keys: Sequence[str], memory: int) -> KeyFacts:
    """Count a side's repeated and empty keys.

    Equal keys have equal hashes: where no two hashes are equal, nothing repeats and the keys themselves need not be
    grouped. Hashes that do not fit into ``memory`` bytes are not made: grouping spills where sorting could not.
    """
    columns = [exp.column(f"c{relation.columns.index(name)}") for name in keys]
    filled = exp.and_(*(exp.Not(this=exp.Is(this=c.copy(), expression=exp.null())) for c in columns))
    rows = relation.scan_all().subquery("s")
    if relation.rows * np.uint64().itemsize <= memory:
        hashed = exp.select(exp.alias_(exp.Anonymous(this="hash", expressions=columns), "h")).from_(rows).where(filled)
        hashes = _all_values(connection, hashed, relation.rows)
        hashes.sort()
        if not (hashes[1:] == hashes[:-1]).any():
            return KeyFacts(0, relation.rows - len(hashes))
    groups = (
        exp.select(exp.alias_(exp.Count(this=exp.Star()), "n"))
        .from_(rows.copy())
        .where(filled.copy())
        .group_by(*(c.copy() for c in columns))
        .subquery("g")
    )
    more = exp.GT(this=exp.column("n"), expression=exp.Literal.number(1))
    repeated = exp.Sum(this=exp.Case(ifs=[exp.If(this=more, true=exp.column("n"))], default=exp.Literal.number(0)))
    row = connection.execute(exp.select(repeated, exp.Sum(this=exp.column("n"))).from_(groups).sql("duckdb")).fetchone()
    assert row is not None, "an aggregate without GROUP BY gives one row"
    return KeyFacts(int(row[0] or 0), relation.rows - int(row[1] or 0))


def _all_values(connection: duckdb.DuckDBPyConnection, tree: exp.Select, most: int) -> np.ndarray:
    """The one column of at most ``most`` unsigned integers that a query gives, held once."""
    found, count = np.empty(most, np.uint64), 0
    for batch in connection.sql(tree.sql("duckdb")).to_arrow_reader(_HASH_BATCH):
        found[count : count + batch.num_rows] = batch.column(0).to_numpy()
        count += batch.num_rows
    return found[:count]
