"""Random tables and statements: every strategy gives what the oracle gives, cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import hot, shards, slices
from pipelines.evidence import verify
from tests.conftest import whole_runs
from tests.end_to_end import judge
from tests.end_to_end.cases import Case, cases, number
from tests.helpers import beam, document, drive, source, write_parquet
from tests.oracle import reconcile

Fresh = Callable[[], Path]


def recipe(case: Case, folder: Path, group: int = 1 << 16) -> dict[str, Any]:
    sides = []
    for letter in "lr":
        side = case.side(letter)
        path = write_parquet(folder / f"{letter}.parquet", side.columns(), side.arrow_types(), group)
        sides.append(source(path, side.key_names()))
    return document(case.sql, *sides)


def check(case: Case, folder: Path) -> None:
    left, right = case.left.rows, case.right.rows
    truth = reconcile(case.rule, left, right)
    orders = {"l": case.left.order, "r": case.right.order}
    judge.check(folder, truth, left, right, case.outputs, orders)
    numbers = {
        s: {case.side(s).names[role]: lambda row, role=role: number(row[role]) for role in ("id", "n", "amt", "x")}
        for s in "lr"
    }
    judge.check_totals(folder, truth, {"l": left, "r": right}, numbers)


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
@whole_runs
@given(case=cases(equi=True), partitions=st.integers(1, 5), group=st.integers(1, 12))
def test_equality(strategy: str, case: Case, partitions: int, group: int, numbered: Fresh) -> None:
    folder = numbered()
    drive(recipe(case, folder, group), folder / "out", strategy=strategy, partitions=partitions)
    check(case, folder / "out")


@pytest.mark.parametrize("strategy", ["local", "broadcast"])
@whole_runs
@given(case=cases(equi=False), partitions=st.integers(1, 5), group=st.integers(1, 12))
def test_inequality(strategy: str, case: Case, partitions: int, group: int, numbered: Fresh) -> None:
    folder = numbered()
    drive(recipe(case, folder, group), folder / "out", strategy=strategy, partitions=partitions)
    check(case, folder / "out")


@pytest.mark.parametrize("kept", [0, 1 << 30])
@whole_runs
@given(case=cases(equi=True), strategy=st.sampled_from(["local", "broadcast", "shuffle"]))
def test_weak_keys_and_kept_candidates_agree(
    kept: int, case: Case, strategy: str, numbered: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_MOST_KEPT", kept)
    folder = numbered()
    drive(recipe(case, folder), folder / "out", strategy=strategy, partitions=3)
    check(case, folder / "out")


@whole_runs
@given(case=cases(equi=True), most=st.integers(1, 4), partitions=st.integers(1, 4))
def test_hot_keys_are_split_and_nothing_changes(
    case: Case, most: int, partitions: int, numbered: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot, "MOST_ROWS", most)
    folder = numbered()
    drive(recipe(case, folder, 3), folder / "out", strategy="shuffle", partitions=partitions)
    check(case, folder / "out")


@whole_runs
@given(case=cases(), group=st.integers(1, 9), most=st.integers(1, 6), grain=st.integers(1, 4))
def test_many_slices_and_chunks(
    case: Case, group: int, most: int, grain: int, numbered: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLICE_BYTES", 1), ("_LEAST_ROWS", most), ("_GRAIN", grain)):
        monkeypatch.setattr(slices, name, value)
    folder = numbered()
    drive(recipe(case, folder, group), folder / "out", partitions=3, strategy="local")
    check(case, folder / "out")
    found = verify(folder / "out")
    assert found.ok, found


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
@whole_runs
@given(data=st.data())
def test_whole_runs_through_beam(strategy: str, data: Any, numbered: Fresh) -> None:
    case = data.draw(cases(equi=True))
    folder = numbered()
    beam(recipe(case, folder, 5), folder / "out", strategy=strategy, partitions=data.draw(st.integers(1, 5)))
    check(case, folder / "out")


@pytest.mark.parametrize("strategy", ["local", "broadcast", "shuffle"])
@settings(whole_runs, max_examples=3)
@given(case=cases(equi=True))
def test_a_few_whole_runs_through_beam(strategy: str, case: Case, numbered: Fresh) -> None:
    folder = numbered()
    beam(recipe(case, folder, 5), folder / "out", strategy=strategy, partitions=3)
    check(case, folder / "out")
