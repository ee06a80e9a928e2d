"""Files that come with a form: sent ahead by JavaScript, or inside the form without it."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import request
from werkzeug.datastructures import FileStorage

from webapp.context import kalla
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
    return str(_stored(part, session)["s3_uri"])


def attached(part: FileStorage, session: str) -> dict[str, Any]:
    """Store a file that came in a form: ``{upload_id, filename, s3_uri, columns, row_count}``.

    Raises ServiceError as the upload calls do.
    """
    given = _stored(part, session)
    return uploads.confirm(kalla(), given["upload_id"], {"s3_uri": given["s3_uri"], "filename": part.filename})


def _stored(part: FileStorage, session: str) -> dict[str, Any]:
    app = kalla()
    given = uploads.presign(app, {"filename": part.filename, "session_id": session})
    token = parse_qs(urlsplit(given["presigned_url"]).query)["token"][0]
    uploads.receive(app, token, part.stream.read, None)
    return given
