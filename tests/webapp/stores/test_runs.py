"""Runs: what is stored, and lists of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from webapp.db import Database
from webapp.errors import ServiceError
from webapp.stores.runs import RunStore

SNAPSHOT: dict[str, Any] = {
    "recipe_id": "r",
    "name": "R",
    "match_sql": "SELECT 1",
    "sources": {
        "left": {"alias": "ledger", "type": "postgres", "uri": "postgres://kalla:***@erp/books", "primary_key": ["id"]},
        "right": {"alias": "bank", "type": "file", "primary_key": ["id"], "schema": ["id"]},
    },
}
PATHS = {name: f"s3://kalla-results/runs/1/{name}/" for name in ("matched", "unmatched_left", "unmatched_right")}
REPORT = {"matched_count": 4500, "unmatched_left_count": 500, "unmatched_right_count": 300, "output_paths": PATHS}
NO_IDS = ["", "1", "no-uuid", "\x00", f"{{{UUID(int=1)}}}", UUID(int=1).hex, f"urn:uuid:{UUID(int=1)}", "é" * 36]


def new(runs: RunStore, recipe_id: str = "r", **options: Any) -> str:
    run_id = str(uuid4())
    runs.insert(run_id, recipe_id, "R", SNAPSHOT, "ledger", "bank", **options)
    return run_id


def test_a_new_run_is_pending_and_empty(runs: RunStore) -> None:
    before = datetime.now(UTC)
    first = new(runs)
    run_id = new(runs, retry_of=first)
    found = runs.get(run_id)
    assert found is not None
    assert (found.run_id, found.recipe_id, found.recipe_name) == (run_id, "r", "R")
    assert (found.status, found.left_source, found.right_source) == ("pending", "ledger", "bank")
    assert found.recipe_snapshot == SNAPSHOT
    assert list(found.recipe_snapshot["sources"]["left"]) == ["alias", "type", "uri", "primary_key"]
    assert (found.retry_of, found.progress, found.warnings) == (first, None, [])
    assert {getattr(found, f"{c}_count") for c in ("matched", "left_record", "unmatched_left", "matched_right")} == {0}
    assert (found.started_at, found.completed_at, found.last_callback_at, found.error_message) == (None,) * 4
    assert before <= found.created_at == found.updated_at <= datetime.now(UTC)


def test_the_snapshot_is_masked_here_too(runs: RunStore, raw: Callable[[], str]) -> None:
    sources = {"left": {"alias": "l", "uri": "postgres://kalla:swordfish@erp/books"}, "right": {"alias": "r"}}
    runs.insert(str(uuid4()), "r", "R", {"sources": sources}, "l", "r")
    assert "swordfish" not in raw()
    assert sources["left"]["uri"] == "postgres://kalla:swordfish@erp/books"


@pytest.mark.parametrize("run_id", [*NO_IDS, str(UUID(int=1))])
def test_an_unknown_run_is_nothing(runs: RunStore, run_id: str) -> None:
    assert runs.get(run_id) is None
    assert runs.mark_submitted(run_id) is False
    assert runs.record_progress(run_id, "staging") is False
    assert runs.complete(run_id, REPORT) is False
    assert runs.fail(run_id, "x") is False
    assert runs.cancel(run_id) is False


def test_an_id_in_capitals_is_the_same(runs: RunStore) -> None:
    run_id = new(runs)
    found = runs.get(run_id.upper())
    assert found is not None and found.run_id == run_id


def test_the_way_of_a_run(runs: RunStore) -> None:
    run_id = new(runs)
    assert runs.mark_submitted(run_id)
    assert runs.record_progress(run_id, "staging", source="left_src", progress=0.5)
    started = runs.get(run_id)
    assert started is not None and started.started_at is not None
    assert (started.status, started.last_callback_at) == ("running", started.started_at)
    assert runs.record_progress(run_id, "matching", progress=0.6, matched_count=9, total_left=5000, total_right=4800)
    counts = {"left_record_count": 5000, "right_record_count": 4800, "warnings": ["one", {"code": "w", "n": 2}]}
    assert runs.complete(run_id, REPORT | counts)
    found = runs.get(run_id)
    assert found is not None and found.completed_at is not None
    assert found.status == "completed"
    assert (found.matched_count, found.unmatched_left_count, found.unmatched_right_count) == (4500, 500, 300)
    assert (found.left_record_count, found.right_record_count) == (5000, 4800)
    assert (found.matched_left_count, found.matched_right_count) == (4500, 4500)
    assert [found.output_matched, found.output_unmatched_left, found.output_unmatched_right] == [*PATHS.values()]
    assert found.warnings == ["one", {"code": "w", "n": 2}]
    assert found.started_at == started.started_at < found.completed_at == found.updated_at
    assert found.progress is not None and found.progress.stage == "matching"


def test_completion_without_record_counts_claims_none(runs: RunStore) -> None:
    run_id = new(runs)
    assert runs.complete(run_id, REPORT)
    found = runs.get(run_id)
    assert found is not None
    assert (found.left_record_count, found.matched_left_count, found.started_at) == (0, 0, None)


def test_missing_numbers_keep_their_value_and_the_source_does_not(runs: RunStore) -> None:
    run_id = new(runs)
    runs.record_progress(run_id, "staging", "left_src", 0.25, total_left=10)
    runs.record_progress(run_id, "staging", "right_src", total_right=20)
    found = runs.get(run_id)
    assert found is not None and found.progress is not None
    kept = (found.progress.source, found.progress.progress, found.progress.total_left, found.progress.total_right)
    assert kept == ("right_src", 0.25, 10, 20)
    runs.record_progress(run_id, "matching", matched_count=0, total_left=0, progress=0)
    found = runs.get(run_id)
    assert found is not None and found.progress is not None
    assert replace(found.progress, updated_at=found.updated_at) == found.progress
    assert (found.progress.source, found.progress.progress, found.progress.matched_count) == (None, 0.0, 0)
    assert (found.progress.total_left, found.progress.total_right) == (0, 20)


def test_a_late_report_of_an_earlier_stage_changes_nothing(runs: RunStore) -> None:
    run_id = new(runs)
    assert runs.record_progress(run_id, "writing_results", progress=0.5)
    before = runs.get(run_id)
    for stage in ("staging", "matching"):
        assert runs.record_progress(run_id, stage, "left_src", 1.0, 7, 7, 7) is False
    assert runs.get(run_id) == before
    assert runs.record_progress(run_id, "writing_results", progress=0.4)


@pytest.mark.parametrize(
    "report",
    [
        {"stage": "sleeping"},
        {"stage": "staging", "progress": 1.01},
        {"stage": "staging", "progress": float("nan")},
        {"stage": "staging", "matched_count": -1},
        {"stage": "staging", "total_left": 2**63},
        {"stage": "staging", "total_right": 1.5},
        {"stage": "staging", "total_right": True},
    ],
)
def test_a_report_that_cannot_be_stored_is_refused(runs: RunStore, report: dict[str, Any]) -> None:
    run_id = new(runs)
    with pytest.raises(ServiceError) as caught:
        runs.record_progress(run_id, **report)
    assert (caught.value.code, caught.value.status) == ("callback.invalid", 400)
    found = runs.get(run_id)
    assert found is not None and found.status == "pending"


@pytest.mark.parametrize(
    "wrong",
    [{"matched_count": "5"}, {"matched_count": -1}, {"left_record_count": 499}, {"right_record_count": 2**63}],
)
def test_figures_that_cannot_be_are_refused(runs: RunStore, wrong: dict[str, Any]) -> None:
    run_id = new(runs)
    with pytest.raises(ServiceError, match=r"callback\.invalid"):
        runs.complete(run_id, REPORT | wrong)
    found = runs.get(run_id)
    assert found is not None and found.status == "pending"


def test_the_largest_count_is_stored(runs: RunStore) -> None:
    run_id = new(runs)
    assert runs.complete(run_id, REPORT | {"matched_count": 2**63 - 1})
    found = runs.get(run_id)
    assert found is not None and found.matched_count == 2**63 - 1


def test_a_failure_keeps_its_reason_without_secrets(runs: RunStore, raw: Callable[[], str]) -> None:
    run_id = new(runs)
    uri = "postgres://kalla:swordfish@erp/books"
    runs.record_progress(run_id, "staging", source=uri)
    assert runs.fail(run_id, f"no answer from {uri}, password=swordfish \x00" + "x" * 50_000, f"staging {uri}")
    found = runs.get(run_id)
    assert found is not None and found.error_message is not None
    assert found.status == "failed" and found.completed_at is not None
    assert found.error_message.startswith("no answer from postgres://kalla:***@erp/books, password=***")
    assert len(found.error_message) == 10_000
    assert found.error_stage == "staging postgres://kalla:***@erp/books"
    assert "swordfish" not in raw()


def test_warnings_and_paths_are_masked(runs: RunStore, raw: Callable[[], str]) -> None:
    secret = {
        "warnings": ["see postgres://u:swordfish@h/d"],
        "output_paths": PATHS | {"matched": "s3://k:swordfish@b/x"},
    }
    assert runs.complete(new(runs), REPORT | secret)
    assert "swordfish" not in raw()


def test_newest_first_with_filters_and_pages(runs: RunStore) -> None:
    ids = [new(runs, f"r{n % 2}") for n in range(6)]
    runs.cancel(ids[0])
    runs.cancel(ids[3])
    everything = runs.list()
    assert [r.run_id for r in everything] == ids[::-1]
    assert [r.run_id for r in runs.list(recipe_id="r1")] == [ids[5], ids[3], ids[1]]
    assert [r.run_id for r in runs.list(status="cancelled")] == [ids[3], ids[0]]
    assert [r.run_id for r in runs.list("r1", "cancelled")] == [ids[3]]
    assert [r.run_id for r in runs.list(limit=2, offset=3)] == [ids[2], ids[1]]
    counts = [runs.count(), runs.count("r1"), runs.count(status="cancelled"), runs.count("r1", "cancelled")]
    assert [*counts, runs.count("none")] == [6, 3, 2, 1, 0]
    one = runs.get(ids[5])
    assert one is not None
    assert asdict(everything[0]).items() <= asdict(one).items()


def test_the_last_run_of_each_recipe(runs: RunStore) -> None:
    ids = [new(runs, f"r{n % 3}") for n in range(9)]
    assert {k: v.run_id for k, v in runs.last_of_recipe(["r0", "r2", "none", "r0"]).items()} == {
        "r0": ids[6],
        "r2": ids[8],
    }
    assert runs.last_of_recipe([]) == {}
    many = runs.last_of_recipe([f"r{n}" for n in range(1000)])
    assert set(many) == {"r0", "r1", "r2"}


def test_silent_runs_are_open_ones_without_a_sign_of_life(runs: RunStore) -> None:
    pending, submitted, running, ended = (new(runs) for _ in range(4))
    runs.mark_submitted(submitted)
    runs.record_progress(running, "staging")
    runs.fail(ended, "x")
    later = datetime.now(UTC) + timedelta(seconds=5)
    assert runs.open_ids() == runs.silent(later) == [pending, submitted, running]
    assert runs.silent(later - timedelta(minutes=1)) == []
    mark = datetime.now(UTC)
    runs.record_progress(running, "staging", progress=0.1)
    assert runs.silent(mark) == [pending, submitted]


def test_a_run_outlives_its_recipe_and_takes_its_progress_along(runs: RunStore, database: Database) -> None:
    run_id = new(runs, "never-saved")
    runs.record_progress(run_id, "staging")
    with database.session() as session:
        session.execute(text("DELETE FROM runs"))
        assert session.scalar(text("SELECT COUNT(*) FROM run_progress")) == 0
