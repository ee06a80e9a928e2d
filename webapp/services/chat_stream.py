"""A turn as Server-Sent Events. The turn has a thread of its own: it ends whether or not anybody still reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from recipe import KallaError, write_json
from webapp.context import Kalla
from webapp.errors import ServiceError, error_body
from webapp.services import chat

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
_LAST = ("done", "error")
Event = tuple[str, dict[str, Any]]


def stream_turn(app: Kalla, body: Mapping[str, Any]) -> Iterator[str]:
    """The text of the stream, piece by piece; the turn has begun when this returns. Raises as ``chat.begin``."""
    prepared = chat.begin(app, body)
    events: SimpleQueue[Event] = SimpleQueue()
    chat.beside(lambda: _told(prepared, events))
    return _written(events)


def _told(prepared: chat.Prepared, events: SimpleQueue[Event]) -> None:
    """Run the turn; its end is an event too."""
    try:
        answer = prepared.run(lambda name, data: events.put((name, data)))
    except KallaError as error:
        events.put(("error", error_body(error)))
    except Exception:
        fault = ServiceError("Something went wrong on our side.", hint="Load the page again to go on.")
        events.put(("error", error_body(fault)))
        raise
    else:
        events.put(("done", answer))


def _written(events: SimpleQueue[Event]) -> Iterator[str]:
    while True:
        try:
            name, data = events.get(timeout=BEAT_SECONDS)
        except Empty:
            yield ": still here\n\n"
            continue
        yield f"event: {name}\ndata: {write_json(data)}\n\n"
        if name in _LAST:
            return
