"""Runs the statements of ``matching``: one shard at a time, then the merge. Files in, files out.

In a run's scratch folder a shard ``n`` leaves ``candidates-n`` and, where the candidates are too many to keep,
``nearest_l-n`` and ``nearest_r-n``; the merge leaves ``pairs_by_left``, ``pairs_by_right``, ``nearest_l`` and
``nearest_r`` in row order. All are Parquet, written under a temporary name and renamed, so that a repeated shard
replaces its output.
"""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from sqlglot import exp

from pipelines.matching import Sides, candidate_order, candidates_tree, nearest_tree, pairs_tree
from pipelines.paths import glob_escape, partial
from recipe import LEFT, RIGHT, MatchPlan, PlanClass

PAIRS_BY_LEFT, PAIRS_BY_RIGHT = "pairs_by_left.parquet", "pairs_by_right.parquet"
_CANDIDATES = "candidates-*.parquet"
_BATCH_ROWS = 1 << 17
# Candidates are kept while they stay within this many times the rows; beyond, they are judged twice instead.
_MOST_KEPT = 4
# Without an equality every row of the other side is a candidate; beyond this many comparisons none is named.
_MOST_COMPARED = 50_000_000


def nearest_file(side: str) -> str:
    return f"nearest_{side}.parquet"


def shard_files(folder: Path, shard: int) -> tuple[str, ...]:
    """Names of the files that a shard has left: what the merge has to find again, wherever it works."""
    names = ("candidates", *(f"nearest_{side}" for side in (LEFT, RIGHT)))
    return tuple(f"{name}-{shard}.parquet" for name in names if (folder / f"{name}-{shard}.parquet").exists())


def match_shard(connection: duckdb.DuckDBPyConnection, plan: MatchPlan, sides: Sides, folder: Path, shard: int) -> None:
    """Find the shard's pairs and the nearest candidates of its other rows."""
    target = folder / f"candidates-{shard}.parquet"
    most = _MOST_KEPT * (sides.left.rows + sides.right.rows)
    if plan.kind is PlanClass.EQUI and write_at_most(connection, candidates_tree(plan, sides), target, most):
        return
    write_at_most(connection, pairs_tree(plan, sides).select(*_no_failure()), target, None)
    if plan.kind is PlanClass.EQUI or sides.left.rows * sides.right.rows <= _MOST_COMPARED:
        create_table(connection, "pairs", exp.select("lr", "rr").from_(parquet(target)))
        for side in (LEFT, RIGHT):
            nearest = nearest_tree(plan, sides, side, "pairs")
            write_at_most(connection, nearest, folder / f"nearest_{side}-{shard}.parquet", None)


def _no_failure() -> list[exp.Expr]:
    """The columns of a candidate that is a pair."""
    absent = {"failed": "utinyint", "gap": "text", "lkey": "text", "rkey": "text"}
    columns = [exp.alias_(exp.cast(exp.null(), kind, dialect="duckdb"), name) for name, kind in absent.items()]
    return [exp.alias_(exp.cast(exp.Literal.number(0), "utinyint", dialect="duckdb"), "n"), *columns]


