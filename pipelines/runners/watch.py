"""What a service that lives long knows of its cluster: looked at in the background, so that nobody waits for it.

A run that is started by itself looks once, when it is planned.
"""

from __future__ import annotations

import logging
import threading
import time

from pipelines.options import Choice, ClusterOptions
from pipelines.runners.choice import choose_runner
from recipe import KallaError

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 10.0
_KEPT_SECONDS = 45.0  # a look takes twelve seconds where nobody answers


class ClusterWatch:
    """Looks every few seconds until it is closed. ``asked`` is the runner that the service's runs ask for."""

    def __init__(self, asked: str, cluster: ClusterOptions, every: float = _EVERY_SECONDS) -> None:
        self._asked, self._cluster, self._every = asked, cluster, every
        self._found: tuple[Choice | None, float] = (None, float("-inf"))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kalla-cluster-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Look no more; does not wait for a look that is under way."""
        self._stop.set()

    def latest(self) -> Choice | None:
        """Where a run would go that starts now. None where that is not known, is too old, or where the cluster that is
        asked for by name cannot be used: then the run looks itself, and its error says what to do."""
        choice, at = self._found
        return choice if time.monotonic() - at <= _KEPT_SECONDS else None

    def _run(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(self._every)

    def _look(self) -> None:
        try:
            found: Choice | None = choose_runner(self._asked, self._cluster)
        except KallaError:
            found = None
        except Exception as error:  # noqa: BLE001 - a look that breaks must not end the looking; runs look themselves
            _log.warning("The cluster could not be looked at: %r", error)
            found = None
        self._found = (found, time.monotonic())
