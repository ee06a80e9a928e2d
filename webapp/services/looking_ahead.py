"""Files sent to a conversation are read before it speaks of them: a person needs a moment to press Send.

A shortcut only: the order in which this process gave the links says which file will be the left one. Where another
process gave them, or the order is another, the conversation finds out by itself what it needs.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict

from webapp.context import Kalla
from webapp.objects import Upload

log = logging.getLogger(__name__)

_MOST_CONVERSATIONS = 64
_MOST_FILES = 8
_LINKS: OrderedDict[str, dict[str, Upload | None]] = OrderedDict()  # by session, then by id; None: not there yet
_LOCK = threading.Lock()


def link_given(upload: Upload) -> None:
    """A link for this file was given out."""
    _note(upload, None)


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

    there = _note(upload, upload)
    wanted = there if len(there) == 2 and upload in there else [upload]
    bucket = app.settings.uploads_bucket
    # A file's name may be none that a source can have; what is found does not depend on it.
    insight.look_ahead(app, *(insight.SourceRef("upload", f.source_type, f.uri(bucket)) for f in wanted))


def _note(upload: Upload, there: Upload | None) -> list[Upload]:
    """The files of the upload's session that are there, in the order of their links, of its first eight."""
    with _LOCK:
        files = _LINKS.setdefault(upload.session_id, {})
        if upload.upload_id in files or len(files) < _MOST_FILES:
            files[upload.upload_id] = there
        _LINKS.move_to_end(upload.session_id)
        while len(_LINKS) > _MOST_CONVERSATIONS:
            _LINKS.popitem(last=False)
        return [file for file in files.values() if file is not None]
