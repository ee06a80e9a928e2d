"""Files sent to a conversation are read before it speaks of them: a person needs a moment to press Send.

A shortcut only: the order in which links were given says which file will be the left one. Where it is another one, the
conversation finds out by itself what it needs.
"""

from __future__ import annotations

import logging

from webapp.context import Kalla
from webapp.objects import Upload
from webapp.services.findings import Findings
from webapp.settings import Settings

log = logging.getLogger(__name__)

_MOST_FILES = 8
_LINKS = Findings("links", 64)  # of a conversation: files by id, in their order, None for one that is not there yet


def link_given(settings: Settings, upload: Upload) -> None:
    """A link for this file was given out."""
    _note(settings, upload, None)


def arrived(app: Kalla, upload: Upload) -> None:
    """The file is there and can be read: begin to, where it was sent to a conversation; together with the other one
    once there are two. Raises nothing: what has arrived stays so, whatever happens here."""
    try:
        _begin(app, upload)
    except Exception:
        log.exception("an upload could not be looked at ahead")


def _begin(app: Kalla, upload: Upload) -> None:
    if not app.chats.exists(upload.session_id):
        return
    from webapp.services import insight  # brings the engine, which other uploads need not wait for

    there = _note(app.settings, upload, upload)
    wanted = there if len(there) == 2 and upload in there else [upload]
    bucket = app.settings.uploads_bucket
    # A file's name may be none that a source can have; what is found does not depend on it.
    insight.look_ahead(app, *(insight.SourceRef("upload", f.source_type, f.uri(bucket)) for f in wanted))


def _note(settings: Settings, upload: Upload, there: Upload | None) -> list[Upload]:
    """The files of the upload's session that are there, in the order of their links, of its first eight."""

    def noted(files: dict[str, Upload | None] | None) -> dict[str, Upload | None]:
        files = files or {}
        if upload.upload_id in files or len(files) < _MOST_FILES:
            files[upload.upload_id] = there
        return files

    files: dict[str, Upload | None] = _LINKS.change(settings, (upload.session_id,), noted)
    return [file for file in files.values() if file is not None]
