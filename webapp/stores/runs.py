"""Runs and the one way their status goes: pending, submitted, running, then a final one that stays.

Each change is one UPDATE that names the statuses it may start from, so that of two that come at the same time
exactly one wins.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Update,
    bindparam,
    case,
    column,
    func,
    select,
    update,
    values,
)
from sqlalchemy.orm import Session

from recipe import mask_text, mask_uri
from webapp.db.database import Database
from webapp.db.models import STAGES, Run, RunProgress, now
from webapp.db.statements import Insert, changed, insert_or_update
from webapp.errors import ServiceError
from webapp.stores.counts import counts
from webapp.stores.masking import mask_all, mask_recipe
from webapp.stores.run_records import (
    PROGRESS_COLUMNS,
    RUN_COLUMNS,
    SUMMARY_COLUMNS,
    RunRecord,
    RunSummary,
    record_of,
    summary_of,
)
from webapp.stores.vault import Vault

OPEN = ("pending", "submitted", "running")
FINAL = ("completed", "failed", "cancelled")
MAX_ERROR_CHARACTERS = 10_000
_LARGEST = 2**63 - 1
_Rows = Select[*tuple[Any, ...]]
_RUNS, _PROGRESS = Run.__table__, RunProgress.__table__
_ONE: _Rows = (
    select(*RUN_COLUMNS, *PROGRESS_COLUMNS)
    .select_from(_RUNS.outerjoin(_PROGRESS, _PROGRESS.c.run_id == _RUNS.c.id))
    .where(_RUNS.c.id == bindparam("run_id"))
)


def _filtered(statement: _Rows, by: Collection[str]) -> _Rows:
    """The statement with the value of each of these columns as a parameter of its name."""
    return statement.where(*(_RUNS.c[name] == bindparam(name) for name in by))


def _newest(by: Collection[str]) -> _Rows:
    ordered = select(*SUMMARY_COLUMNS).order_by(_RUNS.c.created_at.desc(), _RUNS.c.id.desc())
    return _filtered(ordered, by).limit(bindparam("limit")).offset(bindparam("offset"))


# Statements are built once: building and comparing one takes longer than SQLite takes to answer it.
_FILTERS: tuple[tuple[str, ...], ...] = ((), ("recipe_id",), ("status",), ("recipe_id", "status"))
_LISTS = {by: _newest(by) for by in _FILTERS}
_COUNTS = {by: _filtered(select(func.count()).select_from(_RUNS), by) for by in _FILTERS}


def _asked(recipe_id: str | None, status: str | None) -> dict[str, Any]:
    given = {"recipe_id": recipe_id, "status": status}
    return {name: value for name, value in given.items() if value is not None}


class RunStore:
    """Runs by run_id. An id that is no UUID is treated like an unknown one."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database

    def insert(
        self,
        run_id: str,
        recipe_id: str,
        recipe_name: str,
        snapshot: Mapping[str, Any],
        left_source: str,
        right_source: str,
        retry_of: str | None = None,
    ) -> None:
        """A new run, ``pending``. The addresses in ``snapshot`` are masked here once more."""
        moment = now()
        run = Run(
            id=uuid.UUID(run_id),
            recipe_id=recipe_id,
            recipe_name=recipe_name,
            recipe_snapshot=mask_recipe(snapshot),
            left_source=left_source,
            right_source=right_source,
            retry_of=None if retry_of is None else uuid.UUID(retry_of),
            created_at=moment,
            updated_at=moment,
        )
        with self._database.session() as session:
            session.add(run)

    def get(self, run_id: str) -> RunRecord | None:
        """The run with its latest progress, None when there is none."""
        key = _key(run_id)
        if key is None:
            return None
        with self._database.reading() as connection:
            row = connection.execute(_ONE, {"run_id": key}).one_or_none()
        return None if row is None else record_of(row)

    def count(self, recipe_id: str | None = None, status: str | None = None) -> int:
        """How many runs ``list`` would find without a limit."""
        if recipe_id is None:
            kept = counts(self._database)
            return kept.runs if status is None else kept.runs_by_status.get(status, 0)
        asked = _asked(recipe_id, status)
        with self._database.reading() as connection:
            return int(connection.execute(_COUNTS[tuple(asked)], asked).scalar_one())

    def mark_submitted(self, run_id: str) -> bool:
        """From ``pending`` only; False when the run is already further or unknown."""
        return self._move(run_id, ("pending",), status="submitted")

    def record_progress(
        self,
        run_id: str,
        stage: str,
        source: str | None = None,
        progress: float | None = None,
        matched_count: int | None = None,
        total_left: int | None = None,
        total_right: int | None = None,
        waiting: bool = False,
    ) -> bool:
        """Store a report and set the run ``running``. Numbers left out keep their stored value, the rest does not.

        False, and nothing stored, when the run is final or unknown or has reported a later stage.
        Raises ServiceError ``callback.invalid`` for a stage or number that cannot be stored.
        """
        numbers = {"matched_count": matched_count, "total_left": total_left, "total_right": total_right}
        report = {name: None if value is None else _whole(name, value) for name, value in numbers.items()}
        key, moment = _key(run_id), now()
        if key is None:
            return False
        name = None if source is None else mask_text(source)
        given = {"stage": _stage(stage), "source": name, "progress": _fraction(progress), **report}
        given["waiting"] = waiting
        with self._database.session(writes=True) as session:
            running = _from(key, OPEN).values(
                status="running",
                started_at=func.coalesce(Run.started_at, moment),
                last_callback_at=moment,
                updated_at=moment,
            )
            # The update holds the run's row, so no other report gets between the two statements.
            stored = changed(session, running) and _store_progress(session, key, given, moment)
            if not stored:
                session.rollback()
            return stored

    def complete(self, run_id: str, report: Mapping[str, Any]) -> bool:
        """Store the figures of the runner's report and set the run ``completed``; False when it is final or unknown.

        Raises ServiceError ``callback.invalid`` for figures that are none.
        """
        return self._move(run_id, OPEN, status="completed", last_callback_at=now(), **_figures(report))

    def fail(self, run_id: str, error: str, stage: str | None = None) -> bool:
        """Set the run ``failed``; False when it is final or unknown. Secrets in ``error`` are masked."""
        message = mask_text(error)[:MAX_ERROR_CHARACTERS]
        place = None if stage is None else mask_text(stage)
        return self._move(run_id, OPEN, status="failed", error_message=message, error_stage=place)

    def cancel(self, run_id: str) -> bool:
        """Set the run ``cancelled``; False when it is final or unknown."""
        return self._move(run_id, OPEN, status="cancelled")

    def silent(self, before: datetime) -> list[str]:
        """Open runs whose last sign of life is older than ``before``, oldest first."""
        sign_of_life = func.coalesce(Run.last_callback_at, Run.updated_at)
        return self._ids(select(Run.id).where(Run.status.in_(OPEN), sign_of_life < before).order_by(Run.created_at))

    def open_ids(self) -> list[str]:
        """Runs that are not final, oldest first."""
        return self._ids(select(Run.id).where(Run.status.in_(OPEN)).order_by(Run.created_at))

    def last_of_recipe(self, recipe_ids: Collection[str]) -> dict[str, RunSummary]:
        """The newest run of each of these recipes that has one, as ``list`` gives them."""
        if not recipe_ids:
            return {}
        wanted = values(column("recipe_id", String), name="wanted").data([(name,) for name in set(recipe_ids)])
        names = wanted.cte("wanted")
        newest = (
            select(Run.id)
            .where(Run.recipe_id == names.c.recipe_id)
            .order_by(Run.created_at.desc(), Run.id.desc())
            .limit(1)
            .correlate(names)
            .scalar_subquery()
        )
        statement = select(*SUMMARY_COLUMNS).where(_RUNS.c.id.in_(select(newest).select_from(names)))
        with self._database.reading() as connection:
            found = [summary_of(row) for row in connection.execute(statement)]
        return {summary.recipe_id: summary for summary in found}

    def _move(self, run_id: str, allowed: Collection[str], **changes: Any) -> bool:
        key, moment = _key(run_id), now()
        if key is None:
            return False
        if changes["status"] in FINAL:
            changes["completed_at"] = moment
        with self._database.session() as session:
            return changed(session, _from(key, allowed).values(updated_at=moment, **changes))

    def _ids(self, statement: Select[uuid.UUID]) -> list[str]:
        with self._database.session() as session:
            return [str(key) for key in session.scalars(statement)]

    def list(
        self, recipe_id: str | None = None, status: str | None = None, limit: int = 1000, offset: int = 0
    ) -> list[RunSummary]:
        """Newest first."""
        asked = _asked(recipe_id, status)
        with self._database.reading() as connection:
            rows = connection.execute(_LISTS[tuple(asked)], {"limit": limit, "offset": offset, **asked})
            return [summary_of(row) for row in rows]


