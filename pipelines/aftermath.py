"""What a run whose process is gone left behind: the evidence it may have committed, and what has to go.

A process can be ended at any moment: after its commit too, before it could say so.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from connectors import ConnectorError
from pipelines import outcome
from pipelines.errors import EvidenceError
from pipelines.evidence.places import place_of
from pipelines.options import RunRequest
from pipelines.outputs import local_place
from pipelines.workdir import remove_abandoned, remove_abandoned_scratch


def committed(request: RunRequest) -> dict[str, Any] | None:
    """The outcome of the run if its evidence is there, else None; also where the place cannot be read."""
    try:
        place = place_of(request.output)
        document = json.loads(place.manifest())
    except (EvidenceError, ConnectorError):
        return None
    if document["run_id"] != request.run_id:
        return None
    return outcome.completed(document, place.shown, document["times"]["seconds"])


def clear(request: RunRequest) -> None:
    """Remove the folders, and the objects of a store, that the run could not remove itself."""
    place = local_place(request.output, request.staging)
    if place.parent.is_dir():
        remove_abandoned(place, request.run_id)
    if request.staging is not None and (staging := Path(request.staging)).is_dir():
        remove_abandoned_scratch(staging, request.run_id)
    if request.exchange is not None and request.runner != "direct":
        from pipelines.stored_exchange import remove_abandoned_objects

        with contextlib.suppress(ConnectorError):  # the error that ended the run is what matters
            remove_abandoned_objects(request.exchange, request.run_id)
