"""Which columns tell the rows of a source apart: the declared key, else what the data itself proves."""

from __future__ import annotations

import re
import threading
from itertools import combinations
from typing import Any

from recipe import Kind
from webapp.context import Kalla
from webapp.services.addresses import open_source
from webapp.services.previews import reaching, stored, turn

# What the search looks at, at most; a key found in a part of the data is likely, not proven.
MOST_ROWS = 500_000
MOST_BYTES = 256 * 1024 * 1024
_MOST_PAIRED = 8
_AT_ONCE = 2  # each may hold MOST_BYTES, and as much again while it counts
_WAIT_SECONDS = 20.0
_TURNS = threading.BoundedSemaphore(_AT_ONCE)
_KEY_WORDS = re.compile(r"(^|[_\W])(id|key|no|nr|num|number|code|ref|reference|uuid)$|[a-z](Id|ID|No|Nr|Key)$", re.I)
_NO_KEYS = (Kind.DOUBLE, Kind.BOOLEAN, Kind.UNKNOWN)


def primary_key(app: Kalla, alias: str) -> dict[str, Any]:
    """``{alias, detected_keys, confidence}``; ``high`` for a declared or proven key, ``medium`` for one that holds in
    the part of the data that was looked at, ``low`` with no key. ``declared`` and ``rows_checked`` say why.

    Raises ServiceError, among others ``source.busy`` (503) while too many others search, ConnectorError.
    """
    record = stored(app, alias)
    with reaching(app, record):
        opened = open_source(app, record.source_type, record.uri, alias)
        with opened.told():
            declared = getattr(opened.connector, "declared_key", None)  # only databases have it
            keys = list(declared()) if declared is not None else []
            if keys:
                return _answer(alias, keys, "high", True, 0)
            return _searched(alias, opened.connector)


def _answer(alias: str, keys: list[str], confidence: str, declared: bool, rows: int) -> dict[str, Any]:
    return {
        "alias": alias,
        "detected_keys": keys,
        "confidence": confidence,
        "declared": declared,
        "rows_checked": rows,
    }


def _searched(alias: str, connector: Any) -> dict[str, Any]:
    columns = [column for column in connector.schema() if column.kind not in _NO_KEYS]
    with turn(_TURNS, _WAIT_SECONDS):
        table, whole = _sample(connector, [column.name for column in columns])
        keys = _unique(table) if table is not None and table.num_rows else []
    rows = 0 if table is None else table.num_rows
    return _answer(alias, keys, ("high" if whole else "medium") if keys else "low", False, rows)


def _sample(connector: Any, names: list[str]) -> tuple[Any, bool]:
    """The first rows within the limits as one Arrow table (None for no rows), and whether that is everything."""
    import pyarrow as pa

    batches: list[Any] = []
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


def _unique(table: Any) -> list[str]:
    """One column without NULLs and repeats, else two together; names that look like keys first."""
    import pyarrow.compute as pc

    full = [name for name in table.column_names if table.column(name).null_count == 0]
    distinct = {name: pc.count_distinct(table.column(name)).as_py() for name in full}
    single = [name for name in full if distinct[name] == table.num_rows]
    if single:
        return [min(single, key=lambda name: (not _KEY_WORDS.search(name), full.index(name)))]
    likely = sorted(full, key=lambda name: -distinct[name])[:_MOST_PAIRED]
    pairs = [pair for pair in combinations(likely, 2) if distinct[pair[0]] * distinct[pair[1]] >= table.num_rows]
    pairs.sort(key=lambda pair: sum(not _KEY_WORDS.search(name) for name in pair))
    for pair in pairs:
        if table.group_by(list(pair)).aggregate([]).num_rows == table.num_rows:
            return sorted(pair, key=full.index)
    return []
