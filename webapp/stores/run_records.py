"""What the run store hands out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.db.models import Run, RunProgress


@dataclass(frozen=True)
class ProgressRecord:
    """The latest report of a run; numbers nobody has reported yet are None."""

    stage: str
    source: str | None
    progress: float | None
    matched_count: int | None
    total_left: int | None
    total_right: int | None
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


def record_of(run: Run, progress: RunProgress | None, snapshot: dict[str, Any]) -> RunRecord:
    """The record of a row; ``snapshot`` apart, because lists leave it in the database."""
    return RunRecord(
        run_id=str(run.id),
        recipe_id=run.recipe_id,
        recipe_name=run.recipe_name,
        recipe_snapshot=snapshot,
        status=run.status,
        left_source=run.left_source,
        right_source=run.right_source,
        left_record_count=run.left_record_count,
        right_record_count=run.right_record_count,
        matched_count=run.matched_count,
        unmatched_left_count=run.unmatched_left_count,
        unmatched_right_count=run.unmatched_right_count,
        matched_left_count=run.matched_left_count,
        matched_right_count=run.matched_right_count,
        output_matched=run.output_matched,
        output_unmatched_left=run.output_unmatched_left,
        output_unmatched_right=run.output_unmatched_right,
        warnings=run.warnings,
        error_message=run.error_message,
        error_stage=run.error_stage,
        started_at=run.started_at,
        completed_at=run.completed_at,
        last_callback_at=run.last_callback_at,
        created_at=run.created_at,
        updated_at=run.updated_at,
        progress=None if progress is None else _progress_of(progress),
        retry_of=None if run.retry_of is None else str(run.retry_of),
    )


def _progress_of(row: RunProgress) -> ProgressRecord:
    return ProgressRecord(
        stage=row.stage,
        source=row.source,
        progress=row.progress,
        matched_count=row.matched_count,
        total_left=row.total_left,
        total_right=row.total_right,
        updated_at=row.updated_at,
    )
