"""The tables of the cluster tests: 200,000 ledger lines against bank lines with duplicates, empty keys and gaps."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.helpers import document, read_set, source

SQL = (
    "SELECT l.id, r.id, l.amount, r.amount FROM left_src l JOIN right_src r ON l.ref = r.ref AND l.branch = r.branch "
    "AND tolerance_match(l.amount, r.amount, 0.05)"
)
AMOUNT = pa.decimal128(12, 2)


def ledger_and_bank(folder: Path, rows: int = 200_000) -> dict[str, Any]:
    """A recipe over two Parquet files of several row groups."""
    chance = random.Random(20260)
    left, right = records(chance, rows), records(chance, rows * 9 // 10)
    for name, table in (("left", left), ("right", right)):
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=rows // 8)
    return document(SQL, source(folder / "left.parquet", ["id"]), source(folder / "right.parquet", ["id"]))


def records(chance: random.Random, rows: int) -> pa.Table:
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


def check_against_plain_loops(folder: Path, evidence: Path) -> None:
    """The pairs, partners and reasons of ``evidence`` are those that loops over the rows find, without any SQL."""
    left, right = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("left", "right"))
    by_key: dict[tuple[Any, Any], list[int]] = defaultdict(list)
    for place, row in enumerate(right, 1):
        by_key[row["ref"], row["branch"]].append(place)
    pairs: list[tuple[int, int]] = []
    candidates: list[set[int]] = [set(), set()]
    for place, row in enumerate(left, 1):
        if row["ref"] is None or row["branch"] is None:
            continue
        for other in by_key[row["ref"], row["branch"]]:
            candidates[0].add(place)
            candidates[1].add(other)
            if abs(row["amount"] - right[other - 1]["amount"]) <= Decimal("0.05"):
                pairs.append((place, other))
    matched = read_set(evidence, "matched")
    partners = [Counter(pair[side] for pair in pairs) for side in (0, 1)]
    assert [(r["_left_row"], r["_right_row"], r["_left_partners"], r["_right_partners"]) for r in matched] == [
        (i, j, partners[0][i], partners[1][j]) for i, j in pairs
    ]
    for side, (name, rows) in enumerate((("unmatched_left", left), ("unmatched_right", right))):
        reasons = {
            place: "null_key" if row["ref"] is None or row["branch"] is None
            else "predicate" if place in candidates[side] else "no_key"
            for place, row in enumerate(rows, 1)
            if place not in partners[side]
        }  # fmt: skip
        assert {r["_row"]: r["_reason"] for r in read_set(evidence, name)} == reasons