def merge_shards(connection: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Put all shards' files together; returns the number of pairs."""
    create_pairs(connection, folder)
    pairs = exp.select("lr", "rr").from_("pairs")
    copy_to(connection, pairs.order_by("lr", "rr"), folder / PAIRS_BY_LEFT)
    copy_to(connection, pairs.order_by("rr", "lr"), folder / PAIRS_BY_RIGHT)
    for side in (LEFT, RIGHT):
        copy_to(connection, _nearest(side, folder), folder / nearest_file(side))
    return count(connection, "pairs")


def create_pairs(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make the table ``pairs`` of ``lr`` and ``rr`` from all shards' files."""
    if not any(folder.glob(_CANDIDATES)):  # no bucket held rows of both sides
        zero = exp.cast(exp.Literal.number(0), "bigint", dialect="duckdb")
        nobody = exp.select(exp.alias_(zero, "lr"), exp.alias_(zero.copy(), "rr"), *_no_failure()).where(exp.false())
        copy_to(connection, nobody, folder / "candidates-none.parquet")
    candidates = parquet(folder / _CANDIDATES)
    is_pair = exp.EQ(this=exp.column("n"), expression=exp.Literal.number(0))
    create_table(connection, "pairs", exp.select("lr", "rr").from_(candidates).where(is_pair))


def _nearest(side: str, folder: Path) -> exp.Select:
    """``SELECT rid, failed, gap, nearest``: all shards' failed candidates whose row of ``side`` is in no pair, the
    rows in order and the nearest candidate of a row first."""
    mine, theirs, key = ("lr", "rr", "rkey") if side == LEFT else ("rr", "lr", "lkey")
    failed = exp.GT(this=exp.column("n"), expression=exp.Literal.number(0))
    rest = [exp.column(n) for n in ("n", "failed", "gap")]
    kept: exp.Query = (
        exp.select(exp.alias_(exp.column(mine), "rid"), exp.alias_(exp.column(theirs), "other"), *rest)
        .select(exp.alias_(exp.column(key), "nearest"))
        .from_(parquet(folder / _CANDIDATES))
        .where(failed)
    )
    if list(folder.glob(f"nearest_{side}-*.parquet")):
        streamed = exp.select("rid", "other", *rest, "nearest").from_(parquet(folder / f"nearest_{side}-*.parquet"))
        kept = exp.union(kept, streamed, distinct=False)
    unmatched = exp.EQ(this=exp.column("rid", table="f"), expression=exp.column(mine, table="pairs"))
    return (
        exp.select("rid", "failed", "gap", "nearest")
        .from_(kept.subquery("f"))
        .join("pairs", join_type="anti", on=unmatched)
        .order_by("rid", *candidate_order())
    )


def create_table(connection: duckdb.DuckDBPyConnection, name: str, tree: exp.Expr) -> None:
    table = exp.Create(
        this=exp.to_table(name),
        kind="TABLE",
        expression=tree,
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
    )
    connection.execute(table.sql("duckdb"))


def copy_to(connection: duckdb.DuckDBPyConnection, tree: exp.Expr, path: Path) -> None:
    """Write a query's rows to one Parquet file, in the query's order."""
    written = partial(path)
    target = exp.Literal.string(str(written)).sql("duckdb")
    connection.execute(f"COPY ({tree.sql('duckdb')}) TO {target} (FORMAT parquet, COMPRESSION lz4_raw)")
    os.replace(written, path)


def write_at_most(connection: duckdb.DuckDBPyConnection, tree: exp.Expr, path: Path, most: int | None) -> bool:
    """Stream a query's rows into a Parquet file; stop, leave nothing and return False once they exceed ``most``."""
    written = partial(path)
    reader = connection.sql(tree.sql("duckdb")).to_arrow_reader(_BATCH_ROWS)
    rows = 0
    with pq.ParquetWriter(written, reader.schema, compression="lz4", use_dictionary=False) as writer:
        for batch in reader:
            rows += batch.num_rows
            if most is not None and rows > most:
                break
            writer.write_batch(batch)
    reader.close()
    if most is not None and rows > most:
        written.unlink()
        return False
    os.replace(written, path)
    return True


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(exp.select(exp.Count(this=exp.Star())).from_(table).sql("duckdb")).fetchone()
    assert row is not None, "count(*) gives one row"
    return int(row[0])


def parquet(path: Path) -> exp.Table:
    """The rows of the Parquet files that ``path`` names; it may hold ``*`` in its last part."""
    pattern = exp.Literal.string(f"{glob_escape(path.parent)}/{path.name}")
    return exp.Table(this=exp.Anonymous(this="read_parquet", expressions=[pattern]))
