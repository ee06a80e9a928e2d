"""Rows for Beam SQL and the pairs it gives back, without Java."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import pyarrow as pa
import pytest

from pipelines import engine
from pipelines.beam_sql.rows import check_whole, explain_rows, keep_pairs, sql_rows
from pipelines.beam_sql.statement import sql_match
from pipelines.errors import PipelineError
from pipelines.general import match_whole
from pipelines.matching import Sides
from pipelines.prepare import prepare
from pipelines.relation import DataFile, Relation
from recipe import MatchPlan
from tests.helpers import document, request, source, write_parquet

SQL = (
    "SELECT l.id, r.id FROM left_src l JOIN right_src r ON UPPER(l.ref) = r.ref AND l.n = r.amount"
    " AND tolerance_match(l.amount, r.amount, 0.01) AND l.n > 0"
)
TYPES = {"id": pa.int64(), "ref": pa.string(), "n": pa.int32(), "amount": pa.decimal128(38, 10)}
LONG = D("1234567890123456789012345678.0000000001")


@pytest.fixture
def plan_and_sides(tmp_path: Path) -> tuple[MatchPlan, Sides]:
    left = {
        "id": [1, 2, 3, 4],
        "ref": ["a", "b", None, "a"],
        "n": [1, 2, 3, 0],
        "amount": [D("1.01"), LONG, D(1), D(1)],
    }
    right = {"id": [7, 8], "ref": ["A", "B"], "n": [5, 6], "amount": [D(1), None]}
    paths = [write_parquet(tmp_path / f"{n}.parquet", t, TYPES) for n, t in (("left", left), ("right", right))]
    prepared = prepare(request(document(SQL, *(source(p, ["id"]) for p in paths)), tmp_path / "out"))
    relations = [Relation(s, (DataFile.at(str(p)),), tuple(TYPES)) for s, p in zip("lr", paths, strict=True)]
    return prepared.plan, Sides(relations[0], relations[1], ("id",), ("id",))


def test_rows_that_can_be_in_a_pair_travel_exactly(plan_and_sides: tuple[MatchPlan, Sides], tmp_path: Path) -> None:
    plan, sides = plan_and_sides
    match = sql_match(plan)
    files = [f.path for s in (sides.left, sides.right) if isinstance(s, Relation) for f in s.files]
    with engine.connect(tmp_path, 256 << 20, files) as connection:
        left, right = (
            [row for batch in sql_rows(connection, plan, match, sides, rows) for row in batch]
            for rows in (sides.left, sides.right)
            if isinstance(rows, Relation)
        )
    assert [lifted.name for lifted in match.left] == ["l0", "l1"]
    assert left == [(1, "A", "1", D("1.01"), D("0.01")), (2, "B", "2", LONG, D("0.01"))]
    assert right == [(1, "A", "1", D(1))]


@pytest.mark.parametrize(
    ("pairs", "told"), [([(1, 1)], ""), ([], "left out"), ([(1, 1), (2, 2)], "found"), ([(1, 1), (1, 1)], "found")]
)
def test_pairs_that_the_other_engine_does_not_find_end_the_run(
    pairs: list[tuple[int, int]], told: str, plan_and_sides: tuple[MatchPlan, Sides], tmp_path: Path
) -> None:
    plan, sides = plan_and_sides
    files = [f.path for s in (sides.left, sides.right) if isinstance(s, Relation) for f in s.files]
    assert keep_pairs(tmp_path, 0, iter(pairs)) == len(pairs)
    with engine.connect(tmp_path, 256 << 20, files) as connection:
        if not told:
            explain_rows(connection, plan, sides, "l", tmp_path, 0)
            assert (tmp_path / "nearest_l-0.parquet").exists()
            return
        with pytest.raises(PipelineError, match=told) as error:
            explain_rows(connection, plan, sides, "l", tmp_path, 0)
    assert error.value.code == "run.engines_differ" and error.value.hint


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ([(1, 1), (1, 1), (2, 2)], ""),
        ([(1, 1), (2, 2)], "left out"),
        ([(1, 1), (1, 1), (2, 2), (2, 2)], "found"),
        ([(1, 1), (1, 1), (2, 1)], "found"),
    ],
)
def test_pairs_of_several_passes_are_those_of_the_whole_statement(
    pairs: list[tuple[int, int]], told: str, tmp_path: Path
) -> None:
    """Two passes, of which both find the first pair."""
    rows = {"id": [1, 2], "ref": ["a", "b"], "n": [1, 2], "amount": [D(1), D(2)]}
    paths = [write_parquet(tmp_path / f"{n}.parquet", rows, TYPES) for n in ("left", "right")]
    one = "SELECT l.id FROM left_src l JOIN right_src r ON l.{0} = r.{0}"
    sql = f"{one.format('ref')} UNION ALL {one.format('n')} AND l.n < 2"
    plan = prepare(request(document(sql, *(source(p, ["id"]) for p in paths)), tmp_path / "out")).plan
    assert len(plan.passes) == 2
    relations = [Relation(s, (DataFile.at(str(p)),), tuple(TYPES)) for s, p in zip("lr", paths, strict=True)]
    keep_pairs(tmp_path, 0, pairs)
    with engine.connect(tmp_path, 256 << 20, [str(p) for p in paths]) as connection:
        match_whole(connection, plan, relations[0], relations[1], tmp_path)
    with engine.connect(tmp_path, 256 << 20, [str(p) for p in paths]) as connection:
        if not told:
            check_whole(connection, plan, tmp_path)
            return
        with pytest.raises(PipelineError, match=told) as error:
            check_whole(connection, plan, tmp_path)
    assert error.value.code == "run.engines_differ"
