"""Runs: started, listed, shown, cancelled, started again (contract 2.4).

Order of a start: everything is checked, the run is stored as ``pending``, the audit log says who asked for it, the job
is handed over, ``pending`` becomes ``submitted``. A callback that overtakes the last step finds the run all the same,
and from the hand-over on nothing fails the request: who got an error would ask again, and the run would be there twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from recipe import (
    FilterCondition,
    KallaError,
    Problem,
    Recipe,
    RecipeError,
    Source,
    check_filters,
    dump_recipe,
    local_path_of,
    parse_filters,
    parse_recipe,
    with_filters,
    with_source,
)
from webapp.context import Kalla
from webapp.errors import ServiceError
from webapp.objects import stored_upload
from webapp.services import note, utc_text
from webapp.services.addresses import check_address
from webapp.services.columns import columns_of, missing_columns
from webapp.services.credentials import SIDES, with_secrets
from webapp.services.jobs import job_of
from webapp.services.recipe_checks import check_document, resolved
from webapp.services.recipes import stored_document
from webapp.stores.run_records import RunRecord, RunSummary
from webapp.stores.runs import FINAL, OPEN

log = logging.getLogger(__name__)

STATUSES = (*OPEN, *FINAL)
_MOST_NAMES = 20  # of columns in one sentence

# --- reading -------------------------------------------------------------------------------------------


def list_runs(
    app: Kalla, recipe_id: str | None = None, status: str | None = None, limit: int = 1000, offset: int = 0
) -> list[dict[str, Any]]:
    """Runs, newest first. Raises ServiceError ``request.invalid_parameter`` for a status that there is none of."""
    if status is not None and status not in STATUSES:
        message = f"must be one of {', '.join(STATUSES)}"
        problem = Problem("status", message, "request.invalid_parameter")
        raise ServiceError(f"status {message}.", code="request.invalid_parameter", details=[problem])
    return [summary_body(summary) for summary in app.runs.list(recipe_id, status, limit, offset)]


def summary_body(summary: RunSummary) -> dict[str, Any]:
    """A run as lists of contract 2.4 have it."""
    return {
        "run_id": summary.run_id,
        "recipe_id": summary.recipe_id,
        "status": summary.status,
        "matched_count": summary.matched_count,
        "unmatched_left_count": summary.unmatched_left_count,
        "unmatched_right_count": summary.unmatched_right_count,
        "created_at": utc_text(summary.created_at),
        "updated_at": utc_text(summary.updated_at),
        "recipe_name": summary.recipe_name,
        "started_at": _time(summary.started_at),
        "completed_at": _time(summary.completed_at),
        "match_rate": _match_rate(summary),
    }


def get_run(app: Kalla, run_id: str) -> dict[str, Any]:
    """The run object, with the masked recipe that it runs. Raises ServiceError ``run.not_found``."""
    record = found_run(app, run_id)
    return {**run_body(record), "recipe_snapshot": record.recipe_snapshot}


def found_run(app: Kalla, run_id: str) -> RunRecord:
    """The record of a run. Raises ServiceError ``run.not_found``, for what is no UUID too."""
    record = app.runs.get(run_id)
    if record is None:
        raise ServiceError("This run was not found.", code="run.not_found", hint="Run History lists all runs.")
    return record


def run_body(record: RunRecord) -> dict[str, Any]:
    """The run object of contract 2.4."""
    progress = record.progress
    return {
        "run_id": record.run_id,
        "recipe_id": record.recipe_id,
        "status": record.status,
        "matched_count": record.matched_count,
        "unmatched_left_count": record.unmatched_left_count,
        "unmatched_right_count": record.unmatched_right_count,
        "output_matched": record.output_matched,
        "output_unmatched_left": record.output_unmatched_left,
        "output_unmatched_right": record.output_unmatched_right,
        "error_message": record.error_message,
        "created_at": utc_text(record.created_at),
        "updated_at": utc_text(record.updated_at),
        "latest_progress": None
        if progress is None
        else {
            "stage": progress.stage,
            "source": progress.source,
            "progress": progress.progress,
            "matched_count": progress.matched_count,
            "total_left": progress.total_left,
            "total_right": progress.total_right,
            "waiting": progress.waiting,
            "updated_at": utc_text(progress.updated_at),
        },
        "recipe_name": record.recipe_name,
        "started_at": _time(record.started_at),
        "completed_at": _time(record.completed_at),
        "error_stage": record.error_stage,
        "left_source": record.left_source,
        "right_source": record.right_source,
        "left_record_count": record.left_record_count,
        "right_record_count": record.right_record_count,
        "matched_left_count": record.matched_left_count,
        "matched_right_count": record.matched_right_count,
        "match_rate": _match_rate(record),
        "warnings": record.warnings,
        "retry_of": record.retry_of,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else utc_text(moment)


def _match_rate(record: RunRecord | RunSummary) -> float | None:
    if record.status != "completed" or record.left_record_count == 0:
        return None
    return record.matched_left_count / record.left_record_count


def file_sides(document: Mapping[str, Any]) -> list[str]:
    """The sides of a recipe document that ask for an uploaded file with every run."""
    return [side for side in SIDES if document["sources"][side]["type"] == "file"]


# --- starting ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Given:
    """What a request says about one side of its run. None means: as the recipe has it."""

    path: str
    uri: str | None
    filters: tuple[FilterCondition, ...] | None
    is_disposable: bool  # the recipe asks for a file with every run


def submit(app: Kalla, body: Mapping[str, Any]) -> dict[str, Any]:
    """Start a run of a stored or an inline recipe; ``{"run_id", "status": "submitted"}``.

    Raises ServiceError and RecipeError with the codes of contract 2.4. When the job cannot be handed over, the run is
    there as ``failed`` and the details of ``run.dispatch_failed`` name it.
    """
    recipe = _wanted_recipe(app, body)
    given = _given(recipe, body.get("resolved_sources"))
    for side in SIDES:
        recipe = _with_given(app, recipe, side, given.get(side))
    run_id = _start(app, resolved(app, recipe), given, "run.submit")
    return {"run_id": run_id, "status": "submitted"}


def retry(app: Kalla, run_id: str) -> dict[str, Any]:
    """Start a finished run again: same recipe, same addresses and filters, under a new id.

    Secrets come from the stored recipe and the registered sources. Raises ServiceError ``run.not_found``,
    ``run.not_final`` (409), and as ``submit``.
    """
    record = found_run(app, run_id)
    if record.status not in FINAL:
        raise ServiceError(
            "This run is still open.", code="run.not_final", status=409, hint="Wait for its end, or cancel it first."
        )
    recipe = parse_recipe(record.recipe_snapshot).require()
    again = _start(app, resolved(app, recipe), {}, "run.retry", record.run_id)
    return {"run_id": again, "status": "submitted", "retry_of": record.run_id}


def cancel(app: Kalla, run_id: str) -> dict[str, Any]:
    """Cancel an open run. The runner is told; when it cannot be, its later reports are ignored all the same.

    Raises ServiceError ``run.not_found``, ``run.final``.
    """
    record = found_run(app, run_id)
    if not app.runs.cancel(record.run_id):
        raise ServiceError("This run has already ended.", code="run.final", hint="There is nothing left to cancel.")
    note(app, "run.cancel", record.run_id, recipe_id=record.recipe_id)
    answer = {"run_id": record.run_id, "status": "cancelled"}
    told = _tell_runner(app, record.run_id)
    return answer if told else {**answer, "warning": "The runner could not be told; what it still reports is ignored."}


def _tell_runner(app: Kalla, run_id: str) -> bool:
    try:
        app.dispatcher.cancel(run_id)
    except ServiceError as error:
        log.warning("the runner could not be told to stop run %s: %s", run_id, error.code)
        return False
    return True


def _wanted_recipe(app: Kalla, body: Mapping[str, Any]) -> Recipe:
    inline, recipe_id = body.get("recipe"), body.get("recipe_id")
    if inline is not None:
        return check_document(app, inline).require()
    if recipe_id is None:
        raise ServiceError("A run needs a recipe.", code="run.recipe_required", hint="Send recipe_id or recipe.")
    if not isinstance(recipe_id, str):
        raise _invalid_body([Problem("recipe_id", "must be text", "request.invalid_body")])
    return check_document(app, stored_document(app, recipe_id)).require()


def _invalid_body(problems: list[Problem]) -> ServiceError:
    sentence = "; ".join(f"{p.path} {p.message}" for p in problems)
    return ServiceError(f"The body cannot be used: {sentence}.", code="request.invalid_body", details=problems)


def _given(recipe: Recipe, value: object) -> dict[str, Given]:
    """What ``resolved_sources`` says, by side; its form is checked in full first."""
    entries = [] if value is None else value
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise _invalid_body([Problem("resolved_sources", "must be a list of objects", "request.invalid_body")])
    found: dict[str, Given] = {}
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        path = f"resolved_sources[{index}]"
        side = _side_of(recipe, entry.get("alias"), path, problems)
        uri = entry.get("uri")
        if uri is not None and not isinstance(uri, str):
            problems.append(Problem(f"{path}.uri", "must be text", "request.invalid_body"))
        if uri is None and entry.get("filters") is None:
            problems.append(Problem(f"{path}.uri", "is missing", "request.invalid_body"))
        if side in found:
            problems.append(Problem(f"{path}.alias", "names a side that was named before", "request.invalid_body"))
        if side is not None and not problems:
            filters = _filters(entry.get("filters"), f"{path}.filters")
            found[side] = Given(path, uri, filters, getattr(recipe.sources, side).type == "file")
    if problems:
        raise _invalid_body(problems)
    return found


def _side_of(recipe: Recipe, alias: object, path: str, problems: list[Problem]) -> str | None:
    if not isinstance(alias, str):
        problems.append(Problem(f"{path}.alias", "must be text", "request.invalid_body"))
        return None
    left, right = recipe.sources.left.alias, recipe.sources.right.alias
    sides = {} if left == right else {left: "left", right: "right"}
    sides |= {"left_src": "left", "right_src": "right"}
    if alias not in sides:
        known = ", ".join(sorted(sides))
        detail = Problem(f"{path}.alias", f"must be one of {known}", "run.unknown_alias")
        raise ServiceError(
            f"The recipe has no source '{alias[:255]}'.",
            code="run.unknown_alias",
            hint=f"Use one of {known}.",
            details=[detail],
        )
    return sides[alias]


def _filters(value: object, path: str) -> tuple[FilterCondition, ...] | None:
    if value is None:
        return None
    checked = parse_filters(value, path)
    _refuse_filters(list(checked.problems))
    return checked.filters


def _refuse_filters(problems: list[Problem]) -> None:
    if problems:
        first = problems[0]
        raise ServiceError(f"{first.path}: {first.message}.", code=first.code, details=problems)


def _with_given(app: Kalla, recipe: Recipe, side: str, given: Given | None) -> Recipe:
    """The recipe with one side's address and filters of this run."""
    source: Source = getattr(recipe.sources, side)
    if source.type == "file":
        uri = None if given is None else given.uri
        if uri is None or stored_upload(app.settings, uri) is None:
            raise _file_required(side, source.alias)
    if given is None:
        return recipe
    if given.uri is not None:
        try:
            recipe = with_source(recipe, side, given.uri)
        except RecipeError as error:
            detail = Problem(f"{given.path}.uri", error.message, error.code)
            raise ServiceError(error.message, code=error.code, hint=error.hint, details=[detail]) from None
    return recipe if given.filters is None else with_filters(recipe, side, given.filters)


