"""The shuffle's own steps: rows reduced to what matching needs, keyed by a stable hash of their match key.

The hash is MD5 over the key's canonical text, so that it is the same on every worker, in every version and for
either side's type of an equal value (1, 1.0 and 1.00 are one key). Rows with a NULL in the key match nothing and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import duckdb
import pyarrow as pa
from sqlglot import exp

from pipelines.hot import HotKey, places
from pipelines.matching import Sides
from pipelines.relation import ROW, Relation, TableRows
from recipe import LEFT, MatchPlan

BATCH_ROWS = 1 << 16


def needed_columns(plan: MatchPlan, rows: Relation, key: Iterable[str]) -> list[str]:
    """The columns of one side, as the engine calls them, that keys, conditions and candidate names read."""
    side = rows.side
    trees = [k.left if side == LEFT else k.right for k in plan.keys]
    trees += [c.tree for c in (*plan.conditions, *plan.left_only, *plan.right_only)]
    trees += [c.gap for c in plan.conditions if c.gap is not None]
    trees += [exp.column(name, table=side) for name in key]
    names = {c.name for t in trees for c in rows.localise(t).find_all(exp.Column) if c.table == side}
    return [name for name in rows.names if name in names]


def split_batches(
    connection: duckdb.DuckDBPyConnection, plan: MatchPlan, sides: Sides, rows: Relation, buckets: int,
    hot: Sequence[HotKey] = (),
) -> Iterator[tuple[int, bytes]]:  # fmt: skip
    """(bucket, Arrow stream) for the rows of a relation, each stream at most ``BATCH_ROWS`` rows. Those of a hot key
    come once for each cell of theirs."""
    side = rows.side
    key = sides.left_key if side == LEFT else sides.right_key
    keys = side_keys(plan, sides, side)
    hashed = _hash(connection, rows, keys)
    columns = needed_columns(plan, rows, key)
    place = exp.alias_(_place(hashed, side, buckets, hot), "bucket")
    tree = (
        exp.select(*(exp.column(c, table=side) for c in (ROW, *columns)), place)
        .from_(rows.scan().subquery(side))
        .where(filled(keys))
    )
    cells = {buckets + at + i: found for _, at, each in places(hot, side) for i, found in enumerate(each)}
    for batch in connection.sql(tree.sql("duckdb")).to_arrow_reader(BATCH_ROWS):
        for number, stream in _by_bucket(pa.Table.from_batches([batch])):
            for bucket in cells.get(number, (number,)):
                yield bucket, stream


def frequent_keys(
    connection: duckdb.DuckDBPyConnection, plan: MatchPlan, sides: Sides, rows: Relation, least: int
) -> dict[int, int]:
    """Rows by key hash, of the keys with ``least`` rows or more in the relation."""
    keys = side_keys(plan, sides, rows.side)
    many = exp.GTE(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(least))
    tree = (
        exp.select(exp.alias_(_hash(connection, rows, keys), "h"), exp.Count(this=exp.Star()))
        .from_(rows.scan().subquery(rows.side))
        .where(filled(keys))
        .group_by("h")
        .having(many)
    )
    return dict(connection.sql(tree.sql("duckdb")).fetchall())


def side_keys(plan: MatchPlan, sides: Sides, side: str) -> list[exp.Expr]:
    """The key expressions of one side in the engine's names."""
    return [sides.tree(k.left if side == LEFT else k.right) for k in plan.keys]


def filled(keys: Iterable[exp.Expr]) -> exp.Expr:
    """TRUE where no key is NULL."""
    return exp.and_(*(exp.Not(this=exp.Is(this=exp.paren(k), expression=exp.null())) for k in keys))


def _place(hashed: exp.Expr, side: str, buckets: int, hot: Sequence[HotKey]) -> exp.Expr:
    """A row's bucket; for a hot key the number of its part, counted on from the buckets."""
    usual = exp.Mod(this=hashed, expression=exp.Literal.number(buckets))
    if not hot:
        return usual
    ifs = []
    for key, at, cells in places(hot, side):
        place = exp.Add(this=exp.Literal.number(buckets + at), expression=exp.paren(_part(side, len(cells))))
        ifs.append(exp.If(this=exp.Literal.number(key.hash), true=place))
    return exp.Case(this=hashed.copy(), ifs=ifs, default=usual)


