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
PARENT_VARIABLE = "KALLA_PARENT_PID"
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


class Meter:
    """Counts rows of one stage from several threads and reports at most every ``step`` rows."""

    def __init__(self, stage: str, total: int, source: str | None = None, step: int = 50_000) -> None:
        self._stage, self._total, self._source, self._step = stage, total, source, step
        self._done = self._reported = 0
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        with self._lock:
            self._done += rows
            if self._done - self._reported < self._step and self._done < self._total:
                return
            self._reported = self._done
            done = self._done
        fraction = min(1.0, done / self._total) if self._total else 1.0
        emit("progress", stage=self._stage, source=self._source, progress=round(fraction, 4), rows=done)
