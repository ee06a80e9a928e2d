"""Files sent to a conversation are read before it speaks of them: a person needs a moment to press Send.

A shortcut only: the order in which this process gave the links says which file will be the left one. Where another
process gave them, or the order is another, the conversation finds out by itself what it needs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from webapp.context import Kalla
from webapp.objects import Upload

_MOST_CONVERSATIONS = 64
_MOST_FILES = 8
_LINKS: OrderedDict[str, dict[str, Upload | None]] = OrderedDict()  # by session, then by id; None: not there yet
_LOCK = threading.Lock()


def link_given(upload: Upload) -> None:
    """A link for this file was given out."""
    with _LOCK:
        files = _LINKS.setdefault(upload.session_id, {})
        if len(files) < _MOST_FILES:
            files[upload.upload_id] = None
        _LINKS.move_to_end(upload.session_id)
        while len(_LINKS) > _MOST_CONVERSATIONS:
            _LINKS.popitem(last=False)


def arrived(app: Kalla, upload: Upload) -> None:
    """The file is there and can be read: begin to, where it was sent to a conversation; together with the other one
    once there are two."""
    if not app.chats.exists(upload.session_id):
        return
    from webapp.services import insight  # brings the engine, which other uploads need not wait for

    with _LOCK:
        files = _LINKS.setdefault(upload.session_id, {})
        files[upload.upload_id] = upload
        there = [file for file in files.values() if file is not None]
    wanted = there if len(there) == 2 else [upload]
    bucket = app.settings.uploads_bucket
    insight.look_ahead(app, *(insight.SourceRef(f.filename, f.source_type, f.uri(bucket)) for f in wanted))
