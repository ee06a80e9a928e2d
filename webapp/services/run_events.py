"""A run as Server-Sent Events: the run object whenever it has changed, until the run has ended.

Each stream holds one thread of the server, so there are only so many of them; one too many gets the present state and
the advice to come back, which turns its reader into one that polls.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

from recipe import KallaError, write_json
from webapp.context import Kalla
from webapp.services.runs import found_run, run_body
from webapp.stores.runs import FINAL

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
BEAT_SECONDS = 15.0
MOST_SECONDS = 600.0
MOST_STREAMS = 16
RETRY_MILLISECONDS = 3000

_places = threading.BoundedSemaphore(MOST_STREAMS)


def events(
    app: Kalla,
    run_id: str,
    most_seconds: float = MOST_SECONDS,
    poll_seconds: float = POLL_SECONDS,
    beat_seconds: float = BEAT_SECONDS,
) -> Iterator[str]:
    """The text of the stream, piece by piece; the run is looked up before the first piece is asked for.

    Event ``run`` holds the run object; the last one of a finished run is followed by event ``end``. Raises ServiceError
    ``run.not_found``.
    """
    first = run_body(found_run(app, run_id))
    return _stream(app, first, most_seconds, poll_seconds, beat_seconds)


def _stream(
    app: Kalla, body: dict[str, Any], most_seconds: float, poll_seconds: float, beat_seconds: float
) -> Iterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n" + _event("run", body)
    if body["status"] in FINAL:
        yield _event("end", {"status": body["status"]})
        return
    if not _places.acquire(blocking=False):
        return
    try:
        yield from _changes(app, body, time.monotonic() + most_seconds, poll_seconds, beat_seconds)
    finally:
        _places.release()


def _changes(app: Kalla, body: dict[str, Any], until: float, poll_seconds: float, beat_seconds: float) -> Iterator[str]:
    spoken = time.monotonic()
    while time.monotonic() < until:
        time.sleep(poll_seconds)
        try:
            fresh = run_body(found_run(app, body["run_id"]))
        except KallaError as error:
            log.warning("the events of run %s ended early: %s", body["run_id"], error.code)
            return  # the browser asks again by itself and is then told what is wrong
        if fresh != body:
            body, spoken = fresh, time.monotonic()
            yield _event("run", body)
        elif time.monotonic() - spoken >= beat_seconds:
            spoken = time.monotonic()
            yield ": still here\n\n"
        if body["status"] in FINAL:
            yield _event("end", {"status": body["status"]})
            return


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {write_json(value)}\n\n"