def _file_required(side: str, alias: str) -> ServiceError:
    return ServiceError(
        f"The {side} source '{alias}' is a file that has to be uploaded for each run.",
        code="run.file_required",
        hint=f"Upload it and send its s3_uri in resolved_sources with the alias {side}_src.",
        details=[Problem(f"sources.{side}", "needs an uploaded file", "run.file_required")],
    )


def _start(app: Kalla, recipe: Recipe, given: Mapping[str, Given], action: str, retry_of: str | None = None) -> str:
    """Check a recipe whose sides have their addresses, store the run, note the action, hand over the job; the run's
    id."""
    recipe, masked = with_secrets(app, recipe)
    if masked:
        raise ServiceError(masked[0].message, code=masked[0].code, details=masked)
    for side in SIDES:
        _check_side(app, recipe, side, given.get(side))
    run_id = str(uuid4())
    sources = recipe.sources
    app.runs.insert(
        run_id=run_id,
        recipe_id=recipe.recipe_id,
        recipe_name=recipe.name,
        snapshot=dump_recipe(recipe, mask=True),
        left_source=sources.left.alias,
        right_source=sources.right.alias,
        retry_of=retry_of,
    )
    again = {} if retry_of is None else {"retry_of": retry_of}
    note(app, action, run_id, recipe_id=recipe.recipe_id, **again)
    _dispatch(app, recipe, run_id)
    return run_id


