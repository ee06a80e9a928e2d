"""Whether the app works, for machines that watch it."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from webapp.context import kalla
from webapp.errors import ServiceError
from webapp.web import schemas
from webapp.web.described import describe

blueprint = Blueprint("health", __name__)
_STATE = schemas.record({"status": schemas.one_of("ok", "error"), "database": schemas.one_of("ok", "error")})


@blueprint.get("/health")
@describe(
    "Whether the app and its database answer",
    tag="Health",
    description="503 with the same members when the database does not answer.",
    response=_STATE,
    is_open=True,
)
def health() -> tuple[dict[str, Any], int]:
    """200, or 503 with ``status`` ``error``."""
    try:
        kalla().database.ping()
    except ServiceError:
        return {"status": "error", "database": "error"}, 503
    return {"status": "ok", "database": "ok"}, 200


@blueprint.get("/ready")
@describe(
    "Whether the app takes requests",
    tag="Health",
    response=schemas.record({"status": schemas.one_of("ready")}),
    errors=("database.unavailable",),
)
def ready() -> dict[str, Any]:
    """200, or 503 ``database.unavailable``."""
    kalla().database.ping()
    return {"status": "ready"}
