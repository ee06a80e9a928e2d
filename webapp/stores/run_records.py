"""What the run store hands out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from webapp.db.models import Run, RunProgress
from webapp.stores.documents import in_order


@dataclass(frozen=True)
class ProgressRecord:
    """The latest report of a run; numbers nobody has reported yet are None. ``waiting``: for room on the cluster."""

    stage: str
    source: str | None
    progress: float | None
    matched_count: int | None
    total_left: int | None
    total_right: int | None
    waiting: bool
    updated_at: datetime


@dataclass(frozen=True)
class RunRecord:
    """One run. Addresses in ``recipe_snapshot``, ``warnings`` and ``error_message`` are masked; times are in UTC."""

    run_id: str
    recipe_id: str
    recipe_name: str
    recipe_snapshot: dict[str, Any]
    status: str
    left_source: str
    right_source: str
    left_record_count: int
    right_record_count: int
    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    matched_left_count: int
    matched_right_count: int
    output_matched: str | None
    output_unmatched_left: str | None
    output_unmatched_right: str | None
    warnings: list[Any]
    error_message: str | None
    error_stage: str | None
    started_at: datetime | None
    completed_at: datetime | None
    last_callback_at: datetime | None
    created_at: datetime
    updated_at: datetime
    progress: ProgressRecord | None
    retry_of: str | None


@dataclass(frozen=True)
class RunSummary:
    """What lists show of a run. The recipe that it ran stays in the database: a thousand would weigh megabytes."""

    run_id: str
    recipe_id: str
    recipe_name: str
    status: str
    matched_count: int
    unmatched_left_count: int
    unmatched_right_count: int
    left_record_count: int
    matched_left_count: int
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


_RUN, _PROGRESS = Run.__table__.c, RunProgress.__table__.c
_REPORTED = ("stage", "source", "progress", "matched_count", "total_left", "total_right", "waiting", "updated_at")
# Columns of the two tables in the order of the records: ``run_id`` is the run's id, ``progress`` the report's columns.
RUN_COLUMNS = [_RUN["id" if f.name == "run_id" else f.name] for f in fields(RunRecord) if f.name != "progress"]
PROGRESS_COLUMNS = [_PROGRESS[name] for name in _REPORTED]
SUMMARY_COLUMNS = [_RUN["id" if f.name == "run_id" else f.name] for f in fields(RunSummary)]
_NAMES = [f.name for f in fields(RunRecord) if f.name != "progress"]


def record_of(row: Sequence[Any]) -> RunRecord:
    """The record of a row of ``RUN_COLUMNS`` and ``PROGRESS_COLUMNS``; without a report those are all None."""
    given = dict(zip(_NAMES, row, strict=False))
    reported = row[len(_NAMES) :]
    return RunRecord(
        **given
        | {
            "run_id": str(given["run_id"]),
            "recipe_snapshot": in_order(given["recipe_snapshot"]),
            "retry_of": None if given["retry_of"] is None else str(given["retry_of"]),
            "progress": None if reported[0] is None else ProgressRecord(*reported),
        }
    )


def summary_of(row: Sequence[Any]) -> RunSummary:
    """The summary of a row of ``SUMMARY_COLUMNS``."""
    return RunSummary(str(row[0]), *row[1:])
