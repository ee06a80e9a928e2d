"""Progress events of a run: small JSON lines on a pipe to whoever launched it.

The launcher names the pipe's descriptor in ``KALLA_EVENTS_FD``. A worker on a cluster has none: it writes its events to
a file of the run's folder, and the driver passes them on (``replay``).
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.paths import own_name

FD_VARIABLE = "KALLA_EVENTS_FD"
STAGES = ("staging", "matching", "writing_results")
EVENTS = "events-{}.jsonl"

_lock = threading.Lock()
_here = threading.local()


@contextlib.contextmanager
def told_in(folder: str) -> Iterator[None]:
    """Where this thread's events go when there is no pipe."""
    before = getattr(_here, "folder", None)
    _here.folder = folder
    try:
        yield
    finally:
        _here.folder = before


def emit(event: str, **fields: Any) -> None:
    """Send one event. Writing never blocks the work for long: lines are far below the pipe's buffer."""
    line = json.dumps({"event": event, **fields}, separators=(",", ":")).encode() + b"\n"
    fd = os.environ.get(FD_VARIABLE)
    if fd:
        with _lock:
            _send(int(fd), line)
    elif (folder := getattr(_here, "folder", None)) is not None:
        with _lock, contextlib.suppress(OSError), Path(folder, EVENTS.format(own_name())).open("ab") as file:
            file.write(line)  # a run does not fail for want of progress


def _send(fd: int, line: bytes) -> None:
    try:
        os.write(fd, line)
    except BrokenPipeError:  # nobody listens any more; the run's result does not depend on it
        os.environ.pop(FD_VARIABLE, None)


class WorkerEvents:
    """Passes on what the workers wrote, each line once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    @property
    def any(self) -> bool:
        """Whether any worker has told anything yet."""
        return any(self._read.values())

    def replay(self) -> None:
        """Send every event that is new since the last call."""
        fd = os.environ.get(FD_VARIABLE)
        for path in sorted(self._folder.glob(EVENTS.format("*"))):
            with contextlib.suppress(OSError), path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines, _, _ = file.read().rpartition(b"\n")
                self._read[path] = self._read.get(path, 0) + (len(lines) + 1 if lines else 0)
                if fd and lines:
                    for line in lines.splitlines():
                        with _lock:
                            _send(int(fd), line + b"\n")