def _check_side(app: Kalla, recipe: Recipe, side: str, given: Given | None) -> None:
    """The address, and of an uploaded file its columns. Databases are reached by the run itself."""
    source: Source = getattr(recipe.sources, side)
    uri = source.uri or ""
    address = check_address(app, source.type, uri)
    path = f"sources.{side}.filters" if given is None or given.filters is None else f"{given.path}.filters"
    if stored_upload(app.settings, uri) is None:
        if source.filters and local_path_of(address) is not None:
            _check_filters_of_file(app, source, path)
        return
    schema = columns_of(app, source)
    missing = missing_columns(source, schema, is_disposable=given is not None and given.is_disposable)
    if missing:
        raise _mismatch(side, source, missing, [column.name for column in schema])
    _refuse_filters(check_filters(source.filters, schema, path))


def _check_filters_of_file(app: Kalla, source: Source, path: str) -> None:
    """A file on this machine is quickly looked at; one that cannot be read now is the run's to tell."""
    try:
        schema = columns_of(app, source)
    except KallaError:
        return
    _refuse_filters(check_filters(source.filters, schema, path))


def _mismatch(side: str, source: Source, missing: list[dict[str, Any]], there: list[str]) -> ServiceError:
    """The missing columns, each with the nearest names that are there, and the ones that nobody asked for."""
    names = ", ".join(f"'{item['column']}'" for item in missing)
    details = []
    for item in missing:
        near = item["suggestions"]
        message = f"column '{item['column']}' is missing" + (f"; did you mean '{near[0]}'?" if near else "")
        details.append({"path": f"sources.{side}.schema", "message": message, "code": "run.schema_mismatch", **item})
    return ServiceError(
        f"The file for the {side} source '{source.alias}' lacks {names}.",
        code="run.schema_mismatch",
        hint=f"Upload a file with these column names.{_surplus(source, there)}",
        details=details,
    )


