"""Statements in one pipeline: the pairs that Beam SQL finds, without the evidence around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines import direct, engine
from pipelines.beam_sql.rows import Batch, sql_rows
from pipelines.prepare import Prepared, prepare
from pipelines.relation import DataFile, Relation
from tests.end_to_end.cases import Case
from tests.end_to_end.test_differential import recipe
from tests.helpers import request


def pairs_of(cases: Sequence[Case], folder: Path, service: str) -> list[list[tuple[int, int]]]:
    """What Beam SQL finds for each statement, sorted. All run in one pipeline: each for itself would take seconds."""
    import apache_beam as beam

    from pipelines.beam_sql.transform import sql_pairs

    class Found(beam.PTransform):
        """One statement; its place in the graph gives its labels a prefix."""

        def __init__(self, number: int, prepared: Prepared, batches: dict[str, list[Batch]]) -> None:
            super().__init__()
            self._number, self._prepared, self._batches = number, prepared, batches

        def expand(self, begin: Any) -> Any:
            sides = {
                s: begin | f"Rows{s}" >> beam.Create([0]) | f"Batches{s}" >> beam.FlatMap(lambda _, b=b: b)
                for s, b in self._batches.items()
            }
            match = self._prepared.run_plan.sql
            assert match is not None
            found = sql_pairs(sides, match, service)
            return found | "Number" >> beam.Map(lambda row, n=self._number: f"{n} {row.lr} {row.rr}")

    prepared = [_prepared(case, folder, service) for case in cases]
    rows = [_batches(p, folder) for p in prepared]

    def build(pipeline: Any) -> None:
        found = [
            pipeline | f"Case{n}" >> Found(n, p, batches)
            for n, (p, batches) in enumerate(zip(prepared, rows, strict=True))
        ]
        lines = found | beam.Flatten()
        _ = lines | beam.combiners.ToList() | beam.Map(lambda all: (folder / "found.json").write_text(json.dumps(all)))

    direct.run(build)
    results: list[list[tuple[int, int]]] = [[] for _ in cases]
    for line in json.loads((folder / "found.json").read_text()):
        number, left, right = map(int, line.split())
        results[number].append((left, right))
    return [sorted(found) for found in results]


def _prepared(case: Case, folder: Path, service: str) -> Prepared:
    from pipelines.options import ClusterOptions

    asked = request(recipe(case, folder), folder / "out", engine="beam-sql", cluster=ClusterOptions(sql_service=service))
    return prepare(asked)


def _batches(prepared: Prepared, folder: Path) -> dict[str, list[Batch]]:
    from pipelines.matching import Sides

    whole = {}
    for side, connector in prepared.connectors.items():
        names = tuple(c.name for c in prepared.schemas[side])
        path = connector.in_place_path()
        assert path is not None
        whole[side] = Relation(side, (DataFile(path, connector.count()),), names)
    sides = Sides(whole["l"], whole["r"], ("id",), ("id",))
    match = prepared.run_plan.sql
    assert match is not None
    with engine.connect(folder, 512 << 20, [f.path for r in whole.values() for f in r.files]) as connection:
        return {s: list(sql_rows(connection, prepared.plan, match, sides, whole[s])) for s in "lr"}
