"""What the runner reports: /api/worker. The signature is checked before a body is read."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from webapp.context import kalla
from webapp.services import callbacks
from webapp.signatures import HEADER, verify
from webapp.web import schemas
from webapp.web.described import describe
from webapp.web.requests import json_body

blueprint = Blueprint("worker", __name__)

_OK = schemas.record({"ok": schemas.FLAG}, {"ignored": schemas.FLAG})
_ERRORS = ("request.malformed_json", "callback.invalid", "callback.bad_signature", "run.not_found")
_FRACTION = schemas.NUMBER | {"minimum": 0, "maximum": 1}


@blueprint.post("/api/worker/progress")
@describe(
    "A run's progress",
    tag="Runner",
    request=schemas.record(
        {"run_id": schemas.UUID, "stage": schemas.one_of(*callbacks.STAGES)},
        {
            "source": schemas.TEXT,
            "progress": _FRACTION,
            "matched_count": schemas.COUNT,
            "total_left": schemas.COUNT,
            "total_right": schemas.COUNT,
            "waiting": schemas.FLAG,
        },
    ),
    response=_OK,
    errors=_ERRORS,
    is_open=True,
)
def progress() -> dict[str, Any]:
    """Late reports are ignored."""
    return callbacks.progress(kalla(), _signed_body())


@blueprint.post("/api/worker/complete")
@describe(
    "A run's result",
    tag="Runner",
    request=schemas.record(
        {
            "run_id": schemas.UUID,
            "matched_count": schemas.COUNT,
            "unmatched_left_count": schemas.COUNT,
            "unmatched_right_count": schemas.COUNT,
            "output_paths": schemas.record(
                {"matched": schemas.FILLED, "unmatched_left": schemas.FILLED, "unmatched_right": schemas.FILLED}
            ),
        },
        {
            "left_record_count": schemas.COUNT,
            "right_record_count": schemas.COUNT,
            "warnings": schemas.listed(schemas.ANY),
        },
    ),
    response=_OK,
    errors=_ERRORS,
    is_open=True,
)
def complete() -> dict[str, Any]:
    """The first final report counts."""
    return callbacks.complete(kalla(), _signed_body())


@blueprint.post("/api/worker/error")
@describe(
    "A run's failure",
    tag="Runner",
    request=schemas.record(
        {"run_id": schemas.UUID, "error": schemas.FILLED},
        {"stage": schemas.TEXT, "source": schemas.TEXT, "code": schemas.TEXT},
    ),
    response=_OK,
    errors=_ERRORS,
    is_open=True,
)
def error() -> dict[str, Any]:
    """The first final report counts."""
    return callbacks.error(kalla(), _signed_body())


def _signed_body() -> dict[str, Any]:
    verify(request.headers.get(HEADER), kalla().settings.callback_secrets, request.get_data(cache=True))
    return json_body()
