"""Pages of a set that is filtered, searched and sorted, straight from its parts in bounded memory and time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sqlglot import exp

from pipelines.evidence.columns import SetColumn, find_column, set_columns
from pipelines.evidence.conditions import Parameters, filter_trees, is_row_order, search_tree, sort_keys
from pipelines.evidence.reader import Evidence, Page, page_columns, text_columns
from pipelines.evidence.tables import MEMORY, PLACE_BASE, Tables, opened
from recipe import FilterCondition

SECONDS = 20.0
_COUNTS_KEPT = 512
_PLACE = "place"
# Up to here whole rows are kept while sorting; beyond, only their places, and the page's rows are fetched after.
_MOST_WHOLE_ROWS = 200


@dataclass(frozen=True)
class Query:
    """Which rows of a set, and in which order. ``sort`` names a column; None is the order of the rows' ids."""

    filters: tuple[FilterCondition, ...] = ()
    search: str = ""
    sort: str | None = None
    descending: bool = False
    limit: int = 50
    offset: int = 0


def browse(
    evidence: Evidence, set_name: str, query: Query, seconds: float | None = SECONDS, memory: int = MEMORY
) -> Page:
    """One page. Rows with equal cells in the sorted column stand in the order of their row ids.

    Raises RecipeError ``filter.*``, EvidenceError ``evidence.unknown_set``, ``evidence.unknown_column``,
    ``evidence.too_slow``, ``evidence.memory_exceeded`` and those of ``Evidence``.
    """
    columns = set_columns(evidence, set_name)
    sort = None if query.sort is None else find_column(columns, query.sort)
    if sort is not None and is_row_order(sort, query.descending):
        sort = None
    parameters = Parameters()
    tests = filter_trees(columns, query.filters, parameters)
    if query.search:
        tests.append(search_tree(columns, query.search, parameters))
    if not tests and sort is None:
        return evidence.rows(set_name, query.limit, query.offset)
    asked = _Asked(set_name, columns, tuple(tests), sort, query.descending, parameters.values)
    with opened(evidence, [set_name], seconds, memory) as tables:
        total = _total(tables, asked, query)
        stop = min(query.offset + query.limit, total)
        table = _page(tables, asked, query.offset, stop) if stop > query.offset else None
    rows = [] if table is None else _texts(table)
    shown = page_columns(evidence.schema(set_name))
    return Page(set_name, shown, rows, total, query.offset, evidence.total(set_name))


@dataclass(frozen=True)
class _Asked:
    """A query in the engine's terms."""

    set_name: str
    columns: tuple[SetColumn, ...]
    tests: tuple[exp.Expr, ...]
    sort: SetColumn | None
    descending: bool
    parameters: Mapping[str, Any]

    def narrowed(self, tree: exp.Select) -> exp.Select:
        return tree.where(*(test.copy() for test in self.tests)) if self.tests else tree

    def ordered(self, tree: exp.Select) -> exp.Select:
        keys: list[exp.Expr] = [] if self.sort is None else list(sort_keys(self.sort, self.descending))
        return tree.order_by(*keys, exp.Ordered(this=exp.column(_PLACE), nulls_first=False))


def _scan(tables: Tables, asked: _Asked) -> exp.Subquery:
    wanted = {column.place: f"c{column.place}" for column in asked.columns}
    return tables.scan(asked.set_name, wanted, place=True).subquery("s")


def _page(tables: Tables, asked: _Asked, start: int, stop: int) -> pa.Table:
    """The rows ``start`` <= place < ``stop`` of the ordered result."""
    names = [f"c{column.place}" for column in asked.columns]
    whole = stop <= _MOST_WHOLE_ROWS
    tree = exp.select(*(names if whole else [_PLACE])).from_(_scan(tables, asked))
    tree = asked.ordered(asked.narrowed(tree)).limit(stop - start).offset(start)
    if whole:
        return tables.table(tree, asked.parameters)
    places = tables.table(tree, asked.parameters)[_PLACE].to_numpy()
    return _rows_at(tables, asked, places)


def _rows_at(tables: Tables, asked: _Asked, places: np.ndarray) -> pa.Table:
    """The rows at these places, in their order; only the parts that hold them are read."""
    parts = tables.evidence.parts(asked.set_name)
    used = sorted({int(i) for i in places // PLACE_BASE})
    moved = np.searchsorted(used, places // PLACE_BASE) * PLACE_BASE + places % PLACE_BASE
    wanted = {column.place: f"c{column.place}" for column in asked.columns}
    rows = tables.scan(asked.set_name, wanted, place=True, parts=[parts[i] for i in used]).subquery("s")
    parameters = Parameters()
    given = exp.cast(parameters.add(moved.tolist()), "bigint[]", dialect="duckdb")
    listed = exp.select(exp.alias_(exp.Anonymous(this="unnest", expressions=[given]), "wanted")).subquery("w")
    on = exp.EQ(this=exp.column(_PLACE, table="s"), expression=exp.column("wanted", table="w"))
    found = tables.table(exp.select("s.*").from_(rows).join(listed, on=on), parameters.values)
    at = {int(place): i for i, place in enumerate(found[_PLACE].to_pylist())}
    ordered = found.take(pa.array([at[int(place)] for place in moved], pa.int64()))
    return ordered.drop_columns([_PLACE])


def _texts(table: pa.Table) -> list[list[str | None]]:
    rows: list[list[str | None]] = []
    for batch in table.to_batches():
        rows += [list(row) for row in zip(*text_columns(batch), strict=True)]
    return rows


# --- how many rows a query leaves: asked once, however many pages are turned ------------------------------------------

_counts: OrderedDict[object, int] = OrderedDict()
_counts_lock = threading.Lock()


def _total(tables: Tables, asked: _Asked, query: Query) -> int:
    if not asked.tests:
        return tables.evidence.total(asked.set_name)
    key = (tables.evidence.manifest_sha256, asked.set_name, query.filters, query.search)
    with _counts_lock:
        if key in _counts:
            _counts.move_to_end(key)
            return _counts[key]
    tree = asked.narrowed(exp.select(exp.Count(this=exp.Star())).from_(_scan(tables, asked)))
    total = int(tables.rows(tree, asked.parameters)[0][0])
    with _counts_lock:
        _counts[key] = total
        if len(_counts) > _COUNTS_KEPT:
            _counts.popitem(last=False)
    return total


def reasons_filter(reasons: Sequence[str]) -> FilterCondition:
    """The filter that leaves unmatched records with one of these reasons."""
    return FilterCondition(column="_reason", op="in", value=list(reasons))
