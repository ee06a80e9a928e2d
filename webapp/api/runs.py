"""Runs: /api/runs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from webapp.context import kalla
from webapp.services import runs
from webapp.services.run_events import events
from webapp.web import schemas
from webapp.web.described import PAGING, Query, describe
from webapp.web.requests import json_body, limit_and_offset

blueprint = Blueprint("runs", __name__)

_STATUS = schemas.one_of(*runs.STATUSES)
_RATE = schemas.nullable(schemas.NUMBER | {"minimum": 0, "maximum": 1})
_SUMMARY = {
    "run_id": schemas.UUID,
    "recipe_id": schemas.TEXT,
    "status": _STATUS,
    "matched_count": schemas.COUNT,
    "unmatched_left_count": schemas.COUNT,
    "unmatched_right_count": schemas.COUNT,
    "created_at": schemas.TIME,
    "updated_at": schemas.TIME,
    "recipe_name": schemas.TEXT,
    "started_at": schemas.nullable(schemas.TIME),
    "completed_at": schemas.nullable(schemas.TIME),
    "match_rate": _RATE,
}
_PROGRESS = schemas.record(
    {
        "stage": schemas.one_of("staging", "matching", "writing_results"),
        "source": schemas.nullable(schemas.TEXT),
        "progress": _RATE,
        "matched_count": schemas.nullable(schemas.COUNT),
        "total_left": schemas.nullable(schemas.COUNT),
        "total_right": schemas.nullable(schemas.COUNT),
        "waiting": schemas.FLAG,
        "updated_at": schemas.TIME,
    }
)
_RUN = schemas.record(
    _SUMMARY
    | {
        "output_matched": schemas.nullable(schemas.TEXT),
        "output_unmatched_left": schemas.nullable(schemas.TEXT),
        "output_unmatched_right": schemas.nullable(schemas.TEXT),
        "error_message": schemas.nullable(schemas.TEXT),
        "error_stage": schemas.nullable(schemas.TEXT),
        "latest_progress": schemas.nullable(_PROGRESS),
        "left_source": schemas.TEXT,
        "right_source": schemas.TEXT,
        "left_record_count": schemas.COUNT,
        "right_record_count": schemas.COUNT,
        "matched_left_count": schemas.COUNT,
        "matched_right_count": schemas.COUNT,
        "warnings": schemas.listed(schemas.ANY),
    },
    {"retry_of": schemas.nullable(schemas.UUID), "recipe_snapshot": schemas.OBJECT},
)
_GIVEN = schemas.record(
    {"alias": schemas.FILLED}, {"uri": schemas.FILLED, "filters": schemas.listed(schemas.CONDITION)}
)
_STARTED = schemas.record({"run_id": schemas.UUID, "status": _STATUS})
_START_ERRORS = (
    "recipe.invalid",
    "run.file_required",
    "run.schema_mismatch",
    "run.source_missing",
    "source.masked_credentials",
    "source.path_forbidden",
    "source.host_forbidden",
    "filter.unknown_column",
    "filter.unknown_op",
    "filter.invalid_value",
    "upload.not_found",
    "run.dispatch_failed",
)


@blueprint.get("/api/runs")
@describe(
    "Runs",
    tag="Runs",
    query=(Query("recipe_id", schemas.TEXT), Query("status", _STATUS), *PAGING),
    response=schemas.listed(schemas.record(_SUMMARY)),
    errors=("request.invalid_parameter",),
)
def list_runs() -> list[dict[str, Any]]:
    """Newest first, of one recipe or status where that is asked for."""
    limit, offset = limit_and_offset()
    return runs.list_runs(kalla(), request.args.get("recipe_id"), request.args.get("status"), limit, offset)


@blueprint.post("/api/runs")
@describe(
    "Start a run",
    tag="Runs",
    description=(
        "Of a stored recipe, or of the one sent along, which wins. resolved_sources gives a side another address or "
        "other filters for this run; sources of type file need one. When the job cannot be handed over, the run stays "
        "as failed and the details name it."
    ),
    request=schemas.record(
        {},
        {"recipe_id": schemas.FILLED, "recipe": schemas.RECIPE, "resolved_sources": schemas.listed(_GIVEN)},
    ),
    response=_STARTED,
    errors=(
        "request.malformed_json",
        "request.invalid_body",
        "recipe.not_found",
        "run.recipe_required",
        "run.unknown_alias",
        *_START_ERRORS,
    ),
)
def submit() -> dict[str, Any]:
    """The new run's id."""
    return runs.submit(kalla(), json_body())


@blueprint.get("/api/runs/<run_id>")
@describe("One run", tag="Runs", response=_RUN, path={"run_id": schemas.UUID}, errors=("run.not_found",))
def get_run(run_id: str) -> dict[str, Any]:
    """The run object, with the masked recipe that it runs."""
    return runs.get_run(kalla(), run_id)


@blueprint.post("/api/runs/<run_id>/cancel")
@describe(
    "Cancel a run",
    tag="Runs",
    description="The runner is told to stop; what it still reports is ignored.",
    response=schemas.record({"run_id": schemas.UUID, "status": _STATUS}, {"warning": schemas.TEXT}),
    path={"run_id": schemas.UUID},
    errors=("run.not_found", "run.final"),
)
def cancel(run_id: str) -> dict[str, Any]:
    """Only open runs can be cancelled."""
    return runs.cancel(kalla(), run_id)


@blueprint.post("/api/runs/<run_id>/retry")
@describe(
    "Start a finished run again",
    tag="Runs",
    description="Same recipe, addresses and filters, under a new id. Passwords come from where they are stored now.",
    response=schemas.record({"run_id": schemas.UUID, "status": _STATUS, "retry_of": schemas.UUID}),
    path={"run_id": schemas.UUID},
    errors=("run.not_found", "run.not_final", *_START_ERRORS),
)
def retry(run_id: str) -> dict[str, Any]:
    """The new run's id."""
    return runs.retry(kalla(), run_id)


@blueprint.get("/api/runs/<run_id>/events")
@describe(
    "A run as it changes",
    tag="Runs",
    description=(
        "Server-Sent Events: event run holds the run object whenever it has changed, event end closes a finished run. "
        "A stream lasts ten minutes at most; browsers ask again by themselves."
    ),
    response=schemas.TEXT,
    media=("text/event-stream",),
    path={"run_id": schemas.UUID},
    errors=("run.not_found",),
)
def run_events(run_id: str) -> Response:
    """A stream of events."""
    stream = events(kalla(), run_id)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return Response(stream, mimetype="text/event-stream", headers=headers)
