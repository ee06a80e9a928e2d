"""Uploaded files: /api/uploads."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from webapp.context import kalla
from webapp.services import uploads
from webapp.web import schemas
from webapp.web.described import Query, describe
from webapp.web.origins import browser_address
from webapp.web.requests import json_body

blueprint = Blueprint("uploads", __name__)

_COLUMNS = {"columns": schemas.listed(schemas.TEXT), "row_count": schemas.COUNT}
_ROW = {"type": "object", "additionalProperties": schemas.nullable(schemas.TEXT)}
_LOOK_ERRORS = (
    "request.malformed_json",
    "request.invalid_body",
    "upload.invalid_uri",
    "upload.not_found",
    "upload.empty",
    "upload.unreadable",
    "upload.too_large",
    "storage.unreachable",
)


@blueprint.post("/api/uploads/presign")
@describe(
    "A link that takes one file",
    tag="Uploads",
    description="PUT the file's bytes to presigned_url within an hour, then confirm the upload.",
    request=schemas.record({"filename": schemas.FILLED, "session_id": schemas.FILLED}),
    response=schemas.record({"upload_id": schemas.UUID, "presigned_url": schemas.TEXT, "s3_uri": schemas.TEXT}),
    errors=("request.malformed_json", "request.invalid_body", "upload.invalid_name", "upload.unsupported_type"),
)
def presign() -> dict[str, Any]:
    """The link is signed for the address that the browser uses."""
    return uploads.presign(kalla(), json_body(), browser_address())


@blueprint.put("/api/uploads/<upload_id>/content")
@describe(
    "Send the file of a link",
    tag="Uploads",
    request=schemas.TEXT | {"format": "binary"},
    request_media="application/octet-stream",
    response=schemas.record({"upload_id": schemas.UUID, "size": schemas.COUNT}),
    errors=(
        "upload.link_invalid",
        "upload.link_expired",
        "upload.link_used",
        "upload.too_large",
        "upload.incomplete",
        "upload.no_space",
        "storage.unreachable",
    ),
    query=(Query("token", schemas.TEXT, "comes with the link", required=True),),
    is_open=True,
)
def receive(upload_id: str) -> dict[str, Any]:
    """The link itself is the permission."""
    stream, token = request.stream, request.args.get("token", "")
    return uploads.receive(kalla(), token, stream.read, request.content_length, upload_id)


@blueprint.post("/api/uploads/preview")
@describe(
    "Columns and first rows of an uploaded file",
    tag="Uploads",
    request=schemas.record({"s3_uri": schemas.FILLED}),
    response=schemas.record(
        _COLUMNS
        | {
            "sample": schemas.listed(
                {"type": "object", "additionalProperties": schemas.nullable(schemas.TEXT)}, most=10
            )
        }
    ),
    errors=_LOOK_ERRORS,
)
def preview() -> dict[str, Any]:
    """Read by the reader that runs use."""
    return uploads.preview(kalla(), json_body())


@blueprint.post("/api/uploads/<upload_id>/confirm")
@describe(
    "Say that a file has arrived",
    tag="Uploads",
    request=schemas.record({"s3_uri": schemas.FILLED, "filename": schemas.FILLED}),
    response=schemas.record({"upload_id": schemas.UUID, "filename": schemas.TEXT, "s3_uri": schemas.TEXT} | _COLUMNS),
    errors=(*_LOOK_ERRORS, "upload.id_mismatch", "upload.invalid_name"),
)
def confirm(upload_id: str) -> dict[str, Any]:
    """Columns and number of rows."""
    return uploads.confirm(kalla(), upload_id, json_body())