def _part(side: str, parts: int) -> exp.Expr:
    """A part by row id, mixed: a hot key may stand in every tenth row, and ten be a number of parts."""
    low = exp.Mod(this=exp.column(ROW, table=side), expression=exp.Literal.number(1 << 31))
    mixed = exp.Mul(this=exp.paren(low), expression=exp.Literal.number(2_654_435_761))
    high = exp.BitwiseRightShift(this=exp.paren(mixed), expression=exp.Literal.number(16))
    return exp.Mod(this=exp.paren(high), expression=exp.Literal.number(parts))


def _by_bucket(table: pa.Table) -> Iterator[tuple[int, bytes]]:
    ordered = table.sort_by([("bucket", "ascending"), (ROW, "ascending")]).combine_chunks()
    runs = ordered["bucket"].combine_chunks().value_counts() if ordered.num_rows else []
    rows, start = ordered.drop_columns(["bucket"]), 0
    for run in runs:
        length = run["counts"].as_py()
        yield run["values"].as_py(), to_bytes(rows.slice(start, length))
        start += length


def _hash(connection: duckdb.DuckDBPyConnection, rows: Relation, keys: list[exp.Expr]) -> exp.Expr:
    """A 63-bit number from all key values."""
    texts = key_texts(connection, rows, keys)
    joined = exp.Anonymous(this="concat_ws", expressions=[exp.Literal.string("\x1f"), *texts])
    number = exp.Anonymous(this="md5_number_lower", expressions=[joined])
    return exp.cast(exp.BitwiseRightShift(this=number, expression=exp.Literal.number(1)), "bigint", dialect="duckdb")


def key_texts(connection: duckdb.DuckDBPyConnection, rows: Relation, keys: list[exp.Expr]) -> list[exp.Expr]:
    """Each key as a text that is equal exactly where the keys are, whatever their types."""
    typed = exp.select(*(exp.alias_(k, f"k{i}") for i, k in enumerate(keys))).from_(rows.scan().subquery(rows.side))
    types = [str(t) for t in connection.sql(typed.sql("duckdb")).types]
    return [_canonical(k, t) for k, t in zip(keys, types, strict=True)]


def _canonical(key: exp.Expr, kind: str) -> exp.Expr:
    """Text that is equal for equal values of comparable types."""
    if kind.startswith("DECIMAL") and not kind.endswith(",0)"):
        text = exp.cast(exp.paren(key), "text")
        point, zero = exp.Literal.string("."), exp.Literal.string("0")
        trimmed = exp.Anonymous(this="rtrim", expressions=[text, zero])
        return exp.Anonymous(this="rtrim", expressions=[trimmed, point])
    if kind == "DATE":
        return exp.cast(exp.cast(exp.paren(key), "timestamp"), "text")
    if kind in ("FLOAT", "DOUBLE"):  # adding nothing makes -0.0 what it equals
        return exp.cast(exp.Add(this=exp.cast(exp.paren(key), "double"), expression=exp.cast("0", "double")), "text")
    return exp.cast(exp.paren(key), "text")


def to_bytes(table: pa.Table) -> bytes:
    """A table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_bytes(streams: Iterable[bytes]) -> pa.Table | None:
    """The rows of several streams in row order; None for no streams."""
    tables = [pa.ipc.open_stream(stream).read_all() for stream in streams]
    return pa.concat_tables(tables).sort_by(ROW) if tables else None


def bucket_rows(connection: duckdb.DuckDBPyConnection, whole: Relation, table: pa.Table) -> TableRows:
    """Make a bucket's rows of one side a table of the engine."""
    name = f"bucket_{whole.side}"
    connection.register(name, table)
    return TableRows(whole.side, name, whole.columns, whole.readings, table.num_rows)
