"""Uploaded files: /api/uploads."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from webapp.context import kalla
from webapp.services import uploads, workbooks
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


@blueprint.post("/api/uploads/workbook")
@describe(
    "The sheets of a workbook, and one of them as an uploaded CSV",
    tag="Uploads",
    description=(
        "Send the .xlsx file itself. With sheet, or where one sheet alone is visible, that sheet becomes a CSV upload;"
        " else choose one of sheets and send the file again. The workbook is not kept."
    ),
    request=schemas.TEXT | {"format": "binary"},
    request_media="application/octet-stream",
    response=schemas.record(
        {
            "filename": schemas.TEXT,
            "sheets": schemas.listed(
                schemas.record({"name": schemas.TEXT, "state": schemas.one_of("visible", "hidden", "veryHidden")})
            ),
            "sheet": schemas.nullable(schemas.TEXT),
            "upload": schemas.nullable(
                schemas.record(
                    {"upload_id": schemas.UUID, "filename": schemas.TEXT, "s3_uri": schemas.TEXT}
                    | _COLUMNS
                    | {"sample": schemas.listed(_ROW, most=10), "holds": schemas.listed(schemas.listed(schemas.TEXT))}
                )
            ),
        }
    ),
    errors=(
        "request.invalid_body",
        "upload.invalid_name",
        "upload.unsupported_type",
        "upload.too_large",
        "upload.unreadable",
        "upload.no_space",
        "workbook.unreadable",
        "workbook.protected",
        "workbook.too_large",
        "workbook.unknown_sheet",
        "workbook.empty_sheet",
        "workbook.bad_cell",
        "workbook.error_cell",
        "workbook.not_calculated",
        "workbook.beside_header",
        "source.busy",
        "storage.unreachable",
    ),
    query=(
        Query("filename", schemas.TEXT, "the workbook's name", required=True),
        Query("session_id", schemas.TEXT, "as for a link", required=True),
        Query("sheet", schemas.TEXT, "the sheet to turn into a CSV"),
    ),
)
def workbook() -> dict[str, Any]:
    """One request, whatever is asked: nothing of the workbook stays."""
    asked = request.args
    return workbooks.take_workbook(
        kalla(),
        asked.get("filename", ""),
        asked.get("session_id", ""),
        asked.get("sheet") or None,
        request.stream.read,
    )


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
