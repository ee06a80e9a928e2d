"""Rows for Beam SQL, and the pairs that come back: what the steps of engine beam-sql do. No Beam here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from sqlglot import exp

from pipelines.beam_sql.statement import SqlKind, SqlMatch
from pipelines.buckets import BATCH_ROWS, filled, key_texts, side_keys
from pipelines.engine import Connection
from pipelines.errors import PipelineError
from pipelines.general import RESULT
from pipelines.matching import Sides, nearest_tree, own_checks, pairs_tree
from pipelines.paths import partial
from pipelines.relation import ROW, Relation
from pipelines.shards import create_pairs, create_table, parquet, write_at_most
from recipe import LEFT, MatchPlan

Batch: TypeAlias = list[tuple[Any, ...]]


def sql_rows(connection: Connection, plan: MatchPlan, match: SqlMatch, sides: Sides, rows: Relation) -> Iterator[Batch]:
    """Batches of ``(rid, k0, ..., value, ...)`` of the rows of a relation that can be in a pair: their keys are whole
    and the conditions over their own side hold. Keys are texts, numbers decimals, NULL is None."""
    side = rows.side
    keys = side_keys(plan, sides, side)
    values = [sides.tree(lifted.tree) for lifted in match.lifted(side)]
    texts = key_texts(connection, rows, keys)
    tests = [exp.Is(this=exp.paren(sides.tree(c.tree)), expression=exp.true()) for c in own_checks(plan, side)]
    columns = [*texts, *values]
    tree = (
        exp.select(exp.column(ROW, table=side), *(exp.alias_(c, f"v{i}") for i, c in enumerate(columns)))
        .from_(rows.scan().subquery(side))
        .where(filled(keys), *tests)
    )
    numbers = [i for i, lifted in enumerate(match.lifted(side), 1 + len(keys)) if lifted.kind is SqlKind.NUMBER]
    for batch in connection.sql(tree.sql("duckdb")).to_arrow_reader(BATCH_ROWS):
        cells = [column.to_pylist() for column in batch.columns]
        for i in numbers:
            cells[i] = [None if value is None else Decimal(value) for value in cells[i]]
        yield list(zip(*cells, strict=True))


def keep_pairs(folder: Path, number: int, pairs: Iterable[tuple[int, int]]) -> int:
    """Leave pairs of row ids as a shard's candidates of which none failed; returns how many there are."""
    path = folder / f"candidates-{number}.parquet"
    written, count, rest = partial(path), 0, iter(pairs)
    with pq.ParquetWriter(written, _PAIRS, compression="lz4", use_dictionary=False) as writer:
        while batch := list(islice(rest, BATCH_ROWS)):
            writer.write_batch(_candidates(batch))
            count += len(batch)
    os.replace(written, path)
    return count


# As ``shards.match_shard`` leaves them.
_PAIRS = pa.schema(
    [
        ("lr", pa.int64()), ("rr", pa.int64()), ("n", pa.uint8()), ("failed", pa.uint8()), ("gap", pa.string()),
        ("lkey", pa.string()), ("rkey", pa.string()),
    ]
)  # fmt: skip


def _candidates(pairs: Sequence[tuple[int, int]]) -> pa.RecordBatch:
    ids = [pa.array([pair[i] for pair in pairs], pa.int64()) for i in (0, 1)]
    zero = pa.array([0] * len(pairs), pa.uint8())
    nothing = [pa.nulls(len(pairs), field.type) for field in list(_PAIRS)[3:]]
    return pa.RecordBatch.from_arrays([*ids, zero, *nothing], schema=_PAIRS)


def explain_rows(connection: Connection, plan: MatchPlan, sides: Sides, side: str, folder: Path, number: int) -> None:
    """Leave the nearest candidate of each row of ``side`` that Beam SQL put into no pair; hold the pairs of the left
    side against those of our own engine, too.

    Raises PipelineError ``run.engines_differ`` where the two do not find the same pairs.
    """
    create_pairs(connection, folder)
    if side == LEFT:
        _check_pairs(connection, plan, sides)
    write_at_most(
        connection, nearest_tree(plan, sides, side, "pairs"), folder / f"nearest_{side}-{number}.parquet", None
    )


def _check_pairs(connection: Connection, plan: MatchPlan, sides: Sides) -> None:
    rows = sides.left
    assert isinstance(rows, Relation), "the rows of a file"
    mine = exp.column("lr").between(exp.Literal.number(rows.before + 1), exp.Literal.number(rows.before + rows.rows))
    create_table(connection, "expected", pairs_tree(plan, sides))
    create_table(connection, "found", exp.select("lr", "rr").from_("pairs").where(mine))
    _compare(connection)


def check_whole(connection: Connection, plan: MatchPlan, folder: Path) -> None:
    """Hold all pairs of Beam SQL against the result of a statement that our own engine has run whole; each of its rows
    is one pair. Raises PipelineError ``run.engines_differ``."""
    assert plan.traced is not None and plan.passes, "the union of simple statements"
    create_pairs(connection, folder)
    lists = ((plan.traced.left_rows, "lr"), (plan.traced.right_rows, "rr"))
    first = exp.Literal.number(1)
    rows = [exp.alias_(exp.func("list_extract", exp.column(n, quoted=True), first.copy()), name) for n, name in lists]
    create_table(connection, "expected", exp.select(*rows).from_(parquet(folder / RESULT)))
    create_table(connection, "found", exp.select("lr", "rr").from_("pairs"))
    _compare(connection)


def _compare(connection: Connection) -> None:
    """The tables ``expected`` and ``found`` hold the same pairs, equally often."""
    for wrong, right, what in (("found", "expected", "found"), ("expected", "found", "left out")):
        both = [exp.select("lr", "rr").from_(table) for table in (wrong, right)]
        differing = exp.Except(this=both[0], expression=both[1], distinct=False).limit(1)
        row = connection.execute(differing.sql("duckdb")).fetchone()
        if row is not None:
            raise PipelineError(
                f"Beam SQL {what} the pair of left row {row[0]} and right row {row[1]}, against match_sql.",
                code="run.engines_differ",
                hint="Nothing was committed. Use --engine vectorized, and please report this with the recipe.",
            )
