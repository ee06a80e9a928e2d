"""Many conditions in one statement of Beam SQL, each judged by itself: a run for each would take seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from pipelines import engine
from pipelines.beam_sql.rows import Batch, sql_rows
from pipelines.beam_sql.statement import SqlMatch
from pipelines.matching import Sides
from pipelines.options import ClusterOptions
from pipelines.prepare import Prepared, prepare
from pipelines.relation import DataFile, Relation
from tests.end_to_end.cases import Case
from tests.end_to_end.test_differential import recipe
from tests.helpers import import_beam, request

Pairs = set[tuple[int, int]]


def pairs_by_condition(case: Case, folder: Path, shared: ClusterOptions) -> list[Pairs]:
    """The pairs that Beam SQL finds for each condition over both sides under the case's key, the others left out."""
    import_beam()
    import apache_beam as beam

    from pipelines import direct
    from pipelines.beam_sql.transform import sql_pairs

    prepared = prepare(request(recipe(case, folder), folder / "out", engine="beam-sql", cluster=shared))
    match, count = _each_by_itself(prepared)
    batches = _batches(prepared, folder)
    assert shared.sql_service is not None
    service: str = shared.sql_service

    def cells(row: Any) -> list[Any]:
        return [row.lr, row.rr, *(getattr(row, f"b{i}") for i in range(count))]

    def rows_of(side: str) -> Callable[[int], list[Batch]]:
        return lambda _: batches[side]

    def build(pipeline: Any) -> None:
        sides = {s: pipeline | f"Start{s}" >> beam.Create([0]) | f"Rows{s}" >> beam.FlatMap(rows_of(s)) for s in "lr"}
        found = sql_pairs(sides, match, service) | "Cells" >> beam.Map(cells) | beam.combiners.ToList()
        _ = found | "Keep" >> beam.Map(lambda all: (folder / "found.json").write_text(json.dumps(all)))

    direct.run(build)
    found = json.loads((folder / "found.json").read_text())
    return [{(row[0], row[1]) for row in found if row[2 + i] is True} for i in range(count)]


def _each_by_itself(prepared: Prepared) -> tuple[SqlMatch, int]:
    """The statement with ``b0, b1, ...`` in place of its WHERE."""
    [match] = prepared.run_plan.sql
    assert match.residual is not None
    tree = sqlglot.parse_one(match.residual)
    where = tree.args["where"].this
    tests = list(where.flatten()) if isinstance(where, exp.And) else [where]
    assert len(tests) == len(prepared.plan.conditions)
    columns = [
        exp.alias_(exp.Is(this=exp.paren(t.copy()), expression=exp.true()), f"b{i}") for i, t in enumerate(tests)
    ]
    asked = exp.select("lr", "rr", *columns).from_("PCOLLECTION").sql(normalize_functions=False)
    return dataclasses.replace(match, residual=asked), len(tests)


def _batches(prepared: Prepared, folder: Path) -> dict[str, list[Batch]]:
    whole = {}
    for side, connector in prepared.connectors.items():
        path = connector.in_place_path()
        assert path is not None
        names = tuple(c.name for c in prepared.schemas[side])
        whole[side] = Relation(side, (DataFile.at(path),), names)
    sides = Sides(whole["l"], whole["r"], ("id",), ("id",))
    [match] = prepared.run_plan.sql
    with engine.connect(folder, 512 << 20, [f.path for r in whole.values() for f in r.files]) as connection:
        return {s: list(sql_rows(connection, prepared.plan, match, sides, whole[s])) for s in "lr"}
