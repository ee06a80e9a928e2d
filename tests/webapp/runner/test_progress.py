"""What people are told of a run's events."""

from __future__ import annotations

from typing import Any

from webapp.runner.progress import Tracker

SIDES = {"ledger": "left_src", "bank": "right_src"}


def told(events: list[dict[str, Any]], sides: dict[str, str] = SIDES) -> list[dict[str, Any]]:
    tracker = Tracker("r", sides, 2)
    found = []
    for event in events:
        tracker.take(event)
        found.append({k: v for k, v in tracker.body().items() if k != "run_id"})
    return found


def begun(source: str) -> dict[str, Any]:
    return {"event": "progress", "stage": "staging", "source": source, "progress": 0.0}


def staged(source: str) -> dict[str, Any]:
    return {"event": "staged", "source": source, "rows": 5}


def side(name: str, source: str, rows: int) -> dict[str, Any]:
    return {"event": "side", "side": name, "source": source, "rows": rows}


MATCHING = {"event": "progress", "stage": "matching", "source": None, "progress": 0.0}


def test_a_whole_run():
    events = [
        {"event": "planned", "strategy": "local"}, begun("ledger"), staged("ledger"), begun("ledger"), staged("ledger"),
        begun("bank"), staged("bank"), side("l", "ledger", 10), side("r", "bank", 5), MATCHING,
        {"event": "pairs", "matched_count": 4, "chunks": 2}, {"event": "chunk", "rows": 5},
        {"event": "chunk", "rows": 10},
    ]  # fmt: skip
    totals = {"total_left": 10, "total_right": 5}
    done = {"stage": "writing_results", "matched_count": 4, **totals}
    assert told(events) == [
        {"stage": "staging", "progress": 0.0},
        {"stage": "staging", "progress": 0.0, "source": "left_src"},
        {"stage": "staging", "progress": 0.5, "source": "left_src"},
        {"stage": "staging", "progress": 0.5, "source": "left_src"},
        {"stage": "staging", "progress": 1.0, "source": "left_src"},
        {"stage": "staging", "progress": 0.0, "source": "right_src"},
        {"stage": "staging", "progress": 0.5, "source": "right_src"},
        {"stage": "staging", "progress": 1.0, "source": "left_src", "total_left": 10},
        {"stage": "staging", "progress": 1.0, "source": "right_src", **totals},
        {"stage": "matching", "progress": 0.0, **totals},
        {**done, "progress": 0.0},
        {**done, "progress": 0.5},
        {**done, "progress": 1.0},
    ]


def test_one_name_for_both_sides():
    events = [begun("t"), staged("t"), begun("t"), begun("t"), staged("t"), side("l", "t", 1), side("r", "t", 1)]
    found = told(events, {})
    assert [f["progress"] for f in found] == [0.0, 0.25, 0.25, 0.25, 0.5, 1.0, 1.0]
    assert [f.get("source") for f in found] == [None] * 5 + ["left_src", "right_src"]


def test_nothing_to_write():
    assert told([MATCHING, {"event": "pairs", "matched_count": 0, "chunks": 0}])[-1]["progress"] == 1.0


def test_late_staging_steps_take_nothing_back():
    assert told([MATCHING, staged("ledger"), begun("bank")])[-1] == {"stage": "matching", "progress": 0.0}


def test_waiting_for_a_cluster_lasts_until_work_goes_on():
    """Also where a job that had begun lost its place and is submitted again."""
    waiting = {"event": "waiting"}
    found = told([{"event": "planned"}, waiting, begun("ledger"), MATCHING, waiting, MATCHING])
    assert [f.get("waiting", False) for f in found] == [False, True, False, False, True, False]
    assert [f["stage"] for f in found] == ["staging"] * 3 + ["matching"] * 3


def test_times_of_stages():
    tracker = Tracker("r", SIDES, 2)
    assert tracker.take(MATCHING) and not tracker.take(MATCHING)
    tracker.finish()
    assert set(tracker.seconds) == {"staging", "matching"} and all(s >= 0 for s in tracker.seconds.values())
