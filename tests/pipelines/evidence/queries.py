"""Evidence with every kind of column and hostile names, and what a query of it must give, in plain Python."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.evidence import Evidence, Query, set_columns
from pipelines.evidence.columns import SetColumn
from pipelines.parts import write_part
from recipe import format_cell, parse_number, passes
from tests.helpers import document, drive, source, write_parquet
from tests.pipelines.evidence.samples import edit_manifest

KINDS: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "file_row_number": pa.int32(),
    "FILE_INDEX": pa.decimal128(18, 2),
    "filename": pa.string(),
    "_row": pa.string(),
    "_Reason": pa.string(),
    "c0": pa.float64(),
    'we"ird "; --': pa.bool_(),
    "$p0 'x'": pa.date32(),
    "place": pa.timestamp("us"),
    "t": pa.timestamp("us", tz="UTC"),
    "Käse ?": pa.string(),
}
WORDS = [
    "",
    "ACME Ltd",
    "acme",
    "Ünïcode",
    "100%",
    "a_b",
    "back\\slash",
    "zz\nnew",
    "'; --",
    "007",
    "15.50",
    "1e3",
    "x",
]


def value(kind: pa.DataType, chance: random.Random) -> Any:
    """A value of a kind, with many equal ones and NULLs."""
    if chance.random() < 0.15:
        return None
    number = chance.randint(-4, 4)
    if pa.types.is_int32(kind) or pa.types.is_int64(kind):
        return number * 10
    if pa.types.is_decimal(kind):
        return Decimal(number * 25).scaleb(-2)
    if pa.types.is_float64(kind):
        return chance.choice([number / 4, 1e20, -1e-7, float("nan"), float("inf"), 1e300])
    if pa.types.is_boolean(kind):
        return number > 0
    if pa.types.is_date(kind):
        return date(2026, 3, 5) + timedelta(days=number)
    if pa.types.is_timestamp(kind):
        moment = datetime(2026, 3, 5, 12, 30) + timedelta(days=number, microseconds=chance.choice([0, 500_000, 7]))
        return moment.replace(tzinfo=UTC) if kind.tz else moment
    return chance.choice(WORDS)


def make_hostile(folder: Path, rows: int = 300, parts: int = 4) -> Path:
    """Evidence whose unmatched_left holds ``rows`` rows in several parts."""
    chance = random.Random(11)
    columns = {name: [value(kind, chance) for _ in range(rows)] for name, kind in KINDS.items()}
    columns["id"] = list(range(1, rows + 1))
    left = write_parquet(folder / "left.parquet", columns, KINDS)
    right = write_parquet(folder / "right.parquet", {"id": [-1]}, {"id": pa.int64()})
    output = folder / "evidence"
    sql = "SELECT l.* FROM left_src l JOIN right_src r ON l.id = r.id"
    drive(document(sql, source(left, ["id"]), source(right, ["id"])), output)
    split(output, "unmatched_left", parts)
    return output


def split(folder: Path, set_name: str, parts: int) -> None:
    """Cut a set of one part into several."""
    path = folder / set_name / "part-00000.parquet"
    with pq.ParquetFile(path) as file:
        table = file.read()
    step = -(-table.num_rows // parts)
    written = [
        write_part(folder, set_name, n, [table.slice(n * step, step)], table.schema).as_dict() for n in range(parts)
    ]

    def change(found: dict[str, Any]) -> None:
        found["parts"] = [p for p in found["parts"] if not p["path"].startswith(f"{set_name}/")] + written

    edit_manifest(folder, change)


def plain_rows(folder: Path, set_name: str) -> list[list[Any]]:
    """A set's rows in order, as Python values by place: names mean nothing."""
    return _plain_rows(folder, set_name, (folder / "manifest.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=8)
def _plain_rows(folder: Path, set_name: str, text: str) -> list[list[Any]]:
    manifest = json.loads(text)
    rows: list[list[Any]] = []
    for path in sorted(p["path"] for p in manifest["parts"] if p["path"].startswith(f"{set_name}/")):
        with pq.ParquetFile(folder / path) as file:
            table = file.read()
        rows += [list(row) for row in zip(*(c.to_pylist() for c in table.columns), strict=True)]
    return rows


def shown(cell: Any) -> str | None:
    if isinstance(cell, list):
        return " ".join(format_cell(c) or "" for c in cell)
    return format_cell(cell)


def expected(folder: Path, set_name: str, query: Query) -> tuple[list[list[str | None]], int]:
    """The page's rows and the total, worked out one row at a time."""
    columns = set_columns(Evidence(folder), set_name)
    rows = [row for row in plain_rows(folder, set_name) if _keeps(row, columns, query)]
    if query.sort is not None:
        column = next(c for c in columns if c.name == query.sort)
        rows = _sorted(rows, column, query.descending)
    page = rows[query.offset : query.offset + query.limit]
    return [[shown(cell) for cell in row] for row in page], len(rows)


_NOT_SEARCHED = {"_row", "_reason", "_failed", "_left_row", "_right_row", "_left_partners", "_right_partners"}


def _keeps(row: Sequence[Any], columns: Sequence[SetColumn], query: Query) -> bool:
    schema = tuple(c.as_column() for c in columns)
    if not passes(dict(zip((c.name for c in columns), row, strict=True)), query.filters, schema):
        return False
    wanted = [shown(cell) for c, cell in zip(columns, row, strict=True) if c.name not in _NOT_SEARCHED]
    return not query.search or any(query.search.lower() in text.lower() for text in wanted if text is not None)


def _sorted(rows: list[list[Any]], column: SetColumn, descending: bool) -> list[list[Any]]:
    """Stable, so that equal cells keep their order; empty cells last."""

    def key(row: list[Any]) -> Any:
        cell = row[column.place]
        if isinstance(cell, float):
            return (cell != cell, 0 if cell != cell else cell)  # NaN is the greatest
        return cell

    filled = [row for row in rows if row[column.place] is not None]
    empty = [row for row in rows if row[column.place] is None]
    if column.is_amount:
        numbers = {
            id(row): parse_number(row[column.place], column.texts.decimal, column.texts.thousands) for row in filled
        }
        good = [row for row in filled if numbers[id(row)] is not None]
        bad = [row for row in filled if numbers[id(row)] is None]
        by_text = sorted(good, key=key, reverse=descending)
        return (
            sorted(by_text, key=lambda row: numbers[id(row)] or 0, reverse=descending)
            + sorted(bad, key=key, reverse=descending)
            + empty
        )
    return sorted(filled, key=key, reverse=descending) + empty
