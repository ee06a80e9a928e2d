"""Files that come with a form: sent ahead by JavaScript, or inside the form without it."""

from __future__ import annotations

import uuid
from typing import Any

from flask import request
from werkzeug.datastructures import FileStorage

from webapp.context import kalla
from webapp.objects import parse_upload
from webapp.services import uploads


def new_session() -> str:
    """The folder that the files of one form share."""
    return f"page-{uuid.uuid4().hex}"


def uploaded(field: str, session: str) -> str | None:
    """Where the file of a field lies now, as ``s3://`` address; None when none was chosen.

    A file in the form itself wins over one that was sent ahead. Raises ServiceError as the upload calls do.
    """
    part = request.files.get(field)
    if part is None or not part.filename:
        return request.form.get(f"{field}_uploaded", "").strip() or None
    return uploads.take_in(kalla(), part.filename, session, part.stream.read)


def attached(part: FileStorage, session: str) -> dict[str, Any]:
    """Take in a file that came in a form: ``{upload_id, filename, s3_uri, columns, row_count}``.

    Raises ServiceError as the upload calls do.
    """
    app, name = kalla(), part.filename or ""
    uri = uploads.take_in(app, name, session, part.stream.read)
    upload_id = parse_upload(app.settings, uri).upload_id
    return uploads.confirm(app, upload_id, {"s3_uri": uri, "filename": name})
