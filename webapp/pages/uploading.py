"""Files that come with a form: sent ahead by JavaScript, or inside the form without it."""

from __future__ import annotations

import uuid

from flask import request

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
    return uploads.take_in(kalla(), part.filename, session, part.stream.read)
