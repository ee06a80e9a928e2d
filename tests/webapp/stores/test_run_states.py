"""The way of a run's status, whatever comes in whatever order, and at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webapp.stores.runs import FINAL, OPEN, RunStore

STAGES = ["staging", "matching", "writing_results"]
RANK = {"pending": 0, "submitted": 1, "running": 2, "completed": 3, "failed": 3, "cancelled": 3}
PATHS = dict.fromkeys(("matched", "unmatched_left", "unmatched_right"), "s3://b/x/")
ZERO = {"matched_count": 0, "unmatched_left_count": 0, "unmatched_right_count": 0, "output_paths": PATHS}
ENDS: dict[str, Callable[[RunStore, str], bool]] = {
    "completed": lambda runs, run_id: runs.complete(run_id, ZERO),
    "failed": lambda runs, run_id: runs.fail(run_id, "broken", "matching"),
    "cancelled": lambda runs, run_id: runs.cancel(run_id),
}


def new(runs: RunStore) -> str:
    run_id = str(uuid4())
    runs.insert(run_id, "r", "R", {}, "ledger", "bank")
    return run_id


def at(runs: RunStore, status: str) -> str:
    """A run in that status."""
    run_id = new(runs)
    if status in ("submitted", "running"):
        runs.mark_submitted(run_id)
    if status == "running":
        runs.record_progress(run_id, "staging")
    if status in ENDS:
        ENDS[status](runs, run_id)
    return run_id


def status_of(runs: RunStore, run_id: str) -> str:
    found = runs.get(run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize("start", RANK)
def test_every_step_from_every_status(runs: RunStore, start: str) -> None:
    steps: dict[str, Callable[[RunStore, str], bool]] = {
        "submitted": lambda runs, run_id: runs.mark_submitted(run_id),
        "running": lambda runs, run_id: runs.record_progress(run_id, "matching"),
        **ENDS,
    }
    for target, step in steps.items():
        run_id = at(runs, start)
        before = runs.get(run_id)
        allowed = start == "pending" if target == "submitted" else start in OPEN
        assert step(runs, run_id) is allowed
        assert status_of(runs, run_id) == (target if allowed else start)
        assert allowed or runs.get(run_id) == before


number = st.none() | st.integers(0, 2**63 - 1)
operation = st.one_of(
    st.just(("submit",)),
    st.tuples(st.just("progress"), st.sampled_from(STAGES), st.none() | st.floats(0, 1), number, number, number),
    st.tuples(st.just("end"), st.sampled_from(sorted(ENDS))),
)


def apply(runs: RunStore, run_id: str, step: tuple[Any, ...]) -> bool:
    if step[0] == "submit":
        return runs.mark_submitted(run_id)
    if step[0] == "progress":
        return runs.record_progress(run_id, step[1], None, *step[2:])
    return ENDS[step[1]](runs, run_id)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(operation, max_size=14))
def test_no_sequence_moves_a_run_back_or_out_of_a_final_status(runs: RunStore, steps: list[tuple[Any, ...]]) -> None:
    run_id, status, stage = new(runs), "pending", -1
    numbers: list[Any] = [None] * 4
    for step in steps:
        before = runs.get(run_id)
        took = apply(runs, run_id, step)
        after = runs.get(run_id)
        assert before is not None and after is not None
        # what the contract says, worked out apart from the store
        expected = status in OPEN
        if step[0] == "submit":
            expected = status == "pending"
        if step[0] == "progress":
            expected = expected and STAGES.index(step[1]) >= stage
        assert took is expected
        if not took:
            assert after == before
            continue
        status = {"submit": "submitted", "progress": "running"}.get(step[0]) or step[1]
        if step[0] == "progress":
            stage = STAGES.index(step[1])
            numbers = [kept if new_ is None else new_ for kept, new_ in zip(numbers, step[2:], strict=True)]
        assert after.status == status
        assert RANK[after.status] >= RANK[before.status]
        assert before.status not in FINAL
        assert before.started_at in (None, after.started_at)
        assert (after.completed_at is not None) is (status in FINAL)
        if after.progress is not None:
            p = after.progress
            assert [p.progress, p.matched_count, p.total_left, p.total_right] == numbers
            assert p.stage == STAGES[stage]


def race(actions: list[Callable[[], bool]]) -> list[bool]:
    """The answers of actions that start at the same moment."""
    gate, answers = threading.Barrier(len(actions)), [False] * len(actions)
    failures: list[BaseException] = []

    def act(place: int) -> None:
        try:
            gate.wait(30)
            answers[place] = actions[place]()
        except BaseException as error:  # noqa: BLE001  # raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]
    return answers


def test_of_several_ends_at_the_same_time_exactly_one_wins(runs: RunStore) -> None:
    names = [*ENDS, "completed", "completed"]
    for _ in range(8):
        run_id = at(runs, "running")
        answers = race([partial(ENDS[name], runs, run_id) for name in names])
        assert sum(answers) == 1
        found = runs.get(run_id)
        assert found is not None
        assert found.status == names[answers.index(True)]
        assert (found.error_message is not None) is (found.status == "failed")
        assert (found.output_matched is not None) is (found.status == "completed")


def test_progress_beside_an_end_never_reopens_the_run(runs: RunStore) -> None:
    for stage in STAGES * 3:
        run_id = at(runs, "submitted")
        reports = [partial(runs.record_progress, run_id, stage, progress=0.5)] * 4
        answers = race([*reports, partial(runs.complete, run_id, ZERO)])
        assert answers[-1] is True
        found = runs.get(run_id)
        assert found is not None and found.status == "completed"
        assert (found.progress is not None) is (found.started_at is not None) is any(answers[:-1])


def test_the_first_reports_at_the_same_time_keep_the_latest_stage(runs: RunStore) -> None:
    for _ in range(8):
        run_id = at(runs, "submitted")
        race([partial(runs.record_progress, run_id, stage) for stage in STAGES])
        found = runs.get(run_id)
        assert found is not None and found.progress is not None
        assert (found.status, found.progress.stage) == ("running", "writing_results")


def test_a_dispatch_that_answers_after_the_first_report_changes_nothing(runs: RunStore) -> None:
    run_id = new(runs)
    runs.record_progress(run_id, "staging")
    assert runs.mark_submitted(run_id) is False
    assert status_of(runs, run_id) == "running"
