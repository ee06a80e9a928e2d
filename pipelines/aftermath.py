"""What a run whose process is gone left behind: the evidence it may have committed, and what has to go.

A process can be ended at any moment: after its commit too, before it could say so.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from connectors import ConnectorError, ObjectFolder, is_object_address
from pipelines import outcome
from pipelines.errors import EvidenceError
from pipelines.evidence.places import place_of
from pipelines.options import RunRequest
from pipelines.outputs import local_place, release
from pipelines.workdir import remove_abandoned, remove_abandoned_scratch


def committed(request: RunRequest) -> dict[str, Any] | None:
    """The outcome of the run if its evidence is there, else None; also where what is there cannot be read."""
    try:
        place = place_of(request.output)
        document = json.loads(place.manifest())
    except (EvidenceError, ConnectorError, ValueError):
        return None
    if not isinstance(document, dict) or document.get("run_id") != request.run_id:
        return None
    return outcome.completed(document, place.shown, document["times"]["seconds"])


def clear(request: RunRequest) -> None:
    """Remove what the run could not remove itself: folders, scratch data in a store, and its claim on a place there.

    What cannot be removed now goes with a later run: how this one ended is what matters.
    """
    place = local_place(request.output, request.staging)
    with contextlib.suppress(OSError):
        remove_abandoned(place, request.run_id)
        if request.staging is not None:
            remove_abandoned_scratch(Path(request.staging), request.run_id)
    with contextlib.suppress(ConnectorError):
        if is_object_address(request.output):
            release(ObjectFolder.at(request.output), request.run_id)
        if request.exchange is not None and request.runner != "direct":
            from pipelines.stored_exchange import remove_abandoned_objects

            remove_abandoned_objects(request.exchange, request.run_id)
