"""Progress events of a run: small JSON lines on a pipe to whoever launched it.

The launcher names the pipe's descriptor in ``KALLA_EVENTS_FD``. Where there is none (a worker on a cluster), events
go nowhere and the driver reads Beam's counters instead.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

FD_VARIABLE = "KALLA_EVENTS_FD"
STAGES = ("staging", "matching", "writing_results")

_lock = threading.Lock()


def emit(event: str, **fields: Any) -> None:
    """Send one event. Writing never blocks the work for long: lines are far below the pipe's buffer."""
    fd = os.environ.get(FD_VARIABLE)
    if not fd:
        return
    line = json.dumps({"event": event, **fields}, separators=(",", ":")).encode() + b"\n"
    with _lock:
        try:
            os.write(int(fd), line)
        except BrokenPipeError:  # nobody listens any more; the run's result does not depend on it
            os.environ.pop(FD_VARIABLE, None)
