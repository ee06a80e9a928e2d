"""Registered sources: /api/sources."""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from webapp.context import kalla
from webapp.services import sources
from webapp.services.previews import MOST_PREVIEW_ROWS, PREVIEW_ROWS
from webapp.web import schemas
from webapp.web.described import PAGING, Query, describe
from webapp.web.requests import json_body, limit_and_offset, whole_parameter

blueprint = Blueprint("sources", __name__)

_TYPES = ("postgres", "csv_upload", "csv", "s3", "parquet", "file", "elasticsearch", "bigquery", "sqlite", "mysql")
_ENTRY = schemas.record(
    {
        "alias": schemas.TEXT,
        "uri": schemas.TEXT | {"description": "secrets as ***"},
        "source_type": schemas.one_of(*_TYPES),
        "status": schemas.one_of("connected", "error", "active", "ok"),
        "created_at": schemas.TIME,
        "updated_at": schemas.TIME,
    }
)
_ADDRESS_ERRORS = (
    "request.malformed_json",
    "request.invalid_body",
    "source.invalid_uri",
    "source.unsupported_type",
    "source.path_forbidden",
    "source.host_forbidden",
    "source.table_forbidden",
    "source.masked_credentials",
)
_READ_ERRORS = (
    "source.not_found",
    "source.table_not_found",
    "source.invalid_uri",
    "source.unsupported_type",
    "source.unreachable",
    "source.access_denied",
    "source.busy",
)


@blueprint.get("/api/sources")
@describe("Registered sources", tag="Sources", query=PAGING, response=schemas.listed(_ENTRY))
def list_sources() -> list[dict[str, Any]]:
    """All entries, newest first."""
    return sources.list_sources(kalla(), *limit_and_offset())


@blueprint.post("/api/sources")
@describe(
    "Register a source, or replace the one of that alias",
    tag="Sources",
    description="Needs no connection. A password given as *** means the one stored for this user, host and database.",
    request=schemas.record({"alias": schemas.FILLED, "uri": schemas.FILLED, "source_type": schemas.FILLED}),
    response=schemas.SUCCESS,
    errors=_ADDRESS_ERRORS,
)
def put_source() -> dict[str, Any]:
    """Create or update."""
    return sources.put_source(kalla(), json_body())


@blueprint.get("/api/sources/<alias>")
@describe("One source", tag="Sources", response=_ENTRY, errors=("source.not_found",))
def get_source(alias: str) -> dict[str, Any]:
    """One entry."""
    return sources.get_source(kalla(), alias)


@blueprint.delete("/api/sources/<alias>")
@describe("Forget a source", tag="Sources", response=schemas.SUCCESS, errors=("source.not_found", "source.in_use"))
def delete_source(alias: str) -> dict[str, Any]:
    """Refused while recipes take their address from it."""
    return sources.delete_source(kalla(), alias)


@blueprint.post("/api/sources/test")
@describe(
    "Try whether a source can be read",
    tag="Sources",
    description="Takes {alias} or {uri, source_type} and at most 10 seconds.",
    request=schemas.record({}, {"alias": schemas.FILLED, "uri": schemas.FILLED, "source_type": schemas.FILLED}),
    response=schemas.record({"ok": schemas.FLAG, "message": schemas.TEXT, "latency_ms": schemas.COUNT}),
    errors=(*_ADDRESS_ERRORS, "source.not_found"),
)
def test_source() -> dict[str, Any]:
    """The outcome is in ``ok``, also when the source does not answer."""
    return sources.test_source(kalla(), json_body())


@blueprint.post("/api/sources/tables")
@describe(
    "List the tables, indexes or files of a place",
    tag="Sources",
    description="Takes {alias} or {uri, source_type}. The uri may leave out the table or index, or end in a slash.",
    request=schemas.record(
        {},
        {
            "alias": schemas.FILLED,
            "uri": schemas.FILLED,
            "source_type": schemas.FILLED,
            "limit": schemas.WHOLE | {"minimum": 1, "default": 1000, "description": "above 5000 cut to 5000"},
        },
    ),
    response=schemas.record(
        {
            "tables": schemas.listed(schemas.record({"name": schemas.TEXT, "kind": schemas.TEXT, "uri": schemas.TEXT})),
            "complete": schemas.FLAG,
        }
    ),
    errors=(*_ADDRESS_ERRORS, *_READ_ERRORS),
)
def list_tables() -> dict[str, Any]:
    """Their names, kinds and addresses, secrets as ***."""
    return sources.list_tables(kalla(), json_body())


@blueprint.get("/api/sources/<alias>/preview")
@describe(
    "First rows of a source",
    tag="Sources",
    query=(Query("limit", schemas.WHOLE | {"minimum": 1, "default": PREVIEW_ROWS}, "rows; above 100 cut to 100"),),
    response=schemas.ROWS,
    errors=(*_READ_ERRORS, "request.invalid_parameter"),
)
def preview_source(alias: str) -> dict[str, Any]:
    """The rows object."""
    limit = whole_parameter("limit", PREVIEW_ROWS, least=1, cut=MOST_PREVIEW_ROWS)
    return sources.preview_source(kalla(), alias, limit)


@blueprint.post("/api/sources/<alias>/load-scoped")
@describe(
    "Rows of a source that meet conditions",
    tag="Sources",
    request=schemas.record(
        {},
        {
            "conditions": schemas.listed(schemas.CONDITION),
            "limit": schemas.WHOLE | {"minimum": 1, "default": 200, "description": "above 1000 cut to 1000"},
            "csv_uri": schemas.TEXT | {"description": "this upload instead of the registered source"},
        },
    ),
    response=schemas.ROWS,
    errors=(
        *_READ_ERRORS,
        "request.malformed_json",
        "request.invalid_body",
        "filter.invalid_value",
        "filter.unknown_column",
        "filter.unknown_op",
        "upload.invalid_uri",
        "upload.not_found",
        "runner.unreachable",
    ),
)
def load_scoped(alias: str) -> dict[str, Any]:
    """The rows object, read by the runner."""
    return sources.load_scoped(kalla(), alias, json_body(optional=True))


@blueprint.get("/api/sources/<alias>/primary-key")
@describe(
    "The columns that tell the rows of a source apart",
    tag="Sources",
    response=schemas.record(
        {
            "alias": schemas.TEXT,
            "detected_keys": schemas.listed(schemas.TEXT),
            "confidence": schemas.one_of("high", "medium", "low"),
        },
        {"declared": schemas.FLAG, "rows_checked": schemas.COUNT},
    ),
    errors=_READ_ERRORS,
)
def primary_key(alias: str) -> dict[str, Any]:
    """Declared in the database, else proven on the data."""
    return sources.primary_key(kalla(), alias)


@blueprint.post("/api/sources/register-csv")
@describe(
    "Register an uploaded CSV as a source",
    tag="Sources",
    request=schemas.record({"s3_uri": schemas.FILLED, "original_alias": schemas.FILLED}),
    response=schemas.record(
        {
            "alias": schemas.TEXT,
            "columns": schemas.listed(schemas.TEXT),
            "row_count": schemas.COUNT,
            "col_count": schemas.COUNT,
        }
    ),
    errors=(
        "request.malformed_json",
        "request.invalid_body",
        "upload.invalid_uri",
        "upload.not_found",
        "upload.empty",
        "upload.unreadable",
        "upload.too_large",
    ),
)
def register_csv() -> dict[str, Any]:
    """The new alias, columns and counts."""
    return sources.register_csv(kalla(), json_body())
