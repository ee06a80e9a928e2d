"""Which columns tell the rows of a source apart: the declared key, else what the data itself proves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from connectors.base import Connector
from recipe import Kind

# What the search looks at, at most; a key found in a part of the data is likely, not proven.
MOST_ROWS = 500_000
MOST_BYTES = 256 * 1024 * 1024
_MOST_PAIRED = 8
_KEY_WORDS = re.compile(r"(^|[_\W])(id|key|no|nr|num|number|code|ref|reference|uuid)$|[a-z](Id|ID|No|Nr|Key)$", re.I)
_NO_KEYS = (Kind.DOUBLE, Kind.BOOLEAN, Kind.UNKNOWN)


@dataclass(frozen=True)
class FoundKey:
    """``confidence``: ``high`` for a declared or proven key, ``medium`` for one that holds in the first
    ``rows_checked`` rows, ``low`` without one."""

    columns: tuple[str, ...]
    confidence: str
    declared: bool
    rows_checked: int


def declared_key(connector: Connector) -> FoundKey | None:
    """The key that the database declares; None where it declares none. Raises ConnectorError."""
    columns = connector.declared_key()
    return FoundKey(columns, "high", True, 0) if columns else None


def search_key(connector: Connector) -> FoundKey:
    """The key that the data proves: one column without NULLs and repeats, else two together. Holds at most
    ``MOST_BYTES``, and as much again while it counts. Raises ConnectorError."""
    names = [column.name for column in connector.schema() if column.kind not in _NO_KEYS]
    table, whole = _sample(connector, names)
    if table is None or not table.num_rows:
        return FoundKey((), "low", False, 0)
    columns = _unique(table)
    return FoundKey(columns, ("high" if whole else "medium") if columns else "low", False, table.num_rows)


def _sample(connector: Connector, names: list[str]) -> tuple[pa.Table | None, bool]:
    """The first rows within the limits as one Arrow table (None for no rows), and whether that is everything."""
    batches: list[pa.RecordBatch] = []
    rows = size = 0
    with connector.open_snapshot() as snapshot:
        for split in connector.plan_splits(snapshot, 1):
            for batch in connector.read(snapshot, split, columns=names):
                if rows >= MOST_ROWS or size >= MOST_BYTES:
                    return pa.Table.from_batches(batches), False
                kept = batch.replace_schema_metadata(None)
                batches.append(kept)
                rows, size = rows + kept.num_rows, size + kept.nbytes
    return (pa.Table.from_batches(batches) if batches else None), True


def _unique(table: pa.Table) -> tuple[str, ...]:
    """Names that look like keys first."""
    full = [name for name in table.column_names if table.column(name).null_count == 0]
    distinct = {name: pc.count_distinct(table.column(name)).as_py() for name in full}
    single = [name for name in full if distinct[name] == table.num_rows]
    if single:
        return (min(single, key=lambda name: (not _KEY_WORDS.search(name), full.index(name))),)
    likely = sorted(full, key=lambda name: -distinct[name])[:_MOST_PAIRED]
    pairs = [pair for pair in combinations(likely, 2) if distinct[pair[0]] * distinct[pair[1]] >= table.num_rows]
    pairs.sort(key=lambda pair: sum(not _KEY_WORDS.search(name) for name in pair))
    for pair in pairs:
        if table.group_by(list(pair)).aggregate([]).num_rows == table.num_rows:
            return tuple(sorted(pair, key=full.index))
    return ()