def _key(run_id: str) -> uuid.UUID | None:
    try:
        key = uuid.UUID(run_id)
    except ValueError:
        return None
    return key if str(key) == run_id.lower() else None


def _from(key: uuid.UUID, allowed: Collection[str]) -> Update:
    return update(Run).where(Run.id == key, Run.status.in_(allowed))


def _store_progress(session: Session, key: uuid.UUID, given: Mapping[str, Any], moment: datetime) -> bool:
    def changes(statement: Insert) -> dict[str, Any]:
        new = statement.excluded
        numbers = ("progress", "matched_count", "total_left", "total_right")
        kept = {name: func.coalesce(new[name], getattr(RunProgress, name)) for name in numbers}
        taken = {name: new[name] for name in ("stage", "source", "waiting", "updated_at")}
        return {**taken, **kept}

    def not_earlier(statement: Insert) -> ColumnElement[bool]:
        return _rank(RunProgress.stage) <= _rank(statement.excluded.stage)

    report = {"run_id": key, "updated_at": moment, **given}
    return insert_or_update(session, RunProgress, report, "run_id", changes, not_earlier)


def _rank(stage: Any) -> ColumnElement[int]:
    return case({name: place for place, name in enumerate(STAGES)}, value=stage)


def _figures(report: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        name: _whole(name, report[name]) for name in ("matched_count", "unmatched_left_count", "unmatched_right_count")
    }
    for side in ("left", "right"):
        if report.get(f"{side}_record_count") is not None:
            records = _whole(f"{side}_record_count", report[f"{side}_record_count"])
            counts[f"{side}_record_count"] = records
            counts[f"matched_{side}_count"] = _whole(
                f"{side}_record_count less unmatched_{side}_count", records - counts[f"unmatched_{side}_count"]
            )
    paths = report["output_paths"]
    outputs = {f"output_{name}": mask_uri(paths[name]) for name in ("matched", "unmatched_left", "unmatched_right")}
    return {**counts, **outputs, "warnings": mask_all(report.get("warnings") or [])}


def _stage(stage: str) -> str:
    if stage not in STAGES:
        raise _invalid("stage", f"must be one of {', '.join(STAGES)}")
    return stage


def _fraction(value: float | None) -> float | None:
    number = None if value is None else float(value)
    if number is not None and not 0 <= number <= 1:
        raise _invalid("progress", "must be a number from 0 to 1")
    return number


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise _invalid(name, "must be a whole number, not negative")
    return value


def _invalid(name: str, message: str) -> ServiceError:
    problem = {"path": name, "message": message, "code": "callback.invalid"}
    return ServiceError(f"{name}: {message}.", code="callback.invalid", details=[problem])