def _surplus(source: Source, there: list[str]) -> str:
    known = {*(source.schema_columns or ()), *source.primary_key}
    names = [f"'{name}'" for name in there if name not in known]
    if not names:
        return ""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f" Besides, it has {', '.join(names[:_MOST_NAMES])}{more}."


def _dispatch(app: Kalla, recipe: Recipe, run_id: str) -> None:
    try:
        app.dispatcher.submit(job_of(recipe, run_id, app.settings))
    except KallaError as error:
        app.runs.fail(run_id, f"{error.message} {error.hint}".strip(), "dispatch")
        named = {"path": "run_id", "message": run_id, "code": "run.dispatch_failed", "run_id": run_id}
        raise ServiceError(
            error.message,
            code="run.dispatch_failed",
            hint=error.hint,
            details=[named, *error.details],
            headers=error.headers if isinstance(error, ServiceError) else None,
        ) from None
    try:
        _note_hand_over(app, run_id)
    except KallaError as error:
        # The runner has the job. An error now would make people start it a second time; the run's own reports, or the
        # sweeper, bring its status up to date.
        log.warning("A run was handed over, but this could not be noted.", extra={"run_id": run_id, "code": error.code})


def _note_hand_over(app: Kalla, run_id: str) -> None:
    if not app.runs.mark_submitted(run_id):
        record = app.runs.get(run_id)
        if record is not None and record.status in ("cancelled", "failed"):
            _tell_runner(app, run_id)  # it was ended before the runner had it
