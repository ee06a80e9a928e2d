"""A job at work, and how its process is ended for sure."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from dataclasses import dataclass, field

from pipelines.launch import END_SECONDS
from webapp.runner.progress import Tracker


@dataclass
class Running:
    """A job at work."""

    run_id: str
    tracker: Tracker
    ending: str = ""  # "cancelled" or "stopped" once its process is to go
    _pidfd: int = -1
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, pid: int) -> None:
        """The process is there, and not yet waited for: the descriptor surely means this one."""
        with self._lock:
            self._pidfd = os.pidfd_open(pid)
            if self.ending:
                self._kill()

    def end(self, reason: str) -> None:
        """End the process now, or as soon as it is there.

        A run on this machine ends at the first signal; one on a cluster stops its job there first, and is killed when
        that takes too long.
        """
        with self._lock:
            self.ending = self.ending or reason
            self._signal(signal.SIGTERM)
        later = threading.Timer(END_SECONDS, self._kill_late)
        later.daemon = True
        later.start()

    def _kill_late(self) -> None:
        with self._lock:
            self._kill()

    def ended(self) -> None:
        with self._lock:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                signal.pidfd_send_signal(self._pidfd, number)
