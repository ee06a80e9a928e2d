"""The tables of the cluster tests: 200,000 ledger lines against bank lines with duplicates, empty keys and gaps."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers import document, source

SQL = (
    "SELECT l.id, r.id, l.amount, r.amount FROM left_src l JOIN right_src r ON l.ref = r.ref AND l.branch = r.branch "
    "AND tolerance_match(l.amount, r.amount, 0.05)"
)
AMOUNT = pa.decimal128(12, 2)


def ledger_and_bank(folder: Path, rows: int = 200_000) -> dict[str, Any]:
    """A recipe over two Parquet files of several row groups."""
    chance = random.Random(20260)
    left, right = _side(chance, rows), _side(chance, rows * 9 // 10)
    for name, table in (("left", left), ("right", right)):
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=rows // 8)
    return document(SQL, source(folder / "left.parquet", ["id"]), source(folder / "right.parquet", ["id"]))


def _side(chance: random.Random, rows: int) -> pa.Table:
    """One row in 20 repeats a reference, one in 50 has none, amounts of equal references differ a little."""
    numbers = [chance.randrange(rows) for _ in range(rows)]
    refs = [None if chance.random() < 0.02 else f"R{n // 2:07d}" for n in numbers]
    amounts = [Decimal(n % 977 * 100 + chance.randrange(8)) / 100 for n in numbers]
    return pa.table(
        {
            "id": pa.array(range(rows), pa.int64()),
            "ref": pa.array(refs, pa.string()),
            "branch": pa.array([None if n % 101 == 0 else n % 3 for n in numbers], pa.int32()),
            "amount": pa.array(amounts, AMOUNT),
            "note": pa.array([f"note {n % 11}" if n % 7 else None for n in numbers], pa.string()),
        }
    )
