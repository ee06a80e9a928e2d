"""Files that come with a form: sent ahead by JavaScript, or inside the form without it."""

from __future__ import annotations

import uuid
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage

from webapp.context import kalla
from webapp.errors import ServiceError
from webapp.objects import parse_upload
from webapp.services import uploads, workbooks


def new_session() -> str:
    """The folder that the files of one form share."""
    return f"page-{uuid.uuid4().hex}"


def uploaded(field: str, session: str) -> str | None:
    """Where the file of a field lies now, as ``s3://`` address; None when none was chosen.

    A file in the form itself wins over one that was sent ahead; of a workbook the sheet that the form names, or its
    only one. Raises ServiceError as the upload calls do, ``upload.sheet_needed`` where a workbook leaves a choice.
    """
    part = request.files.get(field)
    if part is None or not part.filename:
        return request.form.get(f"{field}_uploaded", "").strip() or None
    if workbooks.is_workbook(part.filename):
        sheet = request.form.get(f"{field}_sheet", "").strip() or None
        return str(_sheet_of(part, session, sheet)["s3_uri"])
    return uploads.take_in(kalla(), part.filename, session, part.stream.read)


def _sheet_of(part: FileStorage, session: str, sheet: str | None) -> dict[str, Any]:
    """The upload that a sheet of a workbook became."""
    found = workbooks.take_workbook(kalla(), part.filename or "", session, sheet, part.stream.read)
    upload: dict[str, Any] | None = found["upload"]
    if upload is None:
        names = ", ".join(repr(one["name"]) for one in found["sheets"])
        raise ServiceError(
            f"The workbook has several sheets: {names[:1000]}.",
            code="upload.sheet_needed",
            hint="Choose the file again, and write the name of the sheet below it.",
        )
    return upload


def attached(part: FileStorage, session: str) -> dict[str, Any]:
    """Take in a file that came in a form: ``{upload_id, filename, s3_uri, columns, row_count}``.

    Raises ServiceError as the upload calls do.
    """
    app, name = kalla(), part.filename or ""
    if workbooks.is_workbook(name):
        upload = _sheet_of(part, session, request.form.get("sheet", "").strip() or None)
        return {key: upload[key] for key in ("upload_id", "filename", "s3_uri", "columns", "row_count")}
    uri = uploads.take_in(app, name, session, part.stream.read)
    upload_id = parse_upload(app.settings, uri).upload_id
    return uploads.confirm(app, upload_id, {"s3_uri": uri, "filename": name})
